"""Which corpus an HDF5 file is of, by all that it holds."""

from __future__ import annotations

from pathlib import Path

from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.errors import FairseqSignalsError, SignalError
from fairseq_signals.formats.hdf5 import shapes_in

#: Of the HDF5 files of each reader: the data set of signals, its axes (0: any length), its types, and what
#: may lie beside it. Others name their data sets so too, at other rates and with leads in another order.
_HDF5_LAYOUTS: dict[str, tuple[str, tuple[int, ...], tuple[str, ...], tuple[str, ...]]] = {
    "code15_hdf5": ("tracings", (0, 4096, N_LEADS), ("float32", "float64", "float16"), ("exam_id",)),
    "sph_hdf5": ("ecg", (N_LEADS, 0), ("float16",), ()),
}


def reader_of(file: Path, path: Path) -> str:
    """The reader whose corpus lays out its HDF5 files like this one.

    What a link stands for is not looked at: the reader refuses it.

    Args:
        file: where to read it.
        path: what it is called in messages.

    Raises:
        SignalError: there is none, or the file is damaged.
    """
    try:
        found = shapes_in(file)
    except (MemoryError, FairseqSignalsError):
        raise
    except Exception as error:  # whatever h5py raises over a damaged file
        raise SignalError(f"{path}: not a whole HDF5 file ({error}). Download it again.") from error
    for reader, (name, axes, dtypes, beside) in _HDF5_LAYOUTS.items():
        shape, dtype = found.get(name) or ((), "")
        alike = len(shape) == len(axes) and all(n in (m, 0) for m, n in zip(shape, axes))
        if found.get(name, "absent") is None or (alike and dtype in dtypes and set(found) <= {name, *beside}):
            return reader
    listed = ", ".join(f"{name} {what[0]} {what[1]}" if what else name for name, what in found.items())
    raise SignalError(
        f"{path} is an HDF5 file of {listed[:200] or 'nothing'}, a layout that is not known. Read are those "
        f"of CODE-15% and SaMi-Trop (tracings of exams x 4096 samples x 12 leads) and of SPH (ecg of 12 "
        f"leads x samples, float16). Save it as a NumPy array, or pass an array.",
        kind="of another format",
    )
