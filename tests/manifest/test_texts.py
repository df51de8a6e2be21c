"""Text tables: distinct texts in their order, read as they were written; targets that are rows of them."""

import pytest

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.manifest.texts import TextTable, read_texts, text_ids


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
