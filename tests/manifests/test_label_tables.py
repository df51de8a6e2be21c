"""The label tables that ship: the published numbers of classes, and the statements of the corpora."""

import ast
import csv

import pytest

from fairseq_signals.manifest.labels import read_labels

#: classes of each task on PTB-XL (Strodthoff et al. 2021, arXiv:2004.13701) and on CODE-15%
SIZES = {
    "ptbxl_all": 71,
    "ptbxl_diagnostic": 44,
    "ptbxl_subclass": 23,
    "ptbxl_superclass": 5,
    "ptbxl_form": 19,
    "ptbxl_rhythm": 12,
    "code15": 6,
    "cinc2021": 26,
}


@pytest.fixture
def table_of(repo_dir):
    return lambda name: read_labels(repo_dir / "manifests" / "labels" / f"{name}.csv")


def test_every_shipped_table_has_the_published_number_of_classes(table_of, repo_dir):
    folder = repo_dir / "manifests" / "labels"
    tables = {path.stem for path in folder.glob("*.csv") if not path.stem.endswith("_weights")}
    assert {name: len(table_of(name)) for name in tables} == SIZES


def test_abbreviations_are_distinct(table_of):
    for name in SIZES:
        abbreviations = table_of(name).abbreviations
        assert len(set(abbreviations)) == len(abbreviations), name


def test_every_statement_of_ptbxl_is_diagnostic_or_of_form_or_of_rhythm(table_of):
    kinds = {name: set(table_of(f"ptbxl_{name}").abbreviations) for name in ("diagnostic", "form", "rhythm")}
    assert set.union(*kinds.values()) == set(table_of("ptbxl_all").abbreviations)
    assert kinds["diagnostic"] & kinds["form"] == {"NDT", "NST_", "DIG", "LNGQT"}
    assert kinds["rhythm"].isdisjoint(kinds["diagnostic"] | kinds["form"])


def test_the_tables_of_ptbxl_agree_on_one_record(table_of):
    codes = ["IMI", "LVH", "QWAVE", "AFIB", "1AVB"]
    found = {
        name: [table_of(name).abbreviations[i] for i in table_of(name).targets(codes)]
        for name in SIZES
        if name.startswith("ptbxl")
    }
    assert sorted(found["ptbxl_all"]) == sorted(codes)
    assert sorted(found["ptbxl_diagnostic"]) == ["1AVB", "IMI", "LVH"]
    assert sorted(found["ptbxl_subclass"]) == ["IMI", "LVH", "_AVB"]
    assert sorted(found["ptbxl_superclass"]) == ["CD", "HYP", "MI"]
    assert found["ptbxl_form"] == ["QWAVE"]
    assert found["ptbxl_rhythm"] == ["AFIB"]


def test_the_six_abnormalities_of_code15_keep_the_order_of_its_table(table_of):
    labels = table_of("code15")
    assert labels.abbreviations == ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
    assert labels.targets(["AF", "1dAVb"]) == [0, 5]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "column", "n_classes"),
    [
        ("ptbxl_diagnostic", "diagnostic", 44),
        ("ptbxl_form", "form", 19),
        ("ptbxl_rhythm", "rhythm", 12),
        ("ptbxl_all", "", 71),
        ("ptbxl_subclass", "diagnostic_subclass", 23),
        ("ptbxl_superclass", "diagnostic_class", 5),
    ],
)
def test_the_shipped_statements_are_those_of_the_corpus(table_of, ptbxl_tables, name, column, n_classes):
    """Class by class, from the statement table of the release."""
    labels = table_of(name)
    classes: set = set()
    for row in _rows(ptbxl_tables / "scp_statements.csv"):
        code = row[""]
        is_class = column.startswith("diagnostic_")
        expected = row[column] if is_class else code if not column or row[column] else ""
        assert [labels.abbreviations[i] for i in labels.targets([code])] == ([expected] if expected else [])
        if expected and not is_class:
            assert labels.names[labels.index_of_code(code)] == row["description"]
        classes |= {expected} - {""}
    assert len(classes) == n_classes
    assert classes == set(labels.abbreviations)


@pytest.mark.shared
def test_the_classes_of_real_records_are_those_compiled_by_others(table_of, ptbxl_tables):
    """`ptbxl_labels.csv` was compiled from other people's split tables, which drop the underscores."""
    compiled = {row["ecg_id"]: row for row in _rows(ptbxl_tables / "ptbxl_labels.csv")}
    columns = {
        "ptbxl_superclass": "super_class",
        "ptbxl_subclass": "sub_class",
        "ptbxl_form": "form",
        "ptbxl_rhythm": "rhythm",
    }
    n_compared = 0
    for row in _rows(ptbxl_tables / "ptbxl_database.csv"):
        codes = ast.literal_eval(row["scp_codes"])
        for name, column in columns.items():
            labels = table_of(name)
            ours = {labels.abbreviations[i].strip("_") for i in labels.targets(codes)}
            assert ours == set(compiled[row["ecg_id"]][column].split()), (row["ecg_id"], name)
            n_compared += 1
    assert n_compared > 1000


@pytest.fixture
def ptbxl_tables(shared_dir):
    """The folder of PTB-XL's own tables."""
    table = next(iter(sorted(shared_dir.glob("real_ecg/*/scp_statements.csv"))), None)
    if table is None:
        pytest.skip("no scp_statements.csv in the shared data")
    for name in ("ptbxl_database.csv", "ptbxl_labels.csv"):
        if not (table.parent / name).is_file():
            pytest.skip(f"no {name} in the shared data")
    return table.parent


def _rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
