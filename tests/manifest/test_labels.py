"""Label tables and weights are read as they are meant, or refused with file and line."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from fairseq_signals.errors import LabelError, ManifestError
from fairseq_signals.manifest.labels import (
    LabelTable,
    find_table,
    multi_hot,
    parse_target,
    read_labels,
    read_weights,
)
from fairseq_signals.manifest.table import Manifest

TABLE = "index,name,abbreviation,codes\n0,atrial fibrillation,AF,1\n1,bundle branch block,BBB,2|3\n"
WEIGHTS = ",1,2|3\n1,1.0,0.25\n2|3,0.5,1.0\n"


@pytest.fixture
def labels(tmp_path) -> LabelTable:
    (tmp_path / "labels.csv").write_text(TABLE)
    return read_labels(tmp_path / "labels.csv")


def test_a_table_is_read(labels):
    assert labels.names == ("atrial fibrillation", "bundle branch block")
    assert labels.abbreviations == ("AF", "BBB")
    assert labels.codes == (("1",), ("2", "3"))
    assert len(labels) == 2


def test_targets_are_the_classes_of_all_codes_once_each(labels):
    assert labels.targets(["3", "1", "2", "unknown"]) == [0, 1]
    assert labels.targets(["unknown"]) == []
    assert labels.targets([]) == []


def test_a_code_with_blanks_is_taken_apart_only_where_the_table_has_its_parts_and_not_the_whole():
    table = LabelTable(("a", "b", "c"), ("A", "B", "C"), (("AF",), ("SB",), ("AF SB x", "sinus rhythm")))
    assert table.targets(["AF SB"]) == table.targets(["AF; SB"]) == [0, 1]
    assert table.targets(["AF SB x", "sinus rhythm"]) == [2]
    assert table.targets(["no AF"]) == []
    assert table.unknown(["no AF", "AF SB", "x", "x"]) == {"no AF", "x"}


def test_equivalent_codes_are_one_class(labels):
    assert labels.index_of_code("2") == labels.index_of_code("3") == 1
    with pytest.raises(LabelError, match="code '4' is in none of the 2 classes"):
        labels.index_of_code("4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"labels.csv:1: the header must be `index,name,abbreviation,codes`, but is `an empty file`"),
        ("name,codes\na,1\n", r"labels.csv:1: the header must be .* but is `name,codes`"),
        ("index,name,abbreviation,codes\n", r"labels.csv: the table has no classes"),
        (TABLE + "2,third\n", r"labels.csv:4: expected 4 fields, found 2"),
        (TABLE + "3,third,T,4\n", r"labels.csv:4: index must be 2 .*, but is '3'"),
        (TABLE + "2,third,T,\n", r"labels.csv: class 2 \(third\) has no code"),
        (TABLE + "2,third,T,4|2\n", r"labels.csv: code 2 is in two classes: bundle branch block and third"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(LabelError, match=message):
        read_labels(tmp_path / "labels.csv")


def test_an_absent_table_is_told(tmp_path):
    with pytest.raises(LabelError, match="there is no such table"):
        read_labels(tmp_path / "labels.csv")


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError, match=r"labels.csv: the table cannot be read .*must be CSV in UTF-8"):
        read_labels(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    "text", [WEIGHTS, ",3|2,1\n3|2,1.0,0.5\n1,0.25,1.0\n", ",2,1\n2,1.0,0.5\n1,0.25,1.0\n"]
)
def test_weights_are_in_the_order_of_the_table_whatever_that_of_the_file(tmp_path, labels, text):
    (tmp_path / "weights.csv").write_text(text)
    weights = read_weights(tmp_path / "weights.csv", labels)
    np.testing.assert_array_equal(weights, [[1.0, 0.25], [0.5, 1.0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "weights.csv: not a weight matrix: it has 0 lines"),
        (",1,2\n2,1,1\n1,1,1\n", "the first column must name the same classes as the header"),
        (",1,2\n1,1,1\n", "the first column must name the same classes as the header"),
        (",1,2\n1,1,1\n2,1\n", "weights.csv:3: expected 3 fields, found 2"),
        (",1,2\n1,1,x\n2,1,1\n", "weights.csv:2: weights must be numbers"),
        (",1,2\n1,1,nan\n2,1,1\n", "weights must be finite"),
        (",1\n1,1\n", r"no weights for class 1 \(bundle branch block, 2\|3\)"),
        (",1,2,3\n1,1,1,1\n2,1,1,1\n3,1,1,1\n", r"several weights for class 1 \(.*\): 2, 3; merge them"),
        (",1,2,4\n1,1,1,1\n2,1,1,1\n4,1,1,1\n", "no class of the label table has the codes 4"),
        (",1|2\n1|2,1\n", r"several classes share the codes 1\|2"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, labels, text, message):
    (tmp_path / "weights.csv").write_text(text)
    with pytest.raises(LabelError, match=message):
        read_weights(tmp_path / "weights.csv", labels)


def test_the_challenge_table_has_26_classes_and_fits_its_weights(repo_dir):
    folder = repo_dir / "manifests" / "labels"
    labels = read_labels(folder / "cinc2021.csv")
    weights = read_weights(folder / "cinc2021_weights.csv", labels)
    assert len(labels) == 26
    assert sum(map(len, labels.codes)) == 30  # four diagnoses have two equivalent codes
    assert weights.shape == (26, 26)
    np.testing.assert_array_equal(np.diag(weights), np.ones(26))
    np.testing.assert_allclose(weights, weights.T)
    assert labels.abbreviations[labels.index_of_code("426783006")] == "NSR"
    for pair in (("733534002", "164909002"), ("713427006", "59118001"), ("284470004", "63593006")):
        assert labels.index_of_code(pair[0]) == labels.index_of_code(pair[1])
    assert labels.index_of_code("427172004") == labels.index_of_code("17338001")


def test_the_ptbxl_table_has_the_five_superclasses(repo_dir):
    labels = read_labels(repo_dir / "manifests" / "labels" / "ptbxl_superclass.csv")
    assert labels.abbreviations == ("NORM", "MI", "STTC", "CD", "HYP")
    assert labels.targets(["LVH", "SR", "IMI", "CRBBB"]) == [1, 3, 4]
    assert [labels.targets([name]) for name in labels.abbreviations] == [[0], [1], [2], [3], [4]]


def test_a_table_is_found_by_path_or_by_bare_name(tmp_path, repo_dir):
    folder = repo_dir / "manifests" / "labels"
    (tmp_path / "mine.csv").write_text(TABLE)
    assert find_table(str(tmp_path / "mine.csv"), folder) == tmp_path / "mine.csv"
    assert find_table("cinc2021", folder) == folder / "cinc2021.csv"
    with pytest.raises(LabelError, match=r"no label table 'cinc': .* ships \(cinc2021, code15, ptbxl_all, "):
        find_table("cinc", folder)
    with pytest.raises(LabelError, match="no label table"):
        find_table("../labels/cinc2021", folder)


@pytest.mark.shared
def test_the_shipped_challenge_files_are_the_official_ones(shared_dir, repo_dir):
    official = shared_dir / "reference" / "cinc2021"
    if not official.is_dir():
        pytest.skip(f"no {official}")
    labels = read_labels(repo_dir / "manifests" / "labels" / "cinc2021.csv")
    with (official / "weights.csv").open(newline="") as file:
        groups = next(csv.reader(file))[1:]
    assert ["|".join(codes) for codes in labels.codes] == groups
    shipped = read_weights(repo_dir / "manifests" / "labels" / "cinc2021_weights.csv", labels)
    np.testing.assert_array_equal(shipped, read_weights(official / "weights.csv", labels))
    with (official / "dx_mapping_scored.csv").open(newline="") as file:
        scored = {row["SNOMEDCTCode"]: (row["Dx"], row["Abbreviation"]) for row in csv.DictReader(file)}
    assert set(scored) == set(itertools.chain.from_iterable(labels.codes))
    for codes, name, abbreviation in zip(labels.codes, labels.names, labels.abbreviations):
        assert name == "|".join(scored[code][0] for code in codes)
        assert abbreviation == "|".join(scored[code][1] for code in codes)


@pytest.mark.parametrize(("target", "classes"), [("", []), ("3", [3]), ("3,17", [3, 17])])
def test_a_target_is_the_classes_of_a_segment(target, classes):
    assert parse_target(target) == classes


def test_targets_are_multi_hot_or_refused_where_a_class_is_none():
    manifest = Manifest(Path("train.tsv"), Path("/"), paths=["a", "b", "c"], targets=["", "0", "2,1"])
    assert multi_hot(manifest, 3, "labels.csv").tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 1]]
    with pytest.raises(ManifestError, match=r"train\.tsv:4: class 2, but labels\.csv has 2 classes"):
        multi_hot(manifest, 2, "labels.csv")


def test_a_table_beside_manifests_that_were_not_all_written_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"complete": false}')
    (tmp_path / "labels.csv").write_text("index,name,abbreviation,codes\n0,a,A,1\n")
    with pytest.raises(ManifestError, match="was cut short"):
        read_labels(tmp_path / "labels.csv")
