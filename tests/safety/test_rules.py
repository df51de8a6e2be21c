"""What saved files may hold: rules of keys, JSON and arrays."""

import zipfile

import numpy as np
import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.safety import rules
from fairseq_signals.safety.rules import (
    Array,
    either,
    integer,
    list_of,
    number,
    one_of,
    read_arrays,
    required,
    text,
)

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("rule", "fit", "unfit"),
    [
        (number(0, 1), (0, 1, 0.5), (-1, 1.1, NAN, INF, "0", None, True, [0], 10**400)),
        (number(0, 1, below=True), (0, 0.99), (1, 1.0)),
        (integer(1, 9), (1, 9), (0, 10, 1.0, "1", True, 10**400)),
        (one_of("a", "b"), ("a",), ("c", None, ["a"], {"a": 1})),
        (rules.TRUTH, (True, False), (0, 1, "x", None)),
        (text(3), ("", "abc"), ("abcd", 3, b"a")),
        (list_of(integer(0, 9), 2), ([], [1, 2], (3,)), ([1, 2, 3], [10], "12", {1: 2})),
        (either(text(3), integer(0, 9)), ("a", 4), (4.5, 10, [])),
    ],
)
def test_values_fit_their_rules(rule, fit, unfit):
    assert all(map(rule.fits, fit))
    assert not any(map(rule.fits, unfit))
    assert rules.broken({"key": unfit[0]}, {"key": rule})[0].startswith(f"key must be {rule.wanted}, but is ")


def test_a_key_may_be_absent_unless_it_is_required():
    assert rules.broken({"a": None}, {"a": text(), "b": text()}) == []
    assert len(rules.broken({"a": None}, {"a": required(text()), "b": required(text())})) == 2


def test_values_of_any_length_are_shown_in_a_line():
    circle: list = []
    circle.append(circle)
    for value in ("x" * 10**6, 10**5000, [1] * 10**5, circle):
        assert len(rules.shown(value)) < 100


def test_sizes_that_an_array_claims_are_compared_with_the_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros(8))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "y.npz", "w") as new:
        new.writestr("x.npy", old.read("x.npy").replace(b"(8,), ", b"(1073741824,), ")[:200])
    with pytest.raises(ConfigError, match=r"y\.npz: x claims 8,589,934,592 bytes, but there are [0-9]+"):
        read_arrays(tmp_path / "y.npz", {"x": Array("f", "N")}, ConfigError, "a file")
    monkeypatch.setattr(rules, "LARGEST_ARRAYS", 40)
    with pytest.raises(ConfigError, match=r"x\.npz: x takes 64 bytes, but of 40 only 40 are left"):
        read_arrays(path, {"x": Array("f", "N")}, ConfigError, "a file")


def test_an_array_that_is_cut_off_or_no_text_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.array([0x110000], np.uint32).view("<U1"))
    with pytest.raises(ConfigError, match=r"x\.npz: not a file, or a damaged one"):
        read_arrays(path, {"x": Array("U", "N")}, ConfigError, "a file")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ConfigError, match="BadZipFile"):
        read_arrays(path, {"x": Array("U", "N")}, ConfigError, "a file")
