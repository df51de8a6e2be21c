"""Loading pre-training batches against the authors' data path (`reference_data.py`), at two sizes of corpus.

    python benchmarks/loading.py
    python benchmarks/loading.py --root /data/challenge-2021/training --records 1000 5000

Batches of 64 pairs of 5 s segments with random lead masking, through a PyTorch `DataLoader` without worker
processes and with 1 and 2, as `dataset.num_workers` says. The corpus is synthetic unless --root names a
folder of WFDB records at 500 Hz. Each run is a process of its own; CPU seconds count all its processes,
without what it imports and three first batches. Keys of the last line, one JSON object: `loading_speedup`
(CPU seconds a segment of the reference / ours; larger corpus, no workers), `loading_speedup_N_workers`,
`segments_per_cpu_s`, `reference_segments_per_cpu_s`, `peak_mib` and `own_mib` by number of records (ours, no
workers; the peak counts the pages of the store that are mapped, which the system takes back when it needs
them; the process's own memory does not), and `runs`, all of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List

import measure
from process_tree import measure_tree

import preprocess

PAIRS = 64  # in a batch


# --- tasks, each in a process of its own -----------------------------------------------------------------


def our_loading(begin: Callable[[], None], folder: str, workers: int, batches: int) -> Dict[str, Any]:
    from fairseq_signals.batches.dataset import ECGDataset
    from fairseq_signals.batches.segments import SegmentReader
    from fairseq_signals.manifest.table import read_manifest
    from fairseq_signals.transforms.base import Compose, Sometimes
    from fairseq_signals.transforms.random_lead_mask import RandomLeadMask

    reader = SegmentReader(read_manifest(Path(folder) / "train.tsv"))
    masking = Compose([Sometimes(RandomLeadMask("random", 0.5), 1.0)])
    return load(begin, ECGDataset(reader, pairs=True, transform=masking, shuffle=True), workers, batches)


def reference_loading(begin: Callable[[], None], folder: str, workers: int, batches: int) -> Dict[str, Any]:
    from reference_data import PairDataset

    return load(begin, PairDataset(str(Path(folder) / "pairs.tsv")), workers, batches)


def load(begin: Callable[[], None], dataset: Any, workers: int, batches: int) -> Dict[str, Any]:
    """Go through so many batches in random order."""
    import numpy as np
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    order = np.concatenate(
        [rng.permutation(len(dataset)) for _ in range(-(-batches * PAIRS // len(dataset)))]
    )
    plan = [order[i * PAIRS : (i + 1) * PAIRS].tolist() for i in range(batches)]

    def loader(some: List[List[int]], processes: int) -> DataLoader:
        return DataLoader(dataset, batch_sampler=some, collate_fn=dataset.collater, num_workers=processes)

    for _ in loader(plan[:3], 0):
        pass
    begin()
    n_segments, total = 0, 0.0
    for batch in loader(plan, workers):
        source = batch["net_input"]["source"]
        n_segments += len(source)
        total += float(source[0, 0, 0])  # it is there
    assert n_segments == 2 * PAIRS * batches
    own = measure.status_mib("RssAnon") + measure.status_mib("RssShmem")
    return {"segments": n_segments, "checked": total, "own_mib": own}


# --- the benchmark ---------------------------------------------------------------------------------------

LOADING: Dict[str, Any] = {"ours": our_loading, "reference": reference_loading}


def measure_size(root: Path, scratch: Path, n: int, args: argparse.Namespace) -> Iterable[Dict[str, Any]]:
    """Every run on the first `n` records, the median of `--repeats` in turn with each other; prints them."""
    manifests = {form: str(scratch / f"{form}_manifests") for form in LOADING}
    for form, folder in manifests.items():
        preprocessing, codec, making_manifests = preprocess.FORMS[form]
        data = str(scratch / f"{form}_data")
        measure_tree(preprocessing, root=str(root), dest=data, n=n, workers=1, **codec)
        measure_tree(making_manifests, store=data, dest=folder)
    for workers in args.workers:
        made: Dict[str, List[Dict[str, Any]]] = {form: [] for form in LOADING}
        for form in list(LOADING) * args.repeats:
            batches = max(args.batches if form == "ours" else args.reference_batches, workers)
            took = measure_tree(LOADING[form], folder=manifests[form], workers=workers, batches=batches)
            made[form].append(took)
        for form, repeated in made.items():
            median = sorted(repeated, key=lambda run: run["cpu_s"])[len(repeated) // 2]
            run = {"form": form, "records": n, "workers": workers, **median}
            run["us_per_segment"] = 1e6 * run["cpu_s"] / run["segments"]
            yield run
            print(
                f"{form:10} {n:6} records {workers} workers: {run['us_per_segment']:8.1f} CPU microseconds a "
                f"segment {run['peak_mib']:5.0f} MiB, {run['own_mib']:5.0f} MiB of them its own",
                flush=True,
            )


def summary(runs: List[Dict[str, Any]]) -> Dict[str, Any]:
    """The keys that the docstring names."""
    largest = max(run["records"] for run in runs)
    cost = {(r["form"], r["workers"]): r["us_per_segment"] for r in runs if r["records"] == largest}
    first = min(workers for _, workers in cost)
    result = {
        "loading_speedup": cost["reference", first] / cost["ours", first],
        "segments_per_cpu_s": 1e6 / cost["ours", first],
        "reference_segments_per_cpu_s": 1e6 / cost["reference", first],
        **{
            key: {
                str(run["records"]): run[key]
                for run in runs
                if (run["form"], run["workers"]) == ("ours", first)
            }
            for key in ("peak_mib", "own_mib")
        },
    }
    for workers in sorted({workers for _, workers in cost} - {0}):
        ratio = cost["reference", workers] / cost["ours", workers]
        result[f"loading_speedup_{workers}_workers"] = ratio
    return result


def main() -> None:
    parser = preprocess.parser_of(__doc__, [200, 800], [0, 1, 2])
    parser.add_argument("--batches", type=int, default=150, help="of ours (default: %(default)s)")
    parser.add_argument(
        "--reference-batches", type=int, default=30, help="of the reference (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default: %(default)s)")
    preprocess.benchmark(
        parser.parse_args(), measure_size, summary, "Loading batches of 64 pairs", "^loading_speedup"
    )


if __name__ == "__main__":
    main()
