"""MATLAB files are checked before scipy reads them, and read as scipy reads them."""

import numpy as np
import pytest
import scipy.io

from fairseq_signals.formats.mat5 import OtherArraysError, load_mat5

ARRAYS = {
    "feats": np.arange(24.0).reshape(12, 2) / 7,
    "small": np.float32([[1]]),
    "label": np.eye(3, dtype=np.uint8),
    "wide": np.arange(5, dtype=np.int64),
    "flags": np.array([True, False]),
    "name": "A0001",
    "text": "sinus rhythm, \u00fcber 60/min",
    "codes": ["NORM", "SR", "AFIB"],
    "empty": np.zeros((0, 3)),
    "nothing": "",
    "complex": np.array([1 + 2j, 3]),
    "cube": np.zeros((2, 3, 4), np.int16),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_what_scipy_reads(tmp_path, compressed):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, ARRAYS, do_compression=compressed)
    read, expected = load_mat5(path.read_bytes()), scipy.io.loadmat(path)
    assert set(ARRAYS) <= set(read)
    for name in ARRAYS:
        np.testing.assert_array_equal(read[name], expected[name])
        assert read[name].dtype == expected[name].dtype


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_anywhere_inside_an_array_is_refused(tmp_path, compressed):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"feats": np.arange(600.0).reshape(12, 50)}, do_compression=compressed)
    data = path.read_bytes()
    for size in [*range(0, 128, 9), *range(129, len(data), 37)]:
        with pytest.raises(ValueError, match=r"ends too early|not a little-endian"):
            load_mat5(data[:size])


@pytest.mark.parametrize(
    "value", [np.array([1, "a"], dtype=object), {"a": 1}, np.zeros(2, [("a", float)])], ids=str
)
def test_cells_and_structures_are_refused(tmp_path, value):
    scipy.io.savemat(tmp_path / "a.mat", {"x": value})
    with pytest.raises(OtherArraysError, match=r"neither numbers nor characters"):
        load_mat5((tmp_path / "a.mat").read_bytes())


def test_arrays_that_do_not_agree_with_themselves_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.arange(6.0).reshape(2, 3)})
    data = (tmp_path / "a.mat").read_bytes()
    for position, value, message in [
        (128, 13, "element of type 13"),
        (144, 17, "neither numbers"),
        (160, 9, "more or fewer"),
        (152, 6, "flags and dimensions"),
        (168, 77, "damaged"),
    ]:
        changed = bytearray(data)
        changed[position] = value
        with pytest.raises(ValueError, match=message):
            load_mat5(bytes(changed))


def test_an_array_that_expands_a_thousandfold_is_refused():
    import zlib

    content = zlib.compress(bytes(2**27))
    element = np.array([15, len(content)], "<u4").tobytes() + content
    with pytest.raises(ValueError, match="compressed bytes stand for more than"):
        load_mat5(b"MATLAB".ljust(124) + b"\x00\x01IM" + element)
