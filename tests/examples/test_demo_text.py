"""`examples/quickstart/demo_text.py`, as `make demo-text` runs it, on a handful of patients."""

import json
import subprocess
import sys
from pathlib import Path

import fairseq
import pytest


@pytest.fixture(scope="module")
def outputs(repo_dir, tmp_path_factory):
    if not (Path(fairseq.__file__).parents[1] / "fairseq_signals").is_dir():
        pytest.skip("common.user_dir=fairseq_signals needs a regular install of the package")
    out = tmp_path_factory.mktemp("demo_text")
    command = [sys.executable, str(repo_dir / "examples" / "quickstart" / "demo_text.py"), "--out", str(out)]
    done = subprocess.run(
        [*command, "--patients", "60", "--updates", "2"], capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out, done.stdout


def test_every_row_and_its_controls_are_measured(outputs):
    out, _ = outputs
    rows = json.loads((out / "results.json").read_text())
    found = {(row["task"], row["method"]) for row in rows}
    zero_shot = ("clip", "clip, untrained", "clip, shuffled pairs", "clip, text only")
    reports = ("written", "written for others", "commonest", "classifier")
    questions = ("ECGs and questions", "questions alone (blind)", "ECGs alone (deaf)")
    assert found == {
        (task, method)
        for task, methods in (("zero-shot", zero_shot), ("reports", reports), ("questions", questions))
        for method in methods
    }
    assert {row["seed"] for row in rows} == {1}
    own = {row["leads"] for row in rows if row["method"] == "clip"}
    assert own == {"12", "2", "1"}


def test_the_tables_have_all_of_it(outputs):
    out, shown = outputs
    page = (out / "results.md").read_text()
    for line in ("| clip, text only | texts |", "| classifier | I,II,V1 |", "| single-verify |"):
        assert line in page
    assert "Written: " in shown


def test_a_test_patient_finds_reports_of_others(outputs):
    _, shown = outputs
    retrieved = shown.split("Retrieve: ")[1]
    assert "vote: " in retrieved
    assert "no violations" in shown
