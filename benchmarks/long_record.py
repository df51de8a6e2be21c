"""A day of ECG: memory and time of preprocessing, embedding and explaining one long record.

    python benchmarks/long_record.py

A WFDB record of `--hours` at 250 Hz with three leads (24 h: 130 MB) is made into a store at 500 Hz, embedded
from the file and from the store by a model of random weights (4 layers, d 256), and a minute of it is
explained as `fairseq-signals plot saliency` does. Each runs in a process of its own, once. Keys of the last
line, a JSON object: `<work>_peak_mib`, the memory beyond the imports and the model, and `<work>_wall_s`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict

import embed
import measure
import numpy as np

LEADS, FS = ("I", "II", "V5"), 250
WORKS = ("preprocess", "embed_file", "embed_store", "saliency")


def make_record(folder: Path, hours: float) -> Path:
    """A record of that length, written in pieces; its header."""
    rng = np.random.default_rng(0)
    second = np.rint(800 * np.exp(-(((np.arange(FS) - 60) / 4.0) ** 2)))[:, None] * [0.6, 1.0, 0.9]
    minute = np.tile(second, (60, 1))
    n_minutes = round(hours * 60)
    with (folder / "day.dat").open("wb") as file:
        for _ in range(n_minutes):
            file.write((minute + rng.integers(-20, 21, minute.shape)).astype("<i2").tobytes())
    lines = [f"day {len(LEADS)} {FS} {n_minutes * len(minute)}"]
    lines += [f"day.dat 16 1000(0)/mV 16 0 0 0 0 {lead}" for lead in LEADS]
    (folder / "day.hea").write_text("\n".join(lines) + "\n")
    return folder / "day.hea"


def build(folder: Path) -> None:
    """The store of the record."""
    from fairseq_signals.store.building import build_store
    from fairseq_signals.store.conversion import iter_folder

    build_store(iter_folder(folder, "x"), folder / "store", workers=1, overwrite=True, progress=False)


def classifier() -> Any:
    """A small classifier of random weights."""
    import torch

    from fairseq_signals import ECGModel
    from fairseq_signals.inference.classes import Classes
    from fairseq_signals.modules.encoder import ECGEncoder
    from fairseq_signals.modules.encoder_config import EncoderConfig
    from fairseq_signals.modules.heads import ECGClassifier

    torch.manual_seed(0)
    network = ECGClassifier(ECGEncoder(EncoderConfig(**embed.SIZES["small"])), 1)
    classes = Classes(("a",), ("a",), (("1",),), (0.5,))
    return ECGModel(network, "classification", embed.make_model("small").form, classes)


def run(work: str, folder: str, threads: int) -> Dict[str, float]:
    """Memory and time of one piece of work."""
    import torch

    from fairseq_signals.inference.sources import Opener
    from fairseq_signals.report.figures import saliency_figure

    torch.set_num_threads(threads)
    root = Path(folder)
    model = classifier() if work == "saliency" else embed.make_model("small")
    model.embed(np.random.default_rng(0).normal(size=(12, 5000)), fs=500)  # what torch takes once

    def explain() -> None:
        record = Opener().read(str(root / "day.hea"))
        saliency_figure(model, record, record, "a", seconds=60.0)

    works: Dict[str, Callable[[], Any]] = {
        "preprocess": lambda: build(root),
        "embed_file": lambda: model.embed(str(root / "day.hea")),
        "embed_store": lambda: model.embed(f"{root / 'store'}#day"),
        "saliency": explain,
    }
    Path("/proc/self/clear_refs").write_text("5")  # begin a new peak
    before, begun = measure.status_mib("VmRSS"), time.perf_counter()
    works[work]()
    return {
        "peak_mib": measure.status_mib("VmHWM") - before,
        "wall_s": time.perf_counter() - begun,
    }


def main() -> int:
    parser = measure.parser_of(__doc__ or "")
    parser.add_argument("--hours", type=float, default=24.0, help="of the record (default: %(default)g)")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    args = parser.parse_args()
    if args.against:
        return measure.compare_checkouts(args.against, [f"{work}_peak_mib" for work in args.works])
    result: Dict[str, Any] = {"machine": measure.machine(args.threads)}
    with tempfile.TemporaryDirectory() as folder:
        make_record(Path(folder), args.hours)
        if "embed_store" in args.works and "preprocess" not in args.works:
            measure.in_process(build, folder=Path(folder))
        for work in args.works:
            figures = measure.in_process(run, work=work, folder=folder, threads=args.threads)
            print(f"{work}: {figures['peak_mib']:.0f} MiB, {figures['wall_s']:.0f} s", flush=True)
            result.update({f"{work}_{key}": figures[key] for key in ("peak_mib", "wall_s")})
    bars = {work: result[f"{work}_peak_mib"] for work in args.works}
    measure.bar_chart(args.plot, f"Memory of a record of {args.hours:g} h", "MiB above the imports", bars)
    measure.report(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
