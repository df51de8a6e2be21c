"""CPU seconds and peak memory of a function together with all the processes that it starts."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict

_PR_SET_CHILD_SUBREAPER = 36
_MARK = "process_tree: "


def measure_tree(script: str, task: str, **arguments: Any) -> Dict[str, Any]:
    """What `python SCRIPT` reports of a task that it runs in a fresh process, see `serve`.

    CPU seconds are those of the process from where the task said `begin()` to where it returned, and of its
    children and their children altogether; the peak is that of the largest of them. This process must have no
    other.

    Returns:
        What the task returned (a dict), `cpu_s`, `wall_s` and `peak_mib`.
    """
    # children of processes that have ended become ours, so that none is missed
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    command = [sys.executable, script, "--task", json.dumps([task, arguments])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": _python_path()}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    output = process.stdout.read()
    cpu, peak, failed = 0.0, 0, False
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        failed |= pid == process.pid and status != 0
        if pid != process.pid:
            cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
    process.returncode = 0  # it has been waited for
    lines = [line for line in output.splitlines() if line.startswith(_MARK)]
    if failed or not lines:
        raise RuntimeError(f"{task} {arguments} failed:\n{output}")
    result = json.loads(lines[-1][len(_MARK) :])
    result["cpu_s"] += cpu
    return {**result, "peak_mib": peak / 1024}


def serve(tasks: Dict[str, Callable[..., Dict[str, Any]]]) -> None:
    """Run the task that the command line asks for, if it does, and end; a script calls it first.

    A task is called with `begin` and its arguments; what it does before `begin()` is not measured, nor is
    taking down the interpreter and its memory.
    """
    if "--task" not in sys.argv:
        return
    name, arguments = json.loads(sys.argv[sys.argv.index("--task") + 1])
    before: Dict[str, float] = {}

    def begin() -> None:
        before.update(cpu=time.process_time(), wall=time.perf_counter())

    result = tasks[name](begin, **arguments)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # those that have ended
    took = time.process_time() - before["cpu"] + children.ru_utime + children.ru_stime
    result.setdefault("wall_s", time.perf_counter() - before["wall"])
    print(_MARK + json.dumps({**result, "cpu_s": took}), flush=True)
    os._exit(0)


def _python_path() -> str:
    """Puts this checkout before whatever is installed."""
    here = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
