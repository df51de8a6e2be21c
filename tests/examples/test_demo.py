"""`examples/quickstart/demo.py`, as `make demo` runs it, on a handful of patients."""

import json
import re
import subprocess
import sys
from pathlib import Path

import fairseq
import pytest


@pytest.fixture(scope="module")
def outputs(repo_dir, tmp_path_factory):
    if not (Path(fairseq.__file__).parents[1] / "fairseq_signals").is_dir():
        pytest.skip("common.user_dir=fairseq_signals needs a regular install of the package")
    out = tmp_path_factory.mktemp("demo")
    command = [sys.executable, str(repo_dir / "examples" / "quickstart" / "demo.py"), "--out", str(out)]
    done = subprocess.run(
        [*command, "--patients", "60", "--updates", "2", "--seeds", "1"],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out, done.stdout


def test_results_hold_every_method_task_and_lead_set(outputs):
    out, _ = outputs
    rows = json.loads((out / "results.json").read_text())
    metrics = {"classification": ("cinc_score", "macro_auroc"), "identification": ("accuracy",)}
    expected = {
        (method, task, leads, metric)
        for method in ("all_leads", "random_init")
        for task, names in metrics.items()
        for leads in ("12", "6", "3", "2", "1")
        for metric in names
    }
    assert {(r["method"], r["task"], r["leads"], r["metric"]) for r in rows} == expected
    assert len(rows) == len(expected)
    assert all(row["n"] > 0 for row in rows)


def test_table_and_picture_are_written(outputs):
    out, _ = outputs
    table = (out / "results.md").read_text()
    assert "chance level" in table
    assert "Synthetic" in table
    less = table.split("Less random_init")[1]
    assert less.count("| all_leads |") == 3
    assert (out / "results.png").read_bytes().startswith(b"\x89PNG")


def test_every_command_is_shown_as_it_can_be_typed(outputs):
    _, shown = outputs
    commands = [line for line in shown.splitlines() if line.startswith("$ ")]
    assert len(commands) == 16
    assert sum("fairseq-hydra-train" in command for command in commands) == 5
    assert sum("common.user_dir=fairseq_signals" in command for command in commands) == 5
    assert "no violations" in shown


def test_the_time_that_is_left_is_told_with_each_step(outputs):
    _, shown = outputs
    heads = re.findall(r"^\[(\d+)/16, \d+ s, about (\d+) (s|min) left\]", shown, re.MULTILINE)
    assert sorted(int(number) for number, _, _ in heads) == list(range(1, 17))
    assert heads[-1][2] == "s"
