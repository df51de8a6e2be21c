"""`examples/paper/tables.py`: intervals over seeds, the paper's layout, one tidy file."""

from __future__ import annotations

import csv
import json
import math

import pytest

SEEDS = (1, 2, 3)
METRICS = {"classification": ("cinc_score", "macro_auroc"), "identification": ("accuracy", "chance")}


@pytest.fixture
def write_results(paper, tmp_path):
    """`write_results(table, value)`: result files for a table; `value(cell, metric, seed)`."""

    def write(table, value, seeds=SEEDS):
        seen = set()
        for cell in paper.published.cells_of(table):
            for seed in seeds if cell.is_run and cell.result not in seen else ():
                task, method, pretrained_on, leads = cell.result
                metrics = (
                    ("cinc_score", "macro_auroc") if task == "classification" else ("accuracy", "chance")
                )
                about = {"method": method, "task": task, "leads": leads, "pretrained_on": pretrained_on}
                about.update(n=40 if task == "classification" else 25, seed=seed)
                rows = [{**about, "metric": m, "value": value(cell, m, seed)} for m in metrics]
                path = tmp_path / "results" / "/".join(cell.result) / f"{seed}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(rows))
            seen.add(cell.result)
        return tmp_path

    return write


def published_or_half(cell, metric, seed):
    return 0.04 if metric == "chance" else cell.mean + 0.1 * (seed - 2)


def run(paper, folder, table, *options, chart=False):
    arguments = [table, "--results", str(folder / "results"), "--out", str(folder), *options]
    arguments += [] if chart else ["--no-chart"]
    return paper.tables.main([*arguments, "--seeds", *map(str, SEEDS)])


def test_the_interval_is_students(paper):
    # mean 2, standard deviation 1, three seeds: t(0.975, 2) = 4.302653, over the root of 3
    interval = paper.tables.Interval(*paper.tables.mean_over_seeds([1.0, 2.0, 3.0]))
    assert interval.mean == pytest.approx(2)
    assert interval.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    # two seeds: t(0.975, 1) = 12.706205, s = 0.1 / sqrt(2), over the root of 2: 12.706205 * 0.05
    interval = paper.tables.Interval(*paper.tables.mean_over_seeds([0.5, 0.6]))
    assert interval.half_width == pytest.approx(12.706205 * 0.05, rel=1e-6)
    assert str(interval) == "0.550 ± 0.635"


def test_one_seed_has_no_interval_and_none_no_mean(paper):
    assert str(paper.tables.Interval(*paper.tables.mean_over_seeds([0.25]))) == "0.250"
    assert str(paper.tables.Interval(*paper.tables.mean_over_seeds([]))) == "-"
    assert str(paper.tables.Interval(*paper.tables.mean_over_seeds([0.25, math.nan]))) == "0.250"


@pytest.mark.parametrize("table", ["1", "2", "3", "4"])
def test_a_page_has_the_papers_rows_and_columns_with_both_figures(paper, write_results, table):
    folder = write_results(table, published_or_half)
    assert run(paper, folder, table, "--scale", "demo") == 0
    lines = (folder / f"table{table}.md").read_text().splitlines()
    cells = paper.published.cells_of(table)
    labels = paper.published.labels_in_order(cells)
    for task, title in (("Dx", "## Dx: CinC 2021 score"), ("Id", "## Id: top-1 accuracy")):
        begin = lines.index(title) + 2
        rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines[begin:]]
        assert rows[0] == ["method", "", *paper.published.columns_in_order(cells, task)]
        body = rows[2 : 2 + 2 * len(labels)]
        assert [row[0] for row in body[::2]] == labels
        assert [row[1] for row in body] == ["here", "paper"] * len(labels)
        for label, here, published in zip(labels, body[::2], body[1::2]):
            expected = [c for c in cells if (c.label, c.task) == (label, task)]
            assert published[2:] == [f"{c.mean:.3f} ± {c.ci95:.3f}" if c.is_run else "-" for c in expected]
            # 0.1 apart in three seeds: 0.1 * 4.302653 / sqrt(3)
            assert here[2:] == [f"{c.mean:.3f} ± 0.248" if c.is_run else "-" for c in expected]


def test_chance_and_sizes_are_told(paper, write_results):
    folder = write_results("3", published_or_half)
    run(paper, folder, "3")
    page = (folder / "table3.md").read_text()
    assert "| chance   | here  |         0.040 |" in page
    assert "- classification: 40 test records" in page
    assert "- identification: 25 probes" in page
    assert "over 3 seeds" in page


def test_undefined_values_are_left_out_and_counted(paper, write_results):
    def value(cell, metric, seed):
        undefined = (cell.label, cell.column, metric, seed) == ("W2V", "12-lead", "cinc_score", 1)
        return None if undefined else 0.5

    folder = write_results("3", value)
    run(paper, folder, "3")
    page = (folder / "table3.md").read_text()
    assert "1 undefined values are left out" in page


def test_other_data_are_owned_up_to(paper, write_results):
    folder = write_results("3", published_or_half)
    run(paper, folder, "3")
    assert "do not compare" not in (folder / "table3.md").read_text()
    run(paper, folder, "3", "--other-data")
    assert "do not compare" in (folder / "table3.md").read_text()


def test_the_tidy_file_has_a_row_a_cell_seed_and_metric_of_all_tables(paper, write_results):
    folder = write_results("1", published_or_half)
    write_results("2", published_or_half)
    for table in ("2", "1", "2"):
        assert run(paper, folder, table, "--scale", "small") == 0
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == paper.tables.FIELDS
    assert [row["table"] for row in rows] == ["1"] * (70 * 3 * 2) + ["2"] * (48 * 3 * 2)
    keys = [(r["table"], r["label"], r["task"], r["column"], r["seed"], r["metric"]) for r in rows]
    assert len(set(keys)) == len(keys)
    row = next(r for r in rows if r["column"] == "P-6-lead" and r["metric"] == "cinc_score")
    assert {k: row[k] for k in ("label", "method", "pretrained_on", "leads", "seed", "n", "scale")} == {
        "label": "Random Init.",
        "method": "random_init",
        "pretrained_on": "12",
        "leads": "6",
        "seed": "1",
        "n": "40",
        "scale": "small",
    }
    assert float(row["value"]) == pytest.approx(0.522 - 0.1)


def test_seeds_that_were_not_asked_for_do_not_count(paper, write_results):
    folder = write_results("3", lambda cell, metric, seed: 0.9 if seed == 4 else 0.5, seeds=(1, 2, 3, 4))
    run(paper, folder, "3")
    assert "0.500 ± 0.000" in (folder / "table3.md").read_text()


def test_a_missing_result_is_named(paper, write_results, capsys):
    folder = write_results("3", published_or_half, seeds=(1, 2))
    assert run(paper, folder, "3") == 1
    assert "seed 3" in capsys.readouterr().err
    assert not (folder / "table3.md").exists()


def test_the_chart_is_a_picture(paper, write_results):
    pytest.importorskip("matplotlib")
    folder = write_results("4", published_or_half)
    run(paper, folder, "4", chart=True)
    assert (folder / "table4.png").read_bytes().startswith(b"\x89PNG")
