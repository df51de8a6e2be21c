"""HDF5 files: numbers of the file itself, of a size that it can hold."""

import os

import numpy as np
import pytest

from fairseq_signals.errors import SignalError, StoreError
from fairseq_signals.formats.detect import detect_reader
from fairseq_signals.formats.registry import load_reader

h5py = pytest.importorskip("h5py")

GIB = 2**30
UNWRITTEN = {
    "contiguous": {},
    "chunked": {"chunks": (12, 4096)},
    "compressed": {"chunks": (12, 4096), "compression": "gzip"},
    "of a fill value": {"chunks": (12, 4096), "fillvalue": 0.5},
    "one chunk": {"chunks": (12, 2**25)},
}


@pytest.fixture
def secret(tmp_path):
    """Another file, whose numbers nobody should be given."""
    path = tmp_path / "elsewhere" / "secret.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["ecg"] = np.random.default_rng(0).random((12, 5000))
    return path


def external_storage(file, secret):
    file.create_dataset("ecg", (12, 5000), "f8", external=[(os.fspath(secret), 0, h5py.h5f.UNLIMITED)])


def external_link(file, secret):
    file["ecg"] = h5py.ExternalLink(os.fspath(secret), "ecg")


def virtual(file, secret):
    layout = h5py.VirtualLayout((12, 5000), "f8")
    layout[:] = h5py.VirtualSource(os.fspath(secret), "ecg", (12, 5000))
    file.create_virtual_dataset("ecg", layout)


def soft_link_by_an_external_one(file, secret):
    file["other"] = h5py.ExternalLink(os.fspath(secret), "/")
    file["ecg"] = h5py.SoftLink("/other/ecg")


def soft_loop(file, secret):
    file["ecg"] = h5py.SoftLink("/loop")
    file["loop"] = h5py.SoftLink("/ecg")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (external_storage, "are in other files, which are not read"),
        (virtual, "are in other files, which are not read"),
        (external_link, "is a link to another place, which is not followed"),
        (soft_link_by_an_external_one, "is a link to another place, which is not followed"),
        (soft_loop, "is a link to another place, which is not followed"),
    ],
)
def test_numbers_that_lie_elsewhere_are_refused(make, why, secret, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        make(file, secret)
    assert detect_reader(path) == "sph_hdf5"
    with pytest.raises(SignalError, match=f"record a: .*{why}"):
        load_reader("sph_hdf5")(path)


@pytest.mark.parametrize("how", UNWRITTEN)
def test_a_shape_that_was_never_written_is_refused_with_both_sizes(how, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ecg", (12, 2**29), "f8", maxshape=None, **UNWRITTEN[how])
    with pytest.raises(SignalError, match=r"ecg says that it has 51,539,607,552 bytes, but the file holds 0"):
        load_reader("sph_hdf5")(path)


def test_a_recording_of_a_shape_that_is_too_long_is_refused(tmp_path):
    from fairseq_signals.formats.options import ReadOptions

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["ecg"] = np.random.default_rng(0).random((12, 5000))
    assert load_reader("sph_hdf5")(path, options=ReadOptions(max_seconds=10)).n_samples == 5000
    with pytest.raises(SignalError, match=r"60,000 samples, but at most 54,000 are read") as raised:
        load_reader("sph_hdf5")(path, options=ReadOptions(max_seconds=9))
    assert raised.value.kind == "too long"


@pytest.mark.parametrize("name", ["tracings", "exam_id"])
def test_a_part_does_not_list_more_exams_than_it_holds(name, tmp_path):
    from fairseq_signals.formats.code15_hdf5 import read_contents

    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        shapes = {"tracings": (2, 400, 12), "exam_id": (2,)}
        shapes[name] = (10**9, *shapes[name][1:])
        for each, shape in shapes.items():
            file.create_dataset(each, shape, "i8" if each == "exam_id" else "f4")
    with pytest.raises(StoreError, match=f"{name} says that it has "):
        read_contents(path)


def test_exams_that_were_never_written_are_not_listed(tmp_path):
    from fairseq_signals.formats.code15_hdf5 import read_contents

    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("tracings", (10**6, 1, 12), "f4")
    with pytest.raises(StoreError, match=r"it announces 1,000,000 exams in [\d,]+ bytes"):
        read_contents(path)


def test_a_chunk_that_expands_beyond_its_size_is_refused(tmp_path):
    import zlib

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        ecg = file.create_dataset("ecg", (12, 50), "f8", chunks=(12, 50), compression="gzip")
        ecg.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**25), 1))
    with pytest.raises(SignalError, match=r"ecg has chunks of 4,800 bytes, but 14\d,\d{3} are stored of one"):
        load_reader("sph_hdf5")(path)


def test_texts_are_no_samples(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["ecg"] = np.array([[b"one", b"two"]] * 12, dtype=object)
    with pytest.raises(SignalError, match="ecg has no numbers, but object"):
        load_reader("sph_hdf5")(path)
