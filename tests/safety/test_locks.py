"""One process at a time works in a folder, as long as it lives."""

import os
import subprocess
import sys

import pytest

from fairseq_signals.errors import FairseqSignalsError, OutputError
from fairseq_signals.files import remove_left_overs
from fairseq_signals.safety.locks import in_turn, one_process, only_one_workflow

BUSY = FairseqSignalsError("busy")
#: Takes the lock of a folder, forks a process that lives on, and is killed.
KILLED = """
import os, signal, sys
from pathlib import Path
from fairseq_signals.errors import FairseqSignalsError, OutputError
from fairseq_signals.files import temporary_path, whole_file
from fairseq_signals.safety.locks import claim
claim(Path(sys.argv[1]), FairseqSignalsError(""))
with whole_file(Path(sys.argv[1], "a.csv")) as partial:
    if os.fork() == 0:
        print(partial, flush=True)
        os.kill(os.getppid(), signal.SIGKILL)
        sys.stdin.read()
        os._exit(0)
    signal.pause()
"""


def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    first, second, third = (one_process(tmp_path / "new", BUSY) for _ in range(3))
    with first, pytest.raises(FairseqSignalsError, match="busy"):
        second.__enter__()
    with third:
        pass


def test_the_locks_of_a_process_end_with_it_whatever_it_has_forked(tmp_path, repo_dir):
    environment = {**os.environ, "PYTHONPATH": str(repo_dir)}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        partial = killed.stdout.readline().strip()
        killed.wait()
        with one_process(tmp_path, BUSY):
            assert os.listdir(tmp_path) == [os.path.basename(partial)]
            remove_left_overs(tmp_path)
        assert os.listdir(tmp_path) == []


def test_where_there_are_no_locks_work_goes_on_and_it_is_said(tmp_path, monkeypatch, capsys):
    def no_locks(*arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with one_process(tmp_path, BUSY), one_process(tmp_path, BUSY), in_turn(tmp_path / "a"):
        (tmp_path / ".a.1.part").touch()
        remove_left_overs(tmp_path)
        assert (tmp_path / ".a.1.part").exists()  # it may be that of a process that lives
    assert capsys.readouterr().err.count("cannot be locked here; let one process at a time write there") == 2


def test_a_second_workflow_in_a_folder_is_refused_until_the_first_is_gone(tmp_path, repo_dir):
    code = (
        "import pathlib, sys, time\n"
        "from fairseq_signals.safety.locks import only_one_workflow\n"
        "only_one_workflow(pathlib.Path(sys.argv[1])); print('has it', flush=True); time.sleep(600)"
    )
    command, environment = (
        [sys.executable, "-c", code, str(tmp_path)],
        {**os.environ, "PYTHONPATH": str(repo_dir)},
    )
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "has it\n"
        with pytest.raises(OutputError, match="another workflow is running there"):
            only_one_workflow(tmp_path)
        first.kill()
    only_one_workflow(tmp_path)
