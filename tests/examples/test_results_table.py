"""`examples/quickstart/results_table.py`: result rows to table, Markdown and chart."""

import json
import math
import re
import runpy

import pytest

from fairseq_signals.benchmark.scores import scores_of
from fairseq_signals.evaluation.results import result_rows, write_results
from fairseq_signals.evaluation.saved_results import SavedEvaluation, write_evaluation
from tests.benchmark.made_up import outcome


@pytest.fixture(scope="module")
def script(repo_dir):
    folder = repo_dir / "examples" / "quickstart"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        return runpy.run_path(str(folder / "results_table.py"))


def rows(value=lambda method, seed, i: 0.5 + 0.1 * (method == "pretrained") - 0.01 * i, seeds=(None,)):
    found = []
    for method in ("pretrained", "random_init"):
        for seed in seeds:
            for i, leads in enumerate(("1", "12", "2")):
                for task, metric, v, n in (
                    ("classification", "macro_auroc", value(method, seed, i), 30),
                    ("identification", "accuracy", value(method, seed, i) - 0.2, 8),
                    ("identification", "chance", 0.125, 8),
                ):
                    row = {
                        "method": method,
                        "task": task,
                        "leads": leads,
                        "metric": metric,
                        "value": v,
                        "n": n,
                    }
                    found.append(row if seed is None else {**row, "seed": seed})
    return found


def run(script, folder, content, *options):
    (folder / "results.json").write_text(json.dumps(content))
    return script["main"]([str(folder / "results.json"), *options])


def test_one_table_of_methods_by_lead_sets_with_chance_and_mean(script, tmp_path, capsys):
    assert run(script, tmp_path, rows(), "--title", "Synthetic ECG", "--no-chart") == 0
    page = (tmp_path / "results.md").read_text().splitlines()
    assert page[0] == "# Synthetic ECG"
    assert page[2:9] == [
        "| metric | method | 12 leads | 2 leads | 1 lead | mean |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| macro AUROC | pretrained | 0.590 | 0.580 | 0.600 | 0.590 |",
        "| macro AUROC | random_init | 0.490 | 0.480 | 0.500 | 0.490 |",
        "| identification accuracy | pretrained | 0.390 | 0.380 | 0.400 | 0.390 |",
        "| identification accuracy | random_init | 0.290 | 0.280 | 0.300 | 0.290 |",
        "| identification accuracy | chance level | 0.125 | 0.125 | 0.125 | 0.125 |",
    ]
    assert "- classification: n = 30 test records" in page
    shown = capsys.readouterr().out
    assert "pretrained" in shown
    assert "12 leads" in shown


def test_seeds_become_a_mean_with_its_confidence_interval(script):
    values = {1: 0.6, 2: 0.7, 3: 0.8}
    lines = script["summarise"](rows(lambda method, seed, i: values[seed], seeds=values))
    cell = lines[0].cells["12"]
    # t(0.975, 2 degrees of freedom) = 4.302653, standard deviation 0.1, three seeds
    assert cell.mean == pytest.approx(0.7)
    assert cell.half_width == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-6)
    assert str(cell) == "0.700 ± 0.248"


def test_the_interval_of_the_mean_over_lead_sets_is_over_seeds(script):
    # seeds agree on the mean over lead sets, though not on any lead set
    shift = {1: (0.1, -0.1, 0.0), 2: (-0.1, 0.1, 0.0)}
    lines = script["summarise"](rows(lambda method, seed, i: 0.5 + shift[seed][i], seeds=shift))
    assert lines[0].cells["12"].half_width > 0.5
    assert lines[0].cells["mean"].half_width == pytest.approx(0, abs=1e-12)


def test_differences_from_a_method_are_those_of_the_means_and_have_intervals(script, tmp_path, capsys):
    found = []
    for method, quality in (("random_init", 0.5), ("pretrained", 0.9)):
        for seed in (1, 2):
            for task in ("classification", "identification"):
                made = outcome("x", task, quality, seed, ("12", "1"), 60)
                write_evaluation(tmp_path / "saved" / f"{task}-{method}-{seed}.npz", made, method)
                saved = SavedEvaluation.of(made, method)
                for i, leads in enumerate(saved.leads):
                    made.values[leads] = {k: score.value for k, score in scores_of(saved, i, 1).items()}
                found += result_rows(made, method, seed)
    write_results(tmp_path / "results.json", found)
    options = ("--less", "random_init", "--saved", str(tmp_path / "saved"), "--no-chart")
    assert script["main"]([str(tmp_path / "results.json"), *options]) == 0
    table, less = (tmp_path / "results.md").read_text().split("Less random_init")
    assert table.index("pretrained") < table.index("random_init")
    assert "macro AUROC" in less
    cells = re.findall(r"(-?[.\d]+) \[(-?[.\d]+), (-?[.\d]+)\]", less)
    assert len(cells) == 2 * 3
    for value, low, high in cells:
        assert float(low) < float(value) < float(high)
    means = [float(cell) for cell in re.findall(r"([.\d]+) ±", table)]
    wanted = [ours - theirs for i in (0, 6) for ours, theirs in zip(means[i : i + 3], means[i + 3 : i + 6])]
    assert [float(value) for value, _, _ in cells] == pytest.approx(wanted, abs=0.0011)


def test_undefined_values_are_shown_and_counted(script, tmp_path, capsys):
    content = rows()
    content[0]["value"] = None
    run(script, tmp_path, content, "--no-chart")
    assert "n/a: not measured or not defined" in capsys.readouterr().out
    content = rows(seeds=(1, 2))
    content[0]["value"] = None
    run(script, tmp_path, content, "--no-chart")
    assert "1 undefined values are left out" in capsys.readouterr().out


def test_chance_is_shown_per_method_where_galleries_differ(script):
    content = rows()
    for row in content:
        if row["metric"] == "chance" and row["method"] == "pretrained":
            row["value"] = 0.5
    names = [line.method for line in script["summarise"](content)]
    assert names[-2:] == ["chance level, pretrained", "chance level, random_init"]


def test_a_chart_is_drawn_beside_the_table(script, tmp_path):
    pytest.importorskip("matplotlib")
    assert run(script, tmp_path, rows(seeds=(1, 2)), "--out", str(tmp_path / "new")) == 0
    assert (tmp_path / "new" / "results.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_without_known_metrics_is_an_error(script, tmp_path, capsys):
    assert run(script, tmp_path, [], "--no-chart") == 1
    assert "there is no row of cinc_score" in capsys.readouterr().err
