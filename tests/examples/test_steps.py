"""`examples/quickstart/steps.py`: commands in turn and side by side, and the time that is left."""

import sys
import time

import pytest


@pytest.fixture
def steps(repo_dir, monkeypatch):
    monkeypatch.syspath_prepend(str(repo_dir / "examples" / "quickstart"))
    import steps

    return steps


def says(steps, text, seconds=1.0):
    return steps.Step(text, (sys.executable, "-c", f"print({text!r})"), seconds)


def test_chains_follow_on_what_is_before_them_and_each_keeps_its_order(steps, tmp_path, capsys):
    run = steps.Steps(tmp_path / "out")
    run.add("first", sys.executable, "-c", "print('first')")
    run.add_chains(*([says(steps, f"{name}1"), says(steps, f"{name}2")] for name in "abc"))
    run.add("last", sys.executable, "-c", "print('last')")
    run.run()
    said = [line.split("] ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("  [")]
    assert (said[0], said[-1]) == ("first", "last")
    assert sorted(said[1:-1]) == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert all(said.index(f"{name}1") < said.index(f"{name}2") for name in "abc")


def test_as_many_chains_run_at_a_time_as_there_are_cores_for(steps, tmp_path):
    """Each waits for the other: one after the other, neither would end."""
    wait = "import pathlib, sys, time\npathlib.Path(sys.argv[1]).touch()\n" + (
        "end = time.time() + 20\nwhile not pathlib.Path(sys.argv[2]).exists(): assert time.time() < end"
    )
    run, pair = steps.Steps(tmp_path / "out"), [str(tmp_path / name) for name in "ab"]
    run.add_chains(
        *([steps.Step(f"wait {i}", (sys.executable, "-c", wait, *pair[:: 1 - 2 * i]))] for i in (0, 1))
    )
    run.run()


def test_a_step_waits_for_one_of_another_chain(steps, tmp_path, capsys):
    run = steps.Steps(tmp_path / "out")
    slow = steps.Step("slow", (sys.executable, "-c", "import time; time.sleep(0.3); print('slow')"))
    run.add_chains([slow], [says(steps, "beside")], [steps.replace(says(steps, "waits"), after=slow)])
    run.run()
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  [")]
    assert said[-1] == "  [3] waits"


def test_a_command_that_fails_ends_all_with_its_last_lines_and_its_log(steps, tmp_path, capsys):
    run = steps.Steps(tmp_path / "out")
    fails = steps.Step("it fails", (sys.executable, "-c", "print('why'); raise SystemExit(3)"))
    run.add_chains([fails, says(steps, "never")])
    run.add("nor this", sys.executable, "-c", "print('nor this')")
    with pytest.raises(SystemExit, match=r"(?s)why.*exit code 3.*01-it-fails\.log"):
        run.run()
    assert "never" not in capsys.readouterr().out


def test_the_time_left_is_the_rest_of_the_plan_at_the_pace_so_far(steps, tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    run = steps.Steps(tmp_path / "out")
    train = steps.Step("train", ("x",), seconds=40, updates=200)
    pair = [steps.Step(name, ("x",), seconds=30) for name in "ab"]  # of 60 s on two cores 30
    run.add_chains([train])
    run.add_chains(*([step] for step in pair))
    run._began = now
    assert run._time() == "0 s, about 70 s left"
    now = 130.0
    run._show(train, 1, "[x][train_inner][INFO] - epoch 001: 9 / 9 loss=1, num_updates=100, lr=0\n")
    assert run._time() == "30 s, about 75 s left"  # 20 s of 70 took 30
