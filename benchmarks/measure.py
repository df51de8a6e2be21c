"""What the benchmarks share: measurements in fresh processes, the machine, comparing two checkouts.

Each measurement runs in a process of its own, so that its peak memory is its own. CPU seconds are the
steadier figure on a busy machine, and the one that ratios are made of.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

#: the checkout whose package is measured: this one, or the one that `--against` names
CHECKOUT = Path(os.environ.get("BENCHMARK_CHECKOUT", Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(CHECKOUT))


def status_mib(key: str) -> float:
    """A line of /proc/self/status, e.g. VmRSS (memory now) or VmHWM (its peak), in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def timed(work: Callable[[], Any], repeats: int, warm_up: int = 1) -> Dict[str, float]:
    """Median CPU and wall seconds of `work()`, and the memory in MiB that it takes beyond what was there."""
    Path("/proc/self/clear_refs").write_text("5")  # begin a new peak
    before = status_mib("VmRSS")
    for _ in range(warm_up):
        work()
    peak = status_mib("VmHWM") - before
    cpu, wall = [], []
    for _ in range(repeats):
        c, w = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - c)
        wall.append(time.perf_counter() - w)
    return {"cpu_s": statistics.median(cpu), "wall_s": statistics.median(wall), "peak_mib": peak}


def in_process(function: Callable[..., Any], preload: Sequence[str] = (), **arguments: Any) -> Any:
    """What a module's function returns, run in a process of its own.

    It is a fresh one; with `preload`, modules, one that is forked from where nothing but these was loaded.
    """
    return in_processes([{}], function, preload, **arguments)[0]


def in_processes(
    each: Sequence[Dict[str, Any]],
    function: Callable[..., Any],
    preload: Sequence[str] = (),
    limit_s: Optional[float] = None,
    **arguments: Any,
) -> List[Any]:
    """The same of several processes at a time, with arguments of each and of all.

    Raises:
        TimeoutError: they took longer than `limit_s` and were ended.
    """
    context: Any = multiprocessing.get_context("forkserver" if preload else "spawn")
    if preload:
        context.set_forkserver_preload(list(preload))
    began, alarm = time.monotonic(), (signal.ITIMER_REAL, limit_s or 0.0)  # 0: none
    with ProcessPoolExecutor(len(each), context, initializer=signal.setitimer, initargs=alarm) as pool:
        runs = [pool.submit(function, **arguments, **own) for own in each]
        try:
            return [run.result() for run in runs]
        except BrokenProcessPool as error:
            if limit_s is not None and time.monotonic() - began >= limit_s:
                raise TimeoutError(f"the process measuring {arguments} took over {limit_s:g} s") from None
            raise RuntimeError(f"the process measuring {arguments} was ended: {error}") from None


def machine(threads: int) -> Dict[str, Any]:
    """Where the figures come from."""
    import torch

    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "cores": os.cpu_count(), "threads": threads, "torch": torch.__version__,
            "python": platform.python_version()}  # fmt: skip


def parser_of(doc: str, threads: int = 1) -> argparse.ArgumentParser:
    """A command line with the options that all of these benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=threads, help="of torch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs (default: %(default)s)")
    parser.add_argument("--plot", type=Path, help="write a picture of the figures there (PNG)")
    parser.add_argument("--against", type=_checkout, metavar="CHECKOUT", help="measure this checkout too")
    return parser


def _checkout(text: str) -> Path:
    if not (Path(text) / "fairseq_signals").is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is not a checkout: there is no fairseq_signals in it")
    return Path(text).resolve()


def report(result: Dict[str, Any]) -> None:
    """Print the last line: one JSON object, numbers to four digits."""
    print(
        json.dumps(json.loads(json.dumps(result), parse_float=lambda digits: float(f"{float(digits):.4g}")))
    )


def compare_checkouts(other: Path, keys: List[str]) -> None:
    """Run the calling script on this checkout's package and on another's in turn; print both and the ratios.

    Args:
        other: folder of the other checkout.
        keys: numbers of the result to compare, `other / this`.
    """
    against = argparse.ArgumentParser(add_help=False)
    against.add_argument("--against")
    _, arguments = against.parse_known_args(sys.argv)
    found: Dict[str, Dict[str, Any]] = {}
    for name, folder in (("this", CHECKOUT), ("other", other)):
        print(f"--- {name}: {folder}", flush=True)
        run = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "BENCHMARK_CHECKOUT": str(folder)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        print(run.stdout, end="", flush=True)
        found[name] = json.loads(run.stdout.splitlines()[-1])
    ratios = {key: found["other"][key] / found["this"][key] for key in keys if _comparable(found, key)}
    report({**found, "ratio_other_to_this": ratios})


def _comparable(found: Dict[str, Dict[str, Any]], key: str) -> bool:
    return all(isinstance(result.get(key), (int, float)) and result[key] for result in found.values())


def bar_chart(path: Optional[Path], title: str, unit: str, bars: Dict[str, float]) -> None:
    """A horizontal bar for each figure, largest first, if a path is given."""
    if path is None:
        return
    from matplotlib.figure import Figure

    names = sorted(bars, key=lambda name: bars[name])
    figure = Figure(figsize=(7, 0.4 * len(bars) + 1.2), layout="constrained")
    axes = figure.subplots()
    drawn = axes.barh(names, [bars[name] for name in names], color="#4477aa")
    axes.bar_label(drawn, fmt="%.3g", padding=3)
    axes.set(title=title, xlabel=unit)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
