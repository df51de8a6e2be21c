"""`fairseq-signals benchmark` as a user calls it: synthetic recordings, two methods, a kill in the middle."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fairseq_signals.benchmark.settings import find_settings

pytest.importorskip("snakemake", minversion="9", reason="needs Snakemake 9, which needs Python 3.11")


@pytest.fixture
def settings(tmp_path) -> Path:
    """The demo's settings with next to nothing to do."""
    given = yaml.safe_load(find_settings("demo").read_text(encoding="utf-8"))
    given |= {"budget_s": 3, "seeds": [1], "finetune": {"updates": {10: 5, 100: 10}}}
    given["corpora"]["synthetic"]["make"]["patients"] = 40
    for task in given["tasks"].values():
        task["lead_sets"] = ["12", "1"]
    for name in ("diagnoses", "age"):
        given["tasks"][name]["protocols"] = ["linear"]
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


@pytest.fixture
def start(repo_dir, tmp_path, settings):
    """`start(*arguments)`: the command in a process group of its own, and the file of its output."""
    started = []

    def run(*arguments: str) -> tuple[subprocess.Popen, Path]:
        command = [sys.executable, "-m", "fairseq_signals.commands.main", "benchmark", str(settings)]
        environment = {**os.environ, "PYTHONPATH": str(repo_dir)}
        log = tmp_path / f"output{len(started)}.txt"
        with log.open("w") as file:
            process = subprocess.Popen(
                [*command, "--out", str(tmp_path / "out"), *arguments],
                cwd=tmp_path, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process, log

    yield run
    for process in started:
        _kill(process)


def _kill(process: subprocess.Popen) -> None:
    """SIGKILL to it and all its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_what_a_dry_run_says_is_left_to_do(start):
    process, log = start("--dry-run")
    assert process.wait(timeout=300) == 0, log.read_text()
    assert all(
        f"rule {name}:" in log.read_text() for name in ("store", "pretrain", "frozen", "finetune", "page")
    )


def test_without_its_recordings_nothing_runs(start, settings):
    given = yaml.safe_load(settings.read_text())
    given["corpora"]["synthetic"] = {"path": "gone"}
    settings.write_text(yaml.safe_dump(given))
    process, log = start()
    assert process.wait(timeout=300) == 1
    assert "there is no " in log.read_text()
    assert "gone" in log.read_text()


@pytest.mark.slow
def test_a_benchmark_that_was_killed_goes_on_and_ends_in_a_page(start, tmp_path):
    out = tmp_path / "out"
    process, log = start()
    deadline = time.monotonic() + 900
    while not (out / "runs" / "pretrain" / "simclr" / "seed1").exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    _kill(process)
    assert not (out / "pretrained" / "simclr" / "seed1.pt").exists()
    process, log = start()
    assert process.wait(timeout=1800) == 0, log.read_text()
    assert "store synthetic" not in log.read_text()
    assert "pretrain simclr 1; about " in log.read_text()
    found = {path.relative_to(out / "results").as_posix() for path in (out / "results").glob("*/*/*.npz")}
    names = ("age-linear", "diagnoses-linear", "diagnoses-finetuned")
    assert found == {
        f"{method}/seed1/{name}.npz"
        for method in ("random_init", "simclr")
        for name in (
            *(f"{name}-{fraction}" for name in names for fraction in (10, 100)),
            "identification-cosine-100",
        )
    }
    assert (out / "leaderboard.html").stat().st_size > 10_000
    before = (out / "benchmark.csv").read_text()
    process, log = start()
    assert process.wait(timeout=300) == 0
    assert "[1/" not in log.read_text()
    assert (out / "benchmark.csv").read_text() == before
