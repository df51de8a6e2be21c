"""Result files and plain tables."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from fairseq_signals.evaluation.results import ResultsError, format_table, read_results, write_results


def row(method="a", leads="12", value=0.5, **more):
    return {
        "method": method,
        "task": "classification",
        "leads": leads,
        "metric": "macro_auroc",
        "value": value,
        "n": 3,
        **more,
    }


def test_rows_survive_writing_and_reading(tmp_path):
    rows = [row(), row(leads="I+V2", value=1.0), row("b", seed=3)]
    write_results(tmp_path / "new" / "r.json", rows)
    assert read_results(tmp_path / "new" / "r.json") == rows


def test_nan_is_written_as_null(tmp_path):
    write_results(tmp_path / "r.json", [row(value=float("nan"))])
    assert json.loads((tmp_path / "r.json").read_text())[0]["value"] is None


def test_appending_keeps_other_rows_and_replaces_the_same_measurement(tmp_path):
    path = tmp_path / "r.json"
    write_results(path, [row("a"), row("b", value=0.1)], append=True)
    write_results(path, [row("b", value=0.9), row("b", value=0.7, seed=1), row("c")], append=True)
    assert [(r["method"], r["value"]) for r in read_results(path)] == [
        ("a", 0.5),
        ("b", 0.9),
        ("b", 0.7),
        ("c", 0.5),
    ]


def test_rows_that_are_appended_at_once_are_all_there(tmp_path):
    methods = [f"m{i}" for i in range(30)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda method: write_results(tmp_path / "r.json", [row(method)], True), methods))
    assert sorted(found["method"] for found in read_results(tmp_path / "r.json")) == sorted(methods)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_is_replaced_without_append_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "r.json"
    write_results(path, [row("a")])
    write_results(path, [row("b")])
    assert [r["method"] for r in read_results(path)] == ["b"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_file_is_not_overwritten_by_appending(tmp_path):
    path = tmp_path / "r.json"
    path.write_text("[{")
    with pytest.raises(ResultsError, match="not a readable JSON file"):
        write_results(path, [row()], append=True)
    assert path.read_text() == "[{"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "expected a list of rows, found dict"),
        ('[{"method": "a"}]', "row 0 lacks task, leads, metric, value, n"),
        (json.dumps([row(value="0.5")]), "row 0: value must be a number from .* but is '0.5'"),
        (json.dumps([row(value=float("nan"))]), "row 0: value must be a number from .* but is nan"),
        (json.dumps([row(leads=["I"])]), r"row 0: leads must be a text .* but is \['I'\]"),
        (json.dumps([row(n=-1)]), "row 0: n must be an integer from 0"),
        ("[" * 100_000, "nested deeper than 32 levels"),
        (json.dumps([row(), row()]), "rows 0 and 1 are both for"),
    ],
)
def test_what_is_not_a_results_file_is_refused(tmp_path, text, message):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ResultsError, match=message):
        read_results(tmp_path / "r.json")


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ResultsError, match="fairseq-signals evaluate"):
        read_results(tmp_path / "r.json")


def test_tables_are_aligned():
    assert format_table(["name", "x"], [["a", "1.5"], ["longer", "10.5"]]).splitlines() == [
        "name       x",
        "------  ----",
        "a        1.5",
        "longer  10.5",
    ]
