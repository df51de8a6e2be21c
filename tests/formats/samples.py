"""One small whole file for every reader in the registry, for tests that all formats go through."""

from pathlib import Path

import numpy as np

from fairseq_signals.ecg.leads import LEADS
from tests.preprocess.lookalikes import (
    aecg,
    atc,
    authors_mat,
    cardiosoft_xml,
    code15,
    dicom,
    edf,
    ishne,
    kardia_json,
    mfer,
    muse_xml,
    philips_xml,
    schiller_xml,
    scp,
    wfdb,
)


def leads(n_samples: int) -> np.ndarray:
    """Twelve smooth random leads in ADC units, (12, T) int16, none constant."""
    steps = np.random.default_rng(0).integers(-9, 10, (12, n_samples))
    return np.cumsum(steps, axis=1).astype(np.int16)


def _hdf5(path: Path, **arrays) -> Path:
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def _muse_xml(folder: Path, n_samples: int) -> Path:
    return muse_xml.write_eight(folder / "a.xml", leads(n_samples)[:8])


def _code15_hdf5(folder: Path, n_samples: int) -> Path:
    tracings = (leads(n_samples).T / 1000).astype(np.float32)
    return _hdf5(folder / "a.hdf5", exam_id=np.array([7]), tracings=code15.pad(tracings)[None])


def _number_table(folder: Path, n_samples: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.column_stack([np.arange(n_samples) / 500, leads(n_samples).T / 1000])
    header = ",".join(["time (s)", *(f"{lead} (mV)" for lead in LEADS)])
    np.savetxt(folder / "a.csv", rows, "%.3f", ",", header=header, comments="")
    return folder / "a.csv"


def _arrays(folder: Path, n_samples: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "a.npz", signal=leads(n_samples) / 1000, leads=LEADS, fs=500, unit="mV")
    return folder / "a.npz"


#: Of each reader: `make(folder, n_samples)`, which writes a file of twelve leads (Kardia JSON: six) at 500 Hz
#: where the format says it (AliveCor's: 300), and returns the path to read. A file of many records has one.
SAMPLES = {
    "wfdb": lambda folder, n: wfdb.write(folder, "a", leads(n)),
    "dicom": lambda folder, n: dicom.write(folder / "a.dcm", dicom.dataset(dicom.group(leads(n)))),
    "edf": lambda folder, n: edf.write(folder / "a.edf", leads(n), per_record=50, duration="0.1"),
    "aecg": lambda folder, n: aecg.write_twelve(folder / "a.xml", leads(n)),
    "scp": lambda folder, n: scp.write(folder / "a.scp", leads(n), order=1, compressed=True),
    "ishne": lambda folder, n: ishne.write(folder / "a.ecg", leads(n)),
    "mfer": lambda folder, n: mfer.write_twelve(folder / "a.mwf", leads(n)),
    "atc": lambda folder, n: atc.write(folder / "a.atc", leads(n)),
    "kardia_json": lambda folder, n: kardia_json.write(folder / "a.json", leads(n)[:6]),
    "cardiosoft_xml": lambda folder, n: cardiosoft_xml.write_twelve(folder / "a.xml", leads(n)),
    "schiller_xml": lambda folder, n: schiller_xml.write_twelve(folder / "a.xml", leads(n)),
    "philips_xml": lambda folder, n: philips_xml.write(folder / "a.xml", philips_xml.document(leads(n))),
    "muse_xml": _muse_xml,
    "authors_mat": lambda folder, n: authors_mat.write_segment(
        folder / "a.mat", leads(n) / 1000, label=np.ones((1, 26)), age=50, sex=1
    ),
    "code15_hdf5": _code15_hdf5,
    "sami_trop_hdf5": _code15_hdf5,
    "sph_hdf5": lambda folder, n: _hdf5(folder / "a.h5", ecg=(leads(n) / 1000).astype(np.float16)),
    "number_table": _number_table,
    "arrays": _arrays,
}
