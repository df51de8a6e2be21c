"""Preprocessing and manifests against the authors' data path (`reference_data.py`), at two sizes of corpus.

    python benchmarks/preprocess.py
    python benchmarks/preprocess.py --root /data/challenge-2021/training --records 1000 5000

The corpus is synthetic, in the layout of PhysioNet/CinC 2021, unless --root names a folder of WFDB records.
Each run is a process of its own; CPU seconds count all its processes, without what it imports first. Keys of
the last line, one JSON object, of the larger corpus and one worker unless they say otherwise:
`preprocess_speedup` and `manifest_speedup` (CPU seconds of the reference / ours), `bytes_ratio` (bytes a
record, likewise; `bytes_ratio_flac` with that codec), `preprocess_speedup_2_workers`, `records_per_cpu_s`,
`segments_per_cpu_s` (manifests), `bytes_per_record`, `peak_mib` by number of records (ours, largest process),
and `runs`, all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import runpy
import tempfile
from itertools import islice, product
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List

import measure
from process_tree import measure_tree

# --- tasks, each in a process of its own -----------------------------------------------------------------


def ours(begin: Callable[[], None], root: str, dest: str, n: int, workers: int, codec: str) -> Dict[str, Any]:
    from fairseq_signals.store.building import build_store
    from fairseq_signals.store.conversion import BuildOptions, iter_folder

    begin()
    items = islice(iter_folder(Path(root), "benchmark"), n)
    options = BuildOptions(codec=codec)
    summary = build_store(items, Path(dest), options, workers, progress=False)
    return {"records": summary.n_kept}


def reference(begin: Callable[[], None], root: str, dest: str, n: int, workers: int) -> Dict[str, Any]:
    import reference_data
    import wfdb  # noqa: F401

    begin()
    headers = [str(path) for path in islice(sorted(Path(root).rglob("*.hea")), n)]
    reference_data.preprocess(headers, dest, workers)
    return {"records": len(headers)}


def our_manifests(begin: Callable[[], None], store: str, dest: str) -> Dict[str, Any]:
    script = Path(__file__).resolve().parents[1] / "manifests" / "pretrain.py"
    main = runpy.run_path(str(script), run_name="manifest")["main"]

    def write(folder: str) -> int:
        with contextlib.redirect_stdout(io.StringIO()):
            return main([store, "--dest", folder, "--no-exclusions"])

    write(f"{dest}_warm")  # imports what it needs
    begin()
    assert write(dest) == 0
    return {"segments": sum(len(p.read_text().splitlines()) - 1 for p in Path(dest).glob("*.tsv"))}


def reference_manifests(begin: Callable[[], None], store: str, dest: str) -> Dict[str, Any]:
    import reference_data

    begin()
    return {"segments": reference_data.write_manifests(store, dest)}


def corpus(begin: Callable[[], None], dest: str, n: int) -> Dict[str, Any]:
    """At least `n` synthetic records of 10 s."""
    from fairseq_signals.synthetic.config import CorpusConfig
    from fairseq_signals.synthetic.writer import write_corpus

    begin()
    config = CorpusConfig(patients=-(-n // 2), sessions=(2, 2), seed=1)
    with contextlib.redirect_stderr(io.StringIO()):
        write_corpus(config, Path(dest), os.cpu_count() or 1)
    return {}


# --- the benchmark ---------------------------------------------------------------------------------------

#: what preprocesses, its codec, and what makes manifests of the result
FORMS: Dict[str, Any] = {
    "ours": (ours, {"codec": "int16"}, our_manifests),
    "ours flac": (ours, {"codec": "flac"}, our_manifests),
    "reference": (reference, {}, reference_manifests),
}


def parser_of(doc: str | None, records: List[int], workers: List[int]) -> argparse.ArgumentParser:
    """A command line with the options of the benchmarks of the data path."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--root", type=Path, help="folder of WFDB records at 500 Hz (default: synthetic ones)"
    )
    parser.add_argument("--records", type=int, nargs="+", default=records, help="sizes (%(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=workers, help="processes (%(default)s)")
    parser.add_argument("--plot", type=Path, help="write a picture of the figures there (PNG)")
    return parser


def benchmark(
    args: argparse.Namespace,
    measure_size: Callable[[Path, Path, int, argparse.Namespace], Iterable[Dict[str, Any]]],
    summary: Callable[[List[Dict[str, Any]]], Dict[str, Any]],
    title: str,
    speedups: str,
) -> None:
    """Measure each size of corpus in a folder of its own, and report.

    Args:
        args: of the command line.
        measure_size: the runs on the first so many records of a folder.
        summary: the keys of the last line, of all runs.
        title: of the picture.
        speedups: the keys that are drawn, a regular expression.
    """
    runs: List[Dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark_") as scratch:
        root = args.root or Path(scratch) / "raw"
        if args.root is None:
            measure_tree(corpus, dest=str(root), n=max(args.records))
        for n in sorted(args.records):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                runs += measure_size(root, Path(folder), n, args)
    result = summary(runs)
    bars = {key: value for key, value in result.items() if re.search(speedups, key)}
    measure.bar_chart(args.plot, title, "times fewer CPU seconds than the reference", bars)
    measure.report({**result, "synthetic": args.root is None, "runs": runs, **measure.machine(1)})


def measure_size(root: Path, scratch: Path, n: int, args: argparse.Namespace) -> Iterable[Dict[str, Any]]:
    """Every run on the first `n` records; prints them as they come."""
    first = args.workers[0]
    for form, workers in product(FORMS, args.workers):
        if form == "ours flac" and workers != first:
            continue
        preprocessing, codec, making_manifests = FORMS[form]
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            data, manifests = f"{folder}/data", f"{folder}/manifests"
            took = measure_tree(preprocessing, root=str(root), dest=data, n=n, workers=workers, **codec)
            run = {"form": form, "workers": workers, **took}
            run["bytes_per_record"] = size_of(Path(data)) / run["records"]
            if workers == first and form != "ours flac":
                os.sync()  # else the manifests' own fsync pays for the store's pages
                repeated = [measure_tree(making_manifests, store=data, dest=manifests) for _ in range(3)]
                made = sorted(repeated, key=lambda m: m["cpu_s"])[1]
                run.update(manifest_cpu_s=made["cpu_s"], segments=made["segments"])
        yield run
        manifests_took = f"; manifests {run['manifest_cpu_s']:.3f} CPU s" if "segments" in run else ""
        print(
            f"{form:10} {run['records']:6} records {workers} workers: {run['cpu_s']:7.2f} CPU s "
            f"{run['wall_s']:7.2f} s {run['peak_mib']:5.0f} MiB {run['bytes_per_record']:7.0f} "
            f"bytes/record{manifests_took}",
            flush=True,
        )


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def summary(runs: List[Dict[str, Any]]) -> Dict[str, Any]:
    """The keys that the docstring names."""
    largest, first = max(run["records"] for run in runs), runs[0]["workers"]

    def find(form: str, workers: int = first) -> Dict[str, Any]:
        return next(
            run for run in runs if (run["form"], run["workers"], run["records"]) == (form, workers, largest)
        )

    our, theirs = find("ours"), find("reference")
    result = {
        "preprocess_speedup": theirs["cpu_s"] / our["cpu_s"],
        "manifest_speedup": theirs["manifest_cpu_s"] / our["manifest_cpu_s"],
        "bytes_ratio": theirs["bytes_per_record"] / our["bytes_per_record"],
        "bytes_ratio_flac": theirs["bytes_per_record"] / find("ours flac")["bytes_per_record"],
        "flac_preprocess_speedup": theirs["cpu_s"] / find("ours flac")["cpu_s"],
        "records_per_cpu_s": our["records"] / our["cpu_s"],
        "segments_per_cpu_s": our["segments"] / our["manifest_cpu_s"],
        "bytes_per_record": our["bytes_per_record"],
        "peak_mib": {
            str(run["records"]): run["peak_mib"]
            for run in runs
            if (run["form"], run["workers"]) == ("ours", first)
        },
    }
    for workers in sorted({run["workers"] for run in runs} - {first}):
        ratio = find("reference", workers)["cpu_s"] / find("ours", workers)["cpu_s"]
        result[f"preprocess_speedup_{workers}_workers"] = ratio
    return result


if __name__ == "__main__":
    options = parser_of(__doc__, [500, 2500], [1, 2]).parse_args()
    benchmark(options, measure_size, summary, "Preprocessing and manifests", "speedup$")
