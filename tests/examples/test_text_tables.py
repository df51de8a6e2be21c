"""`examples/text/tables.py`: figures of ECGs and texts, of one seed or several, as tables."""

import importlib
import json
import sys

import pytest


@pytest.fixture(scope="module")
def tables(repo_dir):
    """The script as a module."""
    before, path = sys.modules.pop("tables", None), list(sys.path)
    sys.path.insert(0, str(repo_dir / "examples" / "text"))
    yield importlib.import_module("tables")
    sys.path[:] = path
    del sys.modules["tables"]
    if before is not None:  # another example has a file of this name
        sys.modules["tables"] = before


def row(method: str, metric: str, value: "float | None", task: str = "zero-shot", **more: object) -> dict:
    return {
        "method": method,
        "task": task,
        "leads": "12",
        "metric": metric,
        "value": value,
        "n": 20,
        **more,
    }


@pytest.fixture
def write(tables, tmp_path, capsys):
    """`write(rows)`: exit code, what is printed, and the page."""

    def call(rows: list) -> tuple:
        (tmp_path / "rows.json").write_text(json.dumps(rows))
        code = tables.main([str(tmp_path / "rows.json"), "--out", str(tmp_path / "out")])
        page = tmp_path / "out" / "results.md"
        captured = capsys.readouterr()
        return code, captured.out + captured.err, page.read_text() if page.exists() else ""

    return call


def test_a_figure_has_its_interval_and_an_undefined_one_is_told(write):
    rows = [
        row("clip", "macro_auroc", 0.9, low=0.8, high=0.95),
        row("clip", "median_rank", None),
        row("clip", "auroc_AF", 0.7),  # of a class: not in the table
    ]
    code, shown, page = write(rows)
    assert code == 0
    assert "| clip | 12 | 0.900 [0.800, 0.950] |  | n/a |" in page
    assert "(20 recordings)" in shown
    assert "0.7" not in page


def test_of_several_seeds_there_is_the_mean_with_its_interval(write):
    rows = [row("clip", "macro_auroc", value, seed=seed) for seed, value in enumerate((0.8, 0.9))]
    _, _, page = write(rows)
    assert "| clip | 12 | 0.850 ± 0.635 |" in page  # t(.975, 1) = 12.71; s / sqrt(2) = .05


def test_questions_have_a_line_a_type(write):
    rows = [
        row(method, metric, value, task="questions")
        for method, value in (("both", 0.5), ("blind", 0.25))
        for metric in ("exact_match", "exact_match_single-verify")
    ]
    _, _, page = write(rows)
    assert "| type | questions | both | blind |" in page
    assert "| all | 20 | 0.500 | 0.250 |" in page
    assert "| single-verify | 20 | 0.500 | 0.250 |" in page


def test_nothing_to_tell_is_told(write):
    code, shown, page = write([row("w2v", "macro_auroc", 0.9, task="classification")])
    assert code == 1
    assert "zero-shot, reports, questions" in shown
    assert page == ""
