"""What tests of the corpus scripts share: scripts and look-alikes by name, stores, reference readers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS, canonical_lead
from fairseq_signals.store.reading import RecordStore


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def load_file():
    """`load_file(path)`: a Python file as a module."""
    return load


@pytest.fixture(scope="session")
def load_script(repo_dir):
    """`load_script(name)`: preprocess/NAME.py as a module."""
    return lambda name: load(repo_dir / "preprocess" / f"{name}.py")


@pytest.fixture(scope="session")
def entries():
    """`entries(store)`: the metadata of each record by its id; attributes as a dictionary."""

    def read(folder: Path) -> dict[str, dict]:
        found = {}
        for entry in RecordStore(folder).metadata().to_pylist():
            entry["attributes"] = dict(entry["attributes"] or ())
            assert entry["record_id"] not in found
            found[entry["record_id"]] = entry
        return found

    return read


@pytest.fixture(scope="session")
def rejected():
    """`rejected(store)`: the line of each rejected record, without its name, by its name."""

    def read(folder: Path) -> dict[str, str]:
        lines = (folder / "rejected.tsv").read_text(encoding="utf-8").splitlines()[1:]
        return dict(line.split("\t", 1) for line in lines)

    return read


@pytest.fixture(scope="session")
def assert_equal_mv():
    """`assert_equal_mv(store, entry, reference)`: stored values are within half a step of the reference.

    `reference` is millivolt by lead name, (T,) each; leads of the record only.
    """

    def check(folder: Path, entry: dict, reference: dict[str, np.ndarray]) -> None:
        signal, present = RecordStore(folder).read(entry["shard"], entry["row"])
        leads = [lead for lead, there in zip(LEADS, present) if there]
        assert leads == entry["leads"]
        for lead, scale in zip(leads, entry["scale"]):
            expected = reference[lead]
            stored = signal[LEADS.index(lead)]
            assert stored.shape == expected.shape, f"{entry['record_id']}: lead {lead}"
            largest = np.abs(stored - expected).max()
            # float32 millivolts carry 24 bits, hence the small allowance on top of half a step
            assert largest <= abs(scale) * 0.5 + np.abs(expected).max() * 1e-6, f"{entry['record_id']} {lead}"

    return check


@pytest.fixture(scope="session")
def wfdb_mv():
    """`wfdb_mv(header)`: millivolt of the first signal of each lead, as the wfdb library reads them."""
    import wfdb

    def read(header: Path) -> dict[str, np.ndarray]:
        record = wfdb.rdrecord(str(header)[: -len(".hea")])
        leads: dict[str, np.ndarray] = {}
        for name, values in zip(record.sig_name, record.p_signal.T):
            leads.setdefault(canonical_lead(name), values)
        return leads

    return read
