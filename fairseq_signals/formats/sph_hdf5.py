"""HDF5 files of the Shandong Provincial Hospital database: a record each, `ecg` (12 leads, samples) in mV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.record import Record
from fairseq_signals.errors import UNREADABLE, SignalError
from fairseq_signals.formats.assemble import Channel, assemble
from fairseq_signals.formats.common import damage_refused, file_missing, file_name
from fairseq_signals.formats.hdf5 import numbers, open_hdf5
from fairseq_signals.formats.limits import require_length
from fairseq_signals.formats.options import DEFAULTS, ReadOptions

FS = 500.0  # Hz, of every record


def read_sph_hdf5(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The record of a file; its floats become int16 at 1/32767 of each lead's peak."""
    record_id = file_name(path) if record_id is None else record_id
    what = f"{path.name} holds no dataset `ecg` that can be read"
    with damage_refused(record_id, what, "Download it again.", kind=UNREADABLE):
        try:
            file = open_hdf5(path)
        except FileNotFoundError:
            raise file_missing(record_id, path) from None
        with file:
            if (ecg := numbers(file, "ecg")) is None:
                raise ValueError("there is none")
            require_length(record_id, ecg.size, FS, options)
            values = np.asarray(ecg[()], dtype=np.float64)
    if values.ndim != 2 or len(values) != len(LEADS):
        raise SignalError(
            f"record {record_id}: ecg must have the shape (12, samples), but has {values.shape}. "
            f"Download {path.name} again."
        )
    channels = [Channel(name, lead, 1.0) for name, lead in zip(LEADS, values)]
    return assemble(record_id, FS, channels, options=options)
