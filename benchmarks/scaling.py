"""How time and memory grow with batch size, segment length and number of records, and over many steps.

    python benchmarks/scaling.py

Pre-training steps of the small size of `train_step.py` at several batch sizes and segment lengths; evaluation
(CinC 2021 score, AUROC, identification) at several numbers of records; and 1 000 steps of a tiny model, whose
memory must not grow and whose steps must not slow down. Keys of the last line, one JSON object, among others:
`cinc_100k_cpu_s`, `identification_ratio` (CPU time over that of the bare float32 product of gallery and
probes), `memory_growth_mib` and `slowdown` between the second and the last fifth of the 1 000 steps.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import measure
import numpy as np
import torch
import train_step

BATCHES = (8, 16, 32, 64)  # segments
LENGTHS = (1250, 2500, 5000, 10_000)  # samples
RECORDS = (1_000, 10_000, 100_000)
CLASSES, WIDTH = 26, 768


def run_step(segments: int, samples: int, repeats: int, threads: int) -> Dict[str, float]:
    """CPU seconds and memory of one step."""
    torch.set_num_threads(threads)
    train_step.SIZES["small"]["pairs"] = segments // 2
    train_step.SAMPLES = samples
    step = train_step.Step("small", "ours")
    for parameter in step.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    step.optimizer.step()
    return measure.timed(step.update, repeats)


def run_evaluation(records: int, repeats: int, threads: int) -> Dict[str, float]:
    """CPU seconds of the scores of `records` random records, and the memory that they take."""
    from fairseq_signals.metrics.cinc2021 import challenge_score
    from fairseq_signals.metrics.classification import classification_metrics

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    labels = rng.random((records, CLASSES)) < 0.1
    scores = rng.random((records, CLASSES))
    weights = rng.random((CLASSES, CLASSES))
    cinc = measure.timed(lambda: challenge_score(labels, scores > 0.9, weights, 0), repeats)
    curves = measure.timed(lambda: classification_metrics(labels, scores), repeats)
    return {"cinc_cpu_s": cinc["cpu_s"], "auroc_cpu_s": curves["cpu_s"],
            "peak_mib": max(cinc["peak_mib"], curves["peak_mib"])}  # fmt: skip


def run_identification(gallery: int, probes: int, repeats: int, threads: int) -> Dict[str, float]:
    """CPU seconds of rank-1 accuracy and of the bare product, and the memory of each."""
    from fairseq_signals.metrics.identification import rank1_accuracy

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    entries = rng.standard_normal((gallery, WIDTH), dtype=np.float32)
    queries = rng.standard_normal((probes, WIDTH), dtype=np.float32)
    ids = np.arange(gallery)

    def bare() -> None:  # in blocks too: all similarities at once may not fit
        for begin in range(0, probes, 1000):
            queries[begin : begin + 1000] @ entries.T

    ours = measure.timed(lambda: rank1_accuracy(entries, ids, queries, ids[:probes]), repeats)
    product = measure.timed(bare, repeats)
    return {"cpu_s": ours["cpu_s"], "product_cpu_s": product["cpu_s"], "peak_mib": ours["peak_mib"],
            "product_peak_mib": product["peak_mib"], "ratio": ours["cpu_s"] / product["cpu_s"]}  # fmt: skip


def run_many(steps: int, threads: int) -> Dict[str, Any]:
    """Memory and time of each fifth of many steps of a tiny model."""
    torch.set_num_threads(threads)
    train_step.SIZES["tiny"] = {"pairs": 8, **train_step.DEMO}
    step = train_step.Step("tiny", "ours")
    memory: List[float] = []
    seconds: List[float] = []
    for _ in range(5):
        spent = []
        for _ in range(steps // 5):
            began = time.process_time()
            step.update()
            spent.append(time.process_time() - began)
        gc.collect()
        memory.append(measure.status_mib("VmRSS"))
        seconds.append(statistics.median(spent))
    return {"rss_mib": memory, "step_cpu_s": seconds, "growth_mib": memory[-1] - memory[1],
            "slowdown": seconds[-1] / seconds[1]}  # fmt: skip


def plot(path: Path, result: Dict[str, Any]) -> None:
    """Time and memory against each size, on logarithmic axes."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator

    axes_of = {"batch": "segments in a batch", "length": "samples a segment", "records": "records evaluated"}
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.5), layout="constrained", sharex="col")
    for column, (name, label) in enumerate(axes_of.items()):
        sizes = [int(size) for size in result[name]]
        rows = list(result[name].values())
        times = ("cpu_s",) if "cpu_s" in rows[0] else ("cinc_cpu_s", "auroc_cpu_s")
        for key in times:
            axes[0, column].plot(sizes, [row[key] for row in rows], "o-", label=key.partition("_cpu")[0])
        axes[1, column].plot(sizes, [max(row["peak_mib"], 0.1) for row in rows], "o-", color="#aa3377")
        axes[1, column].set_xlabel(label)
        if len(times) > 1:
            axes[0, column].legend(["CinC score", "AUROC, AUPRC, F1"], frameon=False)
        for row in (0, 1):
            axes[row, column].set(xscale="log", yscale="log")
            axes[row, column].set_xticks(sizes, [f"{size:,}" for size in sizes])
            axes[row, column].minorticks_off()
            axes[row, column].yaxis.set_major_formatter("{x:g}")
            axes[row, column].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes[row, column].grid(alpha=0.3)
            axes[row, column].spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("CPU seconds")
    axes[1, 0].set_ylabel("peak memory, MiB")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> int:
    parser = measure.parser_of(__doc__ or "")
    parser.add_argument("--steps", type=int, default=1000, help="of the tiny model (default: %(default)s)")
    parser.add_argument("--gallery", type=int, default=100_000)
    parser.add_argument("--probes", type=int, default=10_000)
    args = parser.parse_args()
    if args.against:
        return measure.compare_checkouts(args.against, ["cinc_100k_cpu_s", "identification_ratio"])
    common = {"repeats": args.repeats, "threads": args.threads}
    result: Dict[str, Any] = {"machine": measure.machine(args.threads)}
    result["batch"] = {
        n: measure.in_process(run_step, segments=n, samples=train_step.SAMPLES, **common) for n in BATCHES
    }
    result["length"] = {n: measure.in_process(run_step, segments=16, samples=n, **common) for n in LENGTHS}
    result["records"] = {n: measure.in_process(run_evaluation, records=n, **common) for n in RECORDS}
    for name, unit in (("batch", "segments"), ("length", "samples"), ("records", "records")):
        for size, row in result[name].items():
            shown = "  ".join(f"{key} {value:.4g}" for key, value in row.items())
            print(f"{size:7,d} {unit:9s} {shown}", flush=True)
    identification = measure.in_process(
        run_identification, gallery=args.gallery, probes=args.probes, repeats=1, threads=args.threads
    )
    print(f"identification {args.gallery:,} x {args.probes:,}: {identification}", flush=True)
    many = measure.in_process(run_many, steps=args.steps, threads=args.threads)
    print(f"{args.steps:,} steps: {many}", flush=True)
    result.update(identification=identification, many_steps=many)
    result["cinc_100k_cpu_s"] = result["records"][RECORDS[-1]]["cinc_cpu_s"]
    result["identification_ratio"] = identification["ratio"]
    result["memory_growth_mib"], result["slowdown"] = many["growth_mib"], many["slowdown"]
    if args.plot:
        plot(args.plot, result)
    measure.report(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
