"""Manifests are read back as they were written, and what is wrong with one is told by file and line."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.table import (
    Row,
    concatenate,
    format_manifest,
    read_manifest,
)
from fairseq_signals.store.shards import StoreRow, write_shard

ROW = Row("shard-00000.arrow#17:2500", 2500, "georgia/E00018", "georgia/record/E00018", 1, "8,14")

names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\x85\u2028\u2029"), min_size=1
)
rows = st.lists(
    st.builds(
        Row,
        path=st.builds("{}#{}:{}".format, names, st.integers(0, 10**9), st.integers(0, 10**12)),
        n_samples=st.integers(1, 10**9),
        record_id=names,
        patient_id=names,
        segment=st.integers(0, 10**6),
        target=st.lists(st.integers(0, 999)).map(lambda classes: ",".join(map(str, classes))),
    )
)


@given(rows=rows)
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("m") / "train.tsv"
    path.write_text("".join(format_manifest("/data/store", rows)))
    manifest = read_manifest(path, check_files=False)
    assert list(manifest.rows()) == rows
    assert manifest.root == Path("/data/store")
    assert len(manifest) == len(rows)


def test_columns_are_typed(tmp_path):
    manifest = _read(tmp_path, ROW, ROW._replace(segment=2, target=""))
    assert manifest.layout == "store"
    assert manifest.n_samples.dtype == manifest.segments.dtype == np.int64
    assert manifest.targets == ["8,14", ""]
    assert manifest.shards() == ["shard-00000.arrow"]


def test_a_relative_root_is_relative_to_the_manifest(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "store").mkdir()
    (tmp_path / "manifests").mkdir()
    path = tmp_path / "manifests" / "train.tsv"
    path.write_text("".join(format_manifest("../store", [])))
    assert read_manifest(path).root == tmp_path / "store"


def test_windows_line_ends_and_a_missing_last_one_are_read(tmp_path):
    path = tmp_path / "train.tsv"
    text = "".join(format_manifest("/data", [ROW, ROW]))
    path.write_bytes(text.rstrip("\n").replace("\n", "\r\n").encode())
    assert list(read_manifest(path, check_files=False).rows()) == [ROW, ROW]


def test_a_manifest_without_segments_is_empty(tmp_path):
    assert len(_read(tmp_path)) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a#0:0\t2500", r"train.tsv:3: expected 6 tab-separated fields \(path, n_samples, .*\), found 2"),
        ("\t".join(map(str, ROW)) + "\t", r"train.tsv:3: expected 6 tab-separated fields .*, found 7"),
        ("", r"train.tsv:3: expected 6 .* found 1"),
        (
            "a.arrow\t1\tr\tp\t0\t",
            r"train.tsv:3: path must be `<shard>#<row>:<start>`, but is 'a.arrow' instead",
        ),
        ("a#0:0\t0\tr\tp\t0\t", r"train.tsv:3: n_samples must be a positive integer, but is '0' instead"),
        ("a#0:0\t-1\tr\tp\t0\t", r"train.tsv:3: n_samples must be a positive integer"),
        ("a#0:0\t1\t\tp\t0\t", r"train.tsv:3: record_id must be a name, but is '' instead"),
        ("a#0:0\t1\tr\t\t0\t", r"train.tsv:3: patient_id must be a name"),
        ("a#0:0\t1\tr\tp\tx\t", r"train.tsv:3: segment must be an integer from 0, but is 'x' instead"),
        (
            "a#0:0\t1\tr\tp\t0\t1;2",
            r"train.tsv:3: target must be empty, or class indices \(or numbers\) joined",
        ),
    ],
)
def test_a_malformed_line_is_named_with_its_fault(tmp_path, line, message):
    good = "\t".join(map(str, ROW))
    path = tmp_path / "train.tsv"
    path.write_text(f"{tmp_path}\n{good}\n{line}\n{good}\n")
    with pytest.raises(ManifestError, match=message):
        read_manifest(path, check_files=False)


def test_a_line_of_no_known_layout_is_refused(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text("/data\na\tb\tc\td\n")
    with pytest.raises(ManifestError, match=r"train.tsv:2: expected 6 .* found 4. Rebuild it"):
        read_manifest(path, check_files=False)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    (tmp_path / "train.tsv").write_text(text)
    with pytest.raises(ManifestError, match=r"train.tsv:1: the file is empty"):
        read_manifest(tmp_path / "train.tsv")


@pytest.mark.parametrize("line", ["A0001_0.mat\t2500\n", "\0\0\0", "/data\x1b[31m\n"])
def test_a_file_without_a_root_is_refused(tmp_path, line):
    (tmp_path / "train.tsv").write_text(line)
    with pytest.raises(ManifestError, match=r"train.tsv:1: the first line must be the root folder"):
        read_manifest(tmp_path / "train.tsv")


def test_an_absent_manifest_is_told_with_those_that_are_there(tmp_path):
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\n")
    with pytest.raises(
        ManifestError, match=r"test.tsv: there is no such manifest. The folder has: train.tsv"
    ):
        read_manifest(tmp_path / "test.tsv")
    with pytest.raises(ManifestError, match="Make it with the scripts in manifests/"):
        read_manifest(tmp_path / "nowhere" / "test.tsv")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "train.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="not a text file"):
        read_manifest(tmp_path / "train.tsv")


def test_a_root_that_is_gone_is_told(tmp_path):
    (tmp_path / "train.tsv").write_text("".join(format_manifest(tmp_path / "gone", [ROW])))
    with pytest.raises(ManifestError, match=r"train.tsv:1: the root folder .*gone does not exist"):
        read_manifest(tmp_path / "train.tsv")


def test_a_shard_that_is_gone_is_told_with_its_first_line(tmp_path):
    (tmp_path / "shard-00000.arrow").touch()
    (tmp_path / "train.tsv").write_text(
        "".join(format_manifest(tmp_path, [ROW, ROW._replace(path="shard-00001.arrow#0:0")]))
    )
    with pytest.raises(ManifestError, match=r"train.tsv:3: .*shard-00001.arrow does not exist"):
        read_manifest(tmp_path / "train.tsv")


def test_a_manifest_of_a_store_that_was_built_anew_without_a_record_is_refused(tmp_path):
    rows = [StoreRow(f"r{i}", "a", 500.0, ("I",), np.ones(1), np.zeros((1, 9), np.int16)) for i in range(3)]
    listed = [Row(f"shard-00000.arrow#{i}:0", 9, f"a/r{i}", "a/p", 0) for i in range(3)]
    (tmp_path / "train.tsv").write_text("".join(format_manifest(tmp_path, listed)))
    write_shard(tmp_path / "shard-00000.arrow", rows)
    assert len(read_manifest(tmp_path / "train.tsv")) == 3
    write_shard(tmp_path / "shard-00000.arrow", [rows[0], rows[2]])
    message = r"train.tsv:3: shard-00000.arrow#1:0 is a/r2 in the store, but a/r1 .*\(2 of 3 rows differ\)"
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path / "train.tsv")
    write_shard(tmp_path / "shard-00000.arrow", rows[:2])
    with pytest.raises(ManifestError, match=r"train.tsv:4: shard-00000.arrow#2:0 is no record in the store"):
        read_manifest(tmp_path / "train.tsv")


@pytest.mark.parametrize("name", ["a\tb", "a\nb", ""])
def test_a_name_that_would_break_the_format_is_not_written(name):
    with pytest.raises(ManifestError, match="cannot write record"):
        list(format_manifest("/data", [ROW, ROW._replace(record_id=name)]))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.tsv")
    with pytest.raises(ManifestError, match=r"train.tsv: the manifest cannot be read \(it is a pipe"):
        read_manifest(tmp_path / "train.tsv")


@pytest.mark.parametrize("text", ["[]", "null"])
def test_a_manifest_beside_what_no_script_wrote_is_refused(tmp_path, text):
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\n")
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match=r"manifest.json: not what a manifest script wrote"):
        read_manifest(tmp_path / "train.tsv")


def test_manifests_of_one_root_are_joined_in_order(tmp_path):
    gallery = _read(tmp_path, ROW, ROW._replace(segment=3))
    probe = _read(tmp_path, ROW._replace(patient_id="georgia/7"))
    both = concatenate(gallery, probe)
    assert list(both.rows()) == [*gallery.rows(), *probe.rows()]
    (tmp_path / "other.tsv").write_text("".join(format_manifest("/elsewhere", [ROW])))
    with pytest.raises(
        ManifestError, match=r"other.tsv: layout 'store' under /elsewhere cannot be read together"
    ):
        concatenate(gallery, read_manifest(tmp_path / "other.tsv", check_files=False))


def _read(folder: Path, *rows: Row):
    (folder / "train.tsv").write_text("".join(format_manifest(folder, rows)))
    return read_manifest(folder / "train.tsv", check_files=False)
