"""Text tables: distinct texts in their order, read as they were written; targets that are rows of them."""

import numpy as np
import pytest

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.manifest.texts import TextTable, read_texts, read_vectors, require_vectors_of, text_ids


@pytest.fixture
def table():
    text_of = {"a": "sinus rhythm", "b": "atrial flutter", "c": "sinus rhythm", "d": "sinus rhythm"}
    return TextTable.of_records(text_of, {"a": "train", "b": "valid", "c": "test", "d": "train"})


def test_records_with_the_same_text_share_a_row(table):
    assert table.texts == ("atrial flutter", "sinus rhythm")
    assert table.numbers == (1, 3)
    assert table.splits == (("valid",), ("test", "train"))
    assert table.of_split("train") == ["sinus rhythm"]


def test_a_table_is_read_as_it_was_written(table, tmp_path):
    path = tmp_path / "texts.tsv"
    for one in (table, TextTable((), (), ())):
        path.write_text("".join(one.lines()))
        assert read_texts(path) == one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text\tn\n", "texts.tsv:1: must be the columns text_id, text, n, split"),
        ("text_id\ttext\tn\tsplit\n1\tx\t1\ttrain\n", "texts.tsv:2: must be 0, a text"),
        ("text_id\ttext\tn\tsplit\n0\tx\t1\ttrain\n1\t\t1\ttrain\n", "texts.tsv:3: must be 1, a text"),
        ("text_id\ttext\tn\tsplit\n0\tx\tmany\ttrain\n", "how many records have it"),
        (None, "the texts cannot be read .*ecg_text.py"),
    ],
)
def test_a_table_that_is_not_ours_is_refused_with_its_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "texts.tsv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_texts(tmp_path / "texts.tsv")


def test_targets_are_rows_of_the_table(tmp_path):
    manifest = Manifest(tmp_path / "train.tsv", tmp_path, paths=["x#0:0"] * 3, targets=["1", "0", "1"])
    assert text_ids(manifest, 2, "texts.tsv").tolist() == [1, 0, 1]


@pytest.mark.parametrize("target", ["2", "", "0,1", "-1", "0.5"])
def test_another_target_is_refused_with_its_line(tmp_path, target):
    manifest = Manifest(tmp_path / "train.tsv", tmp_path, paths=["x#0:0"] * 2, targets=["1", target])
    with pytest.raises(ManifestError, match=r"train\.tsv:3: target must be a text_id of the 2 in texts\.tsv"):
        text_ids(manifest, 2, "texts.tsv")


def test_vectors_of_texts_are_a_row_each(tmp_path):
    rows = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "texts.npy", rows)
    found = read_vectors(tmp_path / "texts.npy", 3)
    assert found.dtype == np.float32
    assert np.array_equal(found, rows)


def test_texts_go_beside_vectors_of_the_same_texts_alone(table, tmp_path):
    require_vectors_of(("x",), tmp_path)  # there are no vectors
    np.save(tmp_path / "texts.npy", np.zeros((2, 4)))
    with pytest.raises(
        ManifestError, match=r"texts\.npy: its vectors are not of the texts that .*texts\.tsv"
    ):
        require_vectors_of(table.texts, tmp_path)  # of which texts they are nobody knows
    (tmp_path / "texts.tsv").write_text("".join(table.lines()))
    require_vectors_of(table.texts, tmp_path)
    with pytest.raises(ManifestError, match="Move it away, make the manifests, then vectors"):
        require_vectors_of(("atrial flutter", "sinus"), tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((2, 4)), r"finite numbers of shape \(3, 4\), a row a text, but is float64 of \(2, 4\)"),
        (np.zeros((3, 5)), r"but is float64 of \(3, 5\)"),
        (np.full((3, 4), np.nan), "or not finite"),
        (np.array(["a", "b", "c"]), r"but is <U1 of \(3,\)"),
        (None, "cannot be read"),
    ],
)
def test_other_vectors_are_refused(tmp_path, rows, message):
    if rows is not None:
        np.save(tmp_path / "texts.npy", rows)
    with pytest.raises(ManifestError, match=message):
        read_vectors(tmp_path / "texts.npy", 3, 4)
