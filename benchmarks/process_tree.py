"""CPU seconds and peak memory of a function together with all the processes that it starts."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

_PR_SET_CHILD_SUBREAPER = 36


def measure_tree(task: Callable[..., Dict[str, Any]], **arguments: Any) -> Dict[str, Any]:
    """What a task says of itself in a fresh process, and what that took.

    CPU seconds are those of the process from where the task said `begin()` to where it returned, and of its
    children and their children altogether; the peak is that of the largest of them. Taking down the
    interpreter and its memory is not measured. This process must have no other.

    Args:
        task: a function of a file beside this one, called with `begin` and the arguments.
        arguments: what JSON can hold.

    Returns:
        What the task returned (a dict), `cpu_s`, `wall_s` and `peak_mib`.
    """
    # children of processes that have ended become ours, so that none is missed
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    name = [Path(task.__code__.co_filename).stem, task.__name__]
    process = subprocess.Popen(
        [sys.executable, __file__, *name, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
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
    if failed:
        raise RuntimeError(f"{task.__name__} {arguments} failed:\n{output}")
    result = json.loads(output.splitlines()[-1])
    return {**result, "cpu_s": result["cpu_s"] + cpu, "peak_mib": peak / 1024}


def _run(module: str, name: str, arguments: str) -> None:
    task = getattr(importlib.import_module(module), name)
    began: List[float] = []
    result = task(lambda: began.extend([time.process_time(), time.perf_counter()]), **json.loads(arguments))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # those that have ended
    cpu = time.process_time() - began[0] + children.ru_utime + children.ru_stime
    print(json.dumps({**result, "wall_s": time.perf_counter() - began[1], "cpu_s": cpu}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    _run(*sys.argv[1:])
