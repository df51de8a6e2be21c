"""Whatever bytes of a file are damaged: a record that can be stored, or a reasoned refusal. Nothing else."""

import warnings

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import REASONS, UNFORESEEN, MissingLibraryError, SignalError
from fairseq_signals.formats.registry import load_reader
from tests.formats.samples import SAMPLES

N_DAMAGED = 150  # files of each format
HDF5 = ("code15_hdf5", "sami_trop_hdf5", "sph_hdf5")


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with a few changed, a stretch taken out, or a stretch doubled; mostly near the beginning."""
    data = bytearray(data)
    start = int(len(data) * rng.random() ** 3)
    kind = rng.integers(3)
    if kind == 0:
        for position in start + rng.integers(0, 64, rng.integers(1, 5)):
            data[min(position, len(data) - 1)] = rng.integers(256)
    elif kind == 1:
        del data[start : start + rng.integers(1, 40)]
    else:
        data[start:start] = data[start : start + rng.integers(1, 40)]
    return bytes(data)


def read_or_error(read, path):
    """The record and None, or None and why it is refused; a warning is an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return read(path, "some record"), None
    except SignalError as error:
        return None, error


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("wfdb", *HDF5)])
def test_damage_never_crashes_a_reader(name, tmp_path):
    try:
        read = load_reader(name)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    whole = SAMPLES[name](tmp_path, 200)
    data = whole.read_bytes()
    path = tmp_path / f"damaged{whole.suffix}"
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(N_DAMAGED):
        path.write_bytes(damage(data, rng))
        record, error = read_or_error(read, path)
        if error is not None:
            assert str(error).startswith("record some record: ")
            assert error.kind in REASONS
            assert error.kind != UNFORESEEN
            n_refused += 1
            continue
        assert record.leads == tuple(lead for lead in LEADS if lead in record.leads)
        assert record.signal.shape == (len(record.leads), record.n_samples)
        assert record.signal.dtype == np.int16
        assert np.isfinite(record.scale).all()
        assert record.n_samples > 0
    assert 0 < n_refused < N_DAMAGED
