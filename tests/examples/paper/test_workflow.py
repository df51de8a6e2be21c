"""`examples/paper/Snakefile` as a user calls it: what it plans, what it does, what a kill leaves of it."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip(
    "snakemake", minversion="9", reason="reads the output of Snakemake 9, which needs Python 3.11"
)

N_SEEDS = 3
#: By table: methods pre-trained on 12 leads, models fine-tuned from those, and both on fewer leads.
PLANS = {
    "1": {"pretrained": 6, "padded": 7 * 5, "exact_pretrained": 0, "exact": 0},
    "2": {"pretrained": 4, "padded": 5 * 1, "exact_pretrained": 4 * 4 - 1, "exact": 5 * 4 - 1},
    "3": {"pretrained": 4, "padded": 4 * 5, "exact_pretrained": 0, "exact": 0},
    "4": {"pretrained": 5, "padded": 5 * 5, "exact_pretrained": 0, "exact": 0},
    "1234": {"pretrained": 12, "padded": 13 * 5, "exact_pretrained": 4 * 4 - 1, "exact": 5 * 4 - 1},
}


class Workflow:
    """Snakemake in a process group of its own, with its output in a file."""

    def __init__(self, command: list[str], folder: Path, root: Path, log: Path):
        self.log = log
        env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        """SIGKILL to Snakemake and all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def finish(self, exit_code: int = 0) -> str:
        """Wait for the end; returns the output."""
        assert self.process.wait(timeout=900) == exit_code, self.output[-5000:]
        return self.output

    def wait_for(self, condition) -> None:
        """Wait, while it runs, until the condition holds."""
        deadline = time.monotonic() + 600
        while not condition():
            assert self.process.poll() is None, self.output[-5000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def start(paper_dir, tmp_path):
    """`start(config, *arguments)`: a `Workflow`, started in some other folder than the checkout."""
    workflows = []

    def run(config: object, *arguments: str) -> Workflow:
        command = [sys.executable, "-m", "snakemake", *arguments, "-s", str(paper_dir / "Snakefile")]
        command += ["--configfile", str(config), "--cores", "2"]
        log = tmp_path / f"output{len(workflows)}.txt"
        workflows.append(Workflow(command, tmp_path, paper_dir.parents[1], log))
        return workflows[-1]

    yield run
    for workflow in workflows:
        workflow.kill()


def planned(output: str) -> dict[str, int]:
    """Jobs by rule, out of the table of costs."""
    table = output[output.index("and its cost") :].partition("about")[0]
    return {rule: int(n.replace(",", "")) for rule, n in re.findall(r"^(\w+) +([\d,]+)", table, re.MULTILINE)}


@pytest.mark.parametrize(
    ("scale_name", "asked"), [("paper", "1 2 3 4"), ("demo", "2 1234"), ("small", "1234")]
)
def test_a_dry_run_of_every_table_counts_its_jobs_and_their_cost(start, paper_dir, scale_name, asked):
    """Each table by itself, or all four in one run, where they share models; a start costs 2 CPU s."""
    config = paper_dir / "config" / f"{scale_name}.yaml"
    names = {tables: [f"table{number}" for number in tables] for tables in asked.split()}
    workflows = {tables: start(config, *names[tables], "--dry-run", "--quiet") for tables in names}
    for tables, workflow in workflows.items():
        jobs, plan = planned(workflow.finish()), PLANS[tables]
        # the demo trains a method's lead sets in one job
        padded = plan["padded"] if scale_name != "demo" else plan["padded"] // (1 if tables == "2" else 5)
        assert jobs["pretrain"] == plan["pretrained"] + plan["exact_pretrained"]
        assert jobs["finetune"] == jobs["evaluate"] == (padded + plan["exact"]) * 2 * N_SEEDS
        assert jobs["store"] == (1 if scale_name == "demo" else 2)
        assert jobs["table"] == len(tables)
        assert all(jobs[rule] == 1 for rule in ("manifests", *names[tables]))
        assert ("corpus" in jobs) == (scale_name == "demo")
        total = jobs.pop("total")
        assert total == sum(jobs.values())


def test_without_a_scale_the_error_says_what_to_give(start, tmp_path):
    empty = tmp_path / "empty.yaml"
    empty.write_text("{}")
    assert "there are demo, paper, small" in start(empty, "--dry-run", "table1").finish(exit_code=1)


def test_recordings_that_are_not_there_stop_it_before_anything_runs(start, paper_dir, tmp_path):
    output = start(paper_dir / "config" / "small.yaml", "table1").finish(exit_code=1)
    assert "--config physionet2021=" in output
    assert not list((tmp_path / "outputs" / "paper" / "small").glob("store*"))


@pytest.fixture
def tiny(scale, tmp_path) -> Path:
    """A configuration like the demo's, of models that train in seconds; its `out` is `run` beside it."""
    config = scale("demo")
    config.update(out="run", synthetic={"patients": 24, "sessions": 2, "seed": 3}, seeds=[1, 2])
    config.update(methods=["random_init", "w2v"], lead_sets=[12, 1])
    config["manifests"]["classification"] = "store/synthetic --labels cinc2021 --split 4:3:3"
    config["manifests"]["identification"] = "store/synthetic --valid-fraction 0.4 --test-fraction 0.2"
    config["finetune"].update(shape_of="w2v", classification=[], identification=[])
    config["finetune"]["overrides"] += ["optimization.max_epoch=1", "checkpoint.best_checkpoint_metric=loss"]
    config["finetune"]["overrides"] += ["checkpoint.maximize_best_checkpoint_metric=false"]
    sizes = {"encoder_layers": 1, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 32}
    sizes.update(
        encoder_attention_heads=2, conv_feature_layers='"[(8,2,2)]*4"', conv_pos=8, conv_pos_groups=2
    )
    updates = {"optimization.max_update": 12, "lr_scheduler.total_num_update": 12}
    updates.update({"lr_scheduler.warmup_updates": 0, "dataset.batch_size": 4, "model.num_negatives": 5})
    config["pretrain"]["overrides"] = [
        "checkpoint.save_interval_updates=4",
        *(f"{key}={value}" for key, value in updates.items()),
        *(f"model.{key}={value}" for key, value in sizes.items()),
    ]
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def rules_run(output: str) -> list[str]:
    """The rules that a run has executed."""
    return sorted(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", output, re.MULTILINE))


def test_a_pretraining_that_was_killed_goes_on_and_what_was_finished_is_left_alone(start, tiny):
    model = "pretrained/w2v/leads-12/seed1.pt"
    out = tiny.parent / "run"
    checkpoint = out / "runs" / "pretrain" / "w2v" / "leads-12" / "seed1" / "checkpoint_last.pt"
    workflow = start(tiny, model)
    workflow.wait_for(checkpoint.is_file)
    workflow.kill()
    assert not (out / model).exists()
    output = start(tiny, model).finish()
    assert rules_run(output) == ["pretrain"]
    log = (out / "logs" / "pretrain" / "w2v" / "leads-12" / "seed1.log").read_text()
    assert re.search(r"Loaded checkpoint .*checkpoint_last\.pt \(epoch \d+ @ (4|8|12) updates\)", log)
    assert "num_updates 12" in log
    assert "Nothing to be done" in start(tiny, model).finish()


@pytest.mark.slow
def test_a_table_is_made_from_end_to_end_though_killed_twice(start, tiny):
    out = tiny.parent / "run"
    workflow = start(tiny, "table1")
    workflow.wait_for(lambda: list(out.glob("runs/finetune/*/*/*/*/seed*/12/final.pt")))
    workflow.kill()
    workflow = start(tiny, "table1")
    workflow.wait_for(lambda: "evaluate" in rules_run(workflow.output))
    workflow.kill()
    before = {path: path.stat().st_mtime_ns for path in out.glob("results/**/*.json")}
    output = start(tiny, "table1").finish()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "| Random Init. | here" in output
    assert {"corpus", "store", "manifests"}.isdisjoint(rules_run(output))
    assert any("12: finished before" in log.read_text() for log in out.glob("logs/finetune/**/*.log"))
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # 2 methods, 2 lead sets, 2 seeds; 3 metrics of classification, accuracy and chance of identification
    assert len(rows) == 2 * 2 * 2 * (3 + 2)
    assert {row["column"] for row in rows} == {"12-lead", "P-1-lead"}
    assert (out / "table1.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("models/**/*.pt")), "models were tested and are not to be kept"
    assert not list(out.glob("runs/finetune/**/*.pt"))
    assert rules_run(start(tiny, "table1").finish()) == ["table1"]  # it shows the table, and that is all


@pytest.mark.slow
def test_a_model_of_fewer_leads_is_pretrained_fine_tuned_and_tested_on_just_these(start, tiny):
    result = "results/identification/{}/pretrained-2/leads-2/seed1.json"
    files = [result.format(method) for method in ("w2v", "random_init")]
    start(tiny, *files).finish()
    for file in files:
        rows = json.loads((tiny.parent / "run" / file).read_text())
        assert {(row["leads"], row["pretrained_on"], row["metric"]) for row in rows} == {
            ("2", "2", "accuracy"),
            ("2", "2", "chance"),
        }
