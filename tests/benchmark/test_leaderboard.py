"""The tables and the page of a run whose methods are made up: their order is known, a title is dangerous."""

import csv
import re
from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fairseq_signals.benchmark import page, table
from fairseq_signals.benchmark.scores import holm
from fairseq_signals.evaluation.saved_results import read_evaluation, write_evaluation
from fairseq_signals.metrics.bootstrap import intervals
from fairseq_signals.metrics.weighted import Areas
from tests.benchmark.made_up import NASTY, make_run, outcome
from tests.browser import SCREENS

METHODS = {"random": 0.2, "nasty": 0.4, "middle": 0.6, "good": 1.0}
ORDER = ["good", "middle", "nasty", "random"]
TASKS = {
    "dx": ("classification", "PTB-XL"), "who": ("identification", "ECG-ID"), "age": ("regression", "PTB-XL")
}  # fmt: skip
SECTIONS = ["All tasks", "Leaderboard", "Cost against quality", "Methods", "How to read it"]
COLUMN = "[...document.querySelectorAll('.board[open] .sortable tbody tr')].map(r => r.cells[0].innerText)"


def made(folder, *args, **options):
    """The folder of a run with its tables and page."""
    make_run(folder, *args, **options)
    assert table.main([str(folder), "--resamples", "100"]) == 0
    assert page.main([str(folder)]) == 0
    return folder


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("run"), METHODS, TASKS, leads=("12", "1"), n_patients=40)


@pytest.fixture(scope="module")
def html(run):
    return (run / "leaderboard.html").read_text()


def test_every_cell_has_the_value_and_interval_of_its_file(run):
    cells = rows(run / "benchmark.csv")
    counts = Counter((r["task"], r["protocol"], r["fraction"]) for r in cells)
    per_metric = 4 * 2 * 3  # methods, seeds, two lead sets and their mean
    assert counts["dx", "linear", "100"] == counts["dx", "linear", "10"] == 2 * per_metric
    assert counts["who", "cosine", "100"] == per_metric
    assert counts["age", "linear", "100"] == 4 * per_metric
    one = [
        r for r in cells if (r["method"], r["seed"], r["task"], r["leads"], r["fraction"], r["metric"])
        == ("good", "2", "dx", "1", "100", "macro_auroc")
    ]  # fmt: skip
    saved = read_evaluation(run / "results/good/seed2/dx-linear-100.npz")
    labels, scores = saved.arrays["labels"], saved.arrays["probabilities"][1]
    assert float(one[0]["value"]) == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    bounds = intervals([Areas(labels, scores, saved.arrays["patient_ids"])], 100)["macro_auroc"]
    assert (float(one[0]["low"]), float(one[0]["high"])) == pytest.approx(bounds, abs=1e-6)
    assert (one[0]["corpus"], one[0]["n_records"], one[0]["n_patients"]) == ("PTB-XL", "80", "40")
    assert (one[0]["n_train"], one[0]["parameters"], one[0]["updates"]) == ("80", "1500000", "1164")
    assert {r["updates"] for r in cells if r["method"] == "random"} == {"0"}


def test_methods_have_the_mean_over_seeds_and_rank_as_they_were_made(run):
    board = [r for r in rows(run / "leaderboard.csv") if (r["task"], r["fraction"]) == ("dx", "100")]
    cells = [r for r in rows(run / "benchmark.csv") if (r["task"], r["fraction"]) == ("dx", "100")]
    for leads in ("12", "1", "mean"):
        values = {r["method"]: float(r["value"]) for r in board if r["leads"] == leads}
        assert sorted(values, key=values.get, reverse=True) == ORDER
        of_seeds = [float(r["value"]) for r in cells
                    if (r["method"], r["leads"], r["metric"]) == ("good", leads, "macro_auroc")]  # fmt: skip
        assert values["good"] == pytest.approx(np.mean(of_seeds), abs=1e-6)
    errors = {r["method"]: float(r["value"]) for r in rows(run / "leaderboard.csv") if r["task"] == "age"}
    assert errors["good"] < errors["random"]


def test_pairs_are_corrected_for_their_number_and_name_the_better_method_first(run):
    pairs = rows(run / "pairs.csv")
    groups = {(r["task"], r["leads"], r["fraction"]) for r in pairs}
    for group in groups:
        of = [r for r in pairs if (r["task"], r["leads"], r["fraction"]) == group]
        assert len(of) == 6
        known = [float(r["p"] or "nan") for r in of]
        found = [float(r["p_holm"] or "nan") for r in of]
        np.testing.assert_allclose(found, holm(known), rtol=1e-4)
        assert [r["decided"] == "yes" for r in of] == [p < 0.05 for p in found]
        sign = -1 if group[0] == "age" else 1
        assert all(sign * float(r["difference"]) >= 0 for r in of)
    best = [r for r in pairs if (r["task"], r["leads"], r["method"], r["than"], r["fraction"])
            == ("dx", "mean", "good", "random", "100")]  # fmt: skip
    assert (best[0]["decided"], best[0]["share"]) == ("yes", "1")


def test_results_of_other_settings_are_left_out_and_told_of(tmp_path, capsys):
    make_run(
        tmp_path, {"a": 0.3, "b": 0.5}, {"dx": TASKS["dx"]}, leads=("1",), fractions=(100,), n_patients=20
    )
    for place in ("old/seed1/dx-linear-100", "a/seed9/dx-linear-100", "a/seed1/other-linear-100"):
        path = tmp_path / f"results/{place}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_evaluation(path, outcome("dx", "classification", 0.5, 1, ["1"], 20), "x")
    assert table.main([str(tmp_path), "--resamples", "20"]) == 0
    assert "left out 3 results files" in capsys.readouterr().err
    assert {(r["method"], r["seed"]) for r in rows(tmp_path / "benchmark.csv")} == {
        (name, seed) for name in "ab" for seed in "12"
    }


def test_results_of_other_records_are_refused_by_the_name_of_their_file(tmp_path, capsys):
    make_run(
        tmp_path, {"a": 0.3, "b": 0.5}, {"dx": TASKS["dx"]}, leads=("1",), fractions=(100,), n_patients=20
    )
    path = tmp_path / "results/b/seed1/dx-linear-100.npz"
    write_evaluation(path, outcome("dx", "classification", 0.5, 1, ["1"], 21), "b")
    assert table.main([str(tmp_path)]) == 1
    assert f"error: {path}: different numbers of" in capsys.readouterr().err


def test_a_model_that_takes_fewer_leads_is_compared_on_those(tmp_path):
    make_run(
        tmp_path,
        {"a": 0.3, "b": 0.5, "c": 0.6},
        {"dx": TASKS["dx"]},
        ("12", "1"),
        (1,),
        (100,),
        n_patients=20,
    )
    path = tmp_path / "results/c/seed1/dx-linear-100.npz"
    write_evaluation(path, outcome("dx", "classification", 0.6, 1, ["1"], 20), "c")
    assert table.main([str(tmp_path), "--resamples", "20"]) == 0
    assert page.main([str(tmp_path)]) == 0
    there = Counter(r["leads"] for r in rows(tmp_path / "leaderboard.csv"))
    assert there == {"12": 2, "mean": 2, "1": 3}
    assert "Method c" in (tmp_path / "leaderboard.html").read_text()


def test_a_run_without_results_says_so(tmp_path, capsys):
    make_run(tmp_path, {"a": 0.3, "b": 0.4}, {})
    assert table.main([str(tmp_path)]) == 1
    assert "run the benchmark first" in capsys.readouterr().err
    assert page.main([str(tmp_path)]) == 1
    assert "leaderboard.csv" in capsys.readouterr().err


def test_the_page_holds_all_tables_without_its_script(html):
    static = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert static.count('<details class="board"') == 5
    assert re.findall("<h2[^>]*>(.*?)</h2>", static) == SECTIONS
    assert static.count('<td class="value"') == 5 * 4 * 3
    assert static.count('class="pairs"') == 5 * 3
    assert len(re.findall('<td class="(decided|open)">', static)) == 5 * 3 * 6
    assert "There is no diagram of critical differences: it takes 15" in static
    assert static.count("<caption>") == static.count("<table") - static.count('class="facts"') - 5


def test_the_page_marks_the_orders_that_are_decided(run, html):
    decided = sum(r["decided"] == "yes" for r in rows(run / "pairs.csv"))
    assert 0 < decided < len(rows(run / "pairs.csv"))
    assert html.count('<td class="decided">') == decided


def test_nothing_of_a_title_acts_and_nothing_is_loaded(html):
    assert NASTY not in html
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert not re.findall(r"(?:src|href)=[\"'](?!#)", html)
    assert html.count("<script") == 1
    assert "default-src 'none'" in html


def test_the_text_has_values_and_differences_from_the_baseline(run):
    text = (run / "leaderboard.md").read_text()
    assert "<img" not in text.replace("\\<img", "")
    boards = text.split("\n## ")[1:]
    assert len(boards) == 6
    lines = [line for line in boards[0].splitlines() if line.startswith("| Method good")]
    assert len(lines) == 2
    assert "**+" in lines[1]
    assert "| random start | 0 |" in boards[-1]


def test_from_fifteen_cells_on_there_is_a_diagram(tmp_path):
    tasks = {f"t{i}": ("classification", f"C{i}") for i in range(15)}
    folder = made(
        tmp_path,
        {"a": 0.2, "b": 0.5, "c": 1.0},
        tasks,
        leads=("1",),
        seeds=(1,),
        fractions=(100,),
        n_patients=12,
    )
    html = (folder / "leaderboard.html").read_text()
    assert "critical difference 0.86" in html  # 2.343 sqrt(3 4 / (6 15)), Demsar 2006, table 5
    assert "no diagram" not in html


@pytest.mark.parametrize("screen", SCREENS)
def test_a_browser_sorts_and_shows_what_is_chosen(browser, run, screen):
    browser.resize(*SCREENS[screen])
    browser.open(run / "leaderboard.html")
    width = browser.ask("document.documentElement.clientWidth")
    browser.ask("document.querySelectorAll('details.method').forEach(d => d.open = true)")
    assert browser.ask("document.documentElement.scrollWidth") <= width, "the page is wider than the screen"
    titles = [NASTY if name == "nasty" else f"Method {name}" for name in ORDER[:3]] + ["random start"]
    assert browser.ask(COLUMN) == titles
    button = "document.querySelectorAll('.board[open] .sortable th button')[1]"
    browser.ask(f"{button}.click()")
    assert browser.ask(f"{button}.parentElement.getAttribute('aria-sort')") == "descending"
    browser.ask(f"{button}.focus()")
    for kind in ("rawKeyDown", "char", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text="\r")
    assert browser.ask(f"{button}.parentElement.getAttribute('aria-sort')") == "ascending"
    assert browser.ask(COLUMN) == titles[::-1]
    choose = "(([k, v]) => { const f = document.forms[0]; f.elements[k].value = v; " \
             "f.dispatchEvent(new Event('change')); })"  # fmt: skip
    browser.ask(f"{choose}(['task', 'age'])")
    browser.ask(f"{choose}(['leads', '1'])")
    assert browser.ask(COLUMN) == titles  # the least error first
    shown = (
        "[...document.querySelectorAll('.board[open] thead th[data-leads]')].filter(t => !t.hidden).length"
    )
    assert browser.ask(shown) == 1
    assert browser.ask("document.querySelectorAll('.board:not([hidden])').length") == 1
    heights = "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)"
    assert min(height for height in browser.ask(heights) if height) > 10, "labels are too small"
    assert not browser.complaints()
    assert browser.requests() == [(run / "leaderboard.html").as_uri()]
