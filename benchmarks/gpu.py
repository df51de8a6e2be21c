"""What a training takes on one GPU, in at most five minutes; at a tiny size without one.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --size tiny --limit-s 120

W2V+CMSC as its YAML file has it, at the paper's size (12 layers, d 768), or at that of the demo (`tiny`, what
is taken where there is no GPU), by fairseq's own trainer on synthetic recordings:

- `agrees`: loss, gradients and embedding of the same segments, masks and distractors, without dropout,
  against float64 on the CPU; the loss in bfloat16 too. Beyond `TOLERANCE` the exit status is 1.
- `flops`: of a segment in a step, forward and backward, counted on the CPU as in `methods.py`.
- `step_FORM`: an update of one batch that is on the GPU already, in bfloat16 (`common.bf16`) and float32.
  `mfu` = FLOPs / seconds / peak of the card (`PEAKS`). Float32 is what PyTorch has by default: products in
  float32, and convolutions in TF32 where the card has it.
- `loader_FORM`: segments a second from workers to the GPU, and that rate to the fastest step's; batches in
  `pageable` memory, `copied` to pinned memory by a thread (as a training does), and in shared `slots`
  (`batches/memory.py`) that are pinned themselves, so that nothing is copied.
- `embed`: recordings of 10 s a second through `ECGModel.embed`, and the share of the encoder's own time.
- `two`: a step of two processes, one on each of two GPUs with NCCL; without a GPU, on the CPU with gloo.
- `compiled_FORM`: `step_FORM` with `model.compile`.

Each section has a process of its own, and is ended, and said to be left out, where the time is up.
Last line: one JSON object, a key for each section: its figures, or `left_out` or `failed` with the reason.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import measure
import methods
from gpu_sections import SIZES, Setting, agreement, embedding, flops, loader, step

#: Card, and its peak in bfloat16 (with float32 sums, without sparsity) and float32 in TFLOP/s: NVIDIA's data
#: sheets, for GeForce the white papers of Ampere GA102 and Ada. None: it has no bfloat16.
PEAKS: Tuple[Tuple[str, Optional[float], float], ...] = (
    (r"H(100 80GB HBM3|100 SXM.*|200)", 989.4, 66.9),
    (r"H(100|200) NVL", 835.5, 60.0),
    (r"H100 PCIe", 756.0, 51.0),
    (r"A100-.*", 312.0, 19.5),
    (r"A10", 125.0, 31.2),
    (r"L40S", 362.0, 91.6),
    (r"L4", 121.0, 30.3),
    (r"V100-SXM2-.*", None, 15.7),
    (r"V100-PCIE-.*", None, 14.0),
    (r"T4", None, 8.1),
    (r"RTX 4090", 165.2, 82.6),
    (r"RTX 3090", 71.0, 35.6),
)
#: Largest difference from float64, relative: of the loss, and of the norms of gradients and embedding.
TOLERANCE = {"loss": 1e-3, "gradient": 1e-3, "embedding": 1e-3, "bf16_loss": 0.02}
GIB_OF_A_PAIR = 0.55  # of float32 at the paper's size
LEAST_S = 5  # what a section needs
SECTIONS = ("agrees", "flops", "step", "loader", "embed", "two", "compiled")


def peaks_of(card: str) -> Optional[Dict[str, Optional[float]]]:
    """FLOP/s of a card by precision, or None of one that `PEAKS` lacks (a part of a card, say)."""
    name = re.sub(r"^(NVIDIA |Tesla |GeForce )*", "", card)
    for pattern, *peaks in PEAKS:
        if re.fullmatch(pattern, name):
            return {key: peak and peak * 1e12 for key, peak in zip(("bf16", "fp32"), peaks)}
    return None


def quietly(section: Callable[..., Any], **arguments: Any) -> Any:
    """Run a section without fairseq's messages."""
    logging.disable(logging.INFO)
    return section(**arguments)


class Sections:
    """Runs sections until the time is up.

    Attributes:
        found: figures of each, or why there are none.
    """

    def __init__(self, at: Setting, limit_s: float, ends: float, chosen: Sequence[str]):
        self.at, self.limit_s, self.ends, self.chosen = at, limit_s, ends, chosen
        self.found: Dict[str, Dict[str, Any]] = {}

    def run(
        self, name: str, function: Callable[..., Any], lacks: str = "", world: int = 1, **given: Any
    ) -> None:
        """A section, in `world` processes; `lacks` says what this machine has not for it."""
        if name.partition("_")[0] not in self.chosen:
            return
        left_s = self.ends - time.monotonic()
        if lacks or left_s < LEAST_S:
            found = {"left_out": lacks or self.up}
        else:
            ranks = [{"rank": rank, "world": world} for rank in range(world)] if world > 1 else [{}]
            try:
                given.update(section=function, at=self.at)
                found = measure.in_processes(ranks, quietly, methods.PRELOAD, left_s, **given)[0]
            except TimeoutError:
                found = {"left_out": self.up}
            except Exception as error:  # the others shall be heard
                found = {"failed": f"{type(error).__name__}: {error}".partition("\n")[0]}
        self.found[name] = found
        print(f"{name}: {found}", file=sys.stderr, flush=True)

    @property
    def up(self) -> str:
        return f"the {self.limit_s:g} s of --limit-s are up"

    def run_all(self, n_gpus: int) -> None:
        """In this order, as the last ones are missed least."""
        without = "" if n_gpus else "there is no GPU"
        self.run("agrees", agreement)
        self.run("flops", flops)
        for precision in ("bf16", "fp32"):
            self.run(f"step_{precision}", step, precision=precision)
        for form in ("pageable", "copied", "slots"):
            self.run(f"loader_{form}", loader, "" if form == "pageable" else without, form=form)
        self.run("embed", embedding)
        one = "there is one GPU" if n_gpus == 1 else ""
        self.run("two", step, one, world=2, precision="bf16" if n_gpus else "fp32")
        for precision in ("bf16", "fp32"):
            self.run(f"compiled_{precision}", step, precision=precision, compiled=True)


def derive(found: Dict[str, Dict[str, Any]], peaks: Optional[Dict[str, Optional[float]]]) -> None:
    """Add rates, and MFU where the card's peak is known."""
    gflop = found.get("flops", {}).get("gflop_per_segment")
    rates = []
    for figures in found.values():
        if "step_s" not in figures:
            continue
        rate = figures["segments"] / figures["step_s"]
        figures["tokens_per_s"] = rate * figures["tokens_per_segment"]
        rates.append(rate / figures["processes"])
        if gflop:
            figures["tflop_per_s"] = gflop * rate / 1e3
            peak = peaks and peaks[figures["precision"]]
            figures["mfu"] = peak and gflop * 1e9 * rate / peak / figures["processes"]
    for name, figures in found.items():
        if name.startswith("loader") and "segments_per_s" in figures and rates:
            figures["of_fastest_step"] = figures["segments_per_s"] / max(rates)


#: Tables by the figure that a row of them has: heading, key, and how it is written.
TABLES = {
    "step_s": (
        ("ms a step", "step_s", lambda x: f"{1e3 * x:.1f}"),
        ("first, s", "first_s", "{:.1f}".format),
        ("GiB", "peak_mib", lambda x: f"{x / 1024:.1f}"),
        ("tokens/s", "tokens_per_s", "{:.0f}".format),
        ("TFLOP/s", "tflop_per_s", "{:.3g}".format),
        ("MFU", "mfu", "{:.1%}".format),
    ),
    "segments_per_s": (
        ("segments/s", "segments_per_s", "{:.0f}".format),
        ("to the fastest step's", "of_fastest_step", "{:.2f}".format),
    ),
    "records_per_s": (
        ("recordings/s", "records_per_s", "{:.1f}".format),
        ("encoder's share", "encoder_share", "{:.0%}".format),
    ),
    "loss": tuple((f"difference of {key}", key, "{:.1e}".format) for key in TOLERANCE),
}


def show(found: Dict[str, Dict[str, Any]]) -> None:
    """Tables in Markdown, and what is not in them."""
    for kind, columns in TABLES.items():
        rows = {name: figures for name, figures in found.items() if kind in figures}
        if rows:
            print("| | " + " | ".join(head for head, _, _ in columns) + " |\n|---|" + "---:|" * len(columns))
        for name, figures in rows.items():
            cells = ("" if figures.get(key) is None else write(figures[key]) for _, key, write in columns)
            print(f"| {name} | " + " | ".join(cells) + " |")
        print(end="\n" if rows else "")
    for name, figures in found.items():
        for why in ("left_out", "failed"):
            if why in figures:
                print(f"{name}: {why.replace('_', ' ')}: {figures[why]}")


def machine() -> Dict[str, Any]:
    """The machine with its GPU."""
    import torch

    found: Dict[str, Any] = {**measure.machine(torch.get_num_threads()), "gpu": None, "gpus": 0}
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        found.update(gpu=card.name, gpus=torch.cuda.device_count(), gpu_gib=card.total_memory / 2**30)
        found["cuda"] = torch.version.cuda
    return found


def main() -> int:
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, help="default: paper with a GPU, tiny without")
    parser.add_argument("--limit-s", type=float, default=300.0, help="of all (default: %(default)g)")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="NAME",
                        help=f"of {', '.join(SECTIONS)} (default: all)")  # fmt: skip
    parser.add_argument("--pairs", type=int, help="in a batch (default: 64, or what the GPU has memory for)")
    args = parser.parse_args()
    # asking whether there is a GPU shall not begin CUDA, in the process that the sections are forked from
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    host = measure.in_process(machine, methods.PRELOAD)
    size = args.size or ("paper" if host["gpu"] else "tiny")
    pairs = SIZES[size].pairs
    while size == "paper" and host["gpu"] and pairs > 1 and pairs * GIB_OF_A_PAIR > host["gpu_gib"] - 4:
        pairs //= 2
    device, workers = "cuda" if host["gpu"] else "cpu", max(1, min(6, (host["cores"] or 1) - 1))
    with tempfile.TemporaryDirectory() as folder:
        at = Setting(size, folder, device, args.pairs or pairs, workers)
        if args.limit_s >= LEAST_S:
            options = {"folder": Path(folder), "records": 2 * at.pairs}
            measure.in_process(methods.make_data, methods.PRELOAD, **options)
        sections = Sections(at, args.limit_s, began + args.limit_s, args.sections)
        sections.run_all(host["gpus"])
    found = sections.found
    peaks = peaks_of(host["gpu"] or "")
    derive(found, peaks)
    show(found)
    if peaks is None:
        print(f"no MFU: the peak of {host['gpu'] or 'this CPU'} is not known")
    beyond = [key for key, most in TOLERANCE.items() if not found.get("agrees", {}).get(key, 0.0) <= most]
    print("".join(f"beyond {TOLERANCE[key]:g} of float64 on the CPU: {key}\n" for key in beyond), end="")
    setting = {
        "size": size,
        "pairs": at.pairs,
        "wall_s": time.monotonic() - began,
        "beyond_tolerance": beyond,
    }
    measure.report({"machine": host, **setting, "peaks": peaks, **found})
    return 1 if beyond or any("failed" in figures for figures in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
