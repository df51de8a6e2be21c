"""A pre-training step (W2V+CMSC) by part, its share of the machine's peak, and the usual formulation's.

    python benchmarks/train_step.py --threads 2
    python benchmarks/train_step.py --model all --equal-size jepa_weimann
    python benchmarks/train_step.py --model mtae jepa_weimann

Without --model, for the paper's size (12 layers, d 768, 8 pairs) and a small one (4 layers, d 256, 32 pairs):
CPU seconds of the whole step and of each part alone, forward and backward; for the small size also the
reference formulation of `reference.py`. Model FLOPs are three times those that PyTorch's counter finds in the
forward pass, where the position convolution counts as what it computes, products of spectra. The peak is the
fastest of several float32 products, some of the model's own shapes, measured in the same process before and
after the steps.
Keys of the last line, one JSON object, among others: `paper_step_mfu` = FLOPs / CPU seconds / (peak a CPU
second); `small_step_speedup` and `small_step_memory_ratio` against the reference.

With --model, a table in Markdown of other methods beside W2V+CMSC, see `methods.py` and `README.md`; the last
line has `methods`, of each its figures and their ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import measure
import methods
import torch
from torch import Tensor

SIZES: Dict[str, Dict[str, Any]] = {
    "paper": {"pairs": 8},
    "small": {
        "pairs": 32,
        "encoder_layers": 4,
        "encoder_embed_dim": 256,
        "encoder_ffn_embed_dim": 1024,
        "encoder_attention_heads": 4,
    },
}
#: An encoder of the size of the demo.
DEMO: Dict[str, Any] = {
    "encoder_layers": 2,
    "encoder_embed_dim": 96,
    "encoder_ffn_embed_dim": 192,
    "encoder_attention_heads": 4,
    "conv_feature_layers": "[(32, 2, 2)] * 2 + [(64, 2, 2)] * 2",
    "conv_pos": 32,
    "conv_pos_groups": 8,
}
SAMPLES = 2500


class Step:
    """A model with its criterion, optimiser and one batch."""

    def __init__(self, size: str, form: str = "ours", **options: Any):
        from fairseq.optim.adam import Adam

        from fairseq_signals.criterions.wav2vec2_with_cmsc import (
            Wav2Vec2WithCMSCCriterion,
            Wav2Vec2WithCMSCCriterionConfig,
        )
        from fairseq_signals.models.wav2vec2_cmsc import Wav2Vec2CMSCConfig, Wav2Vec2CMSCModel

        if form == "reference":
            from reference import ReferenceModel as Model
        else:
            Model = Wav2Vec2CMSCModel
        torch.manual_seed(0)
        shape = {key: value for key, value in SIZES[size].items() if key != "pairs"}
        self.cfg = Wav2Vec2CMSCConfig(
            apply_mask=True, quantize_targets=True, final_dim=256, dropout_input=0.1, dropout_features=0.1,
            feature_grad_mult=0.1, **shape, **options,
        )  # fmt: skip
        self.model = Model(self.cfg).train()
        self.criterion = Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(), None)
        self.optimizer = Adam(
            self.model.parameters(), lr=5e-5, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01
        )
        pair = torch.arange(SIZES[size]["pairs"]).repeat_interleave(2)
        self.source = torch.randn(len(pair), 12, SAMPLES)
        self.sample = {
            "net_input": {"source": self.source, "padding_mask": None},
            "id": pair,
            "patient_id": pair,
            "segment": torch.arange(len(pair)) % 2,
        }

    def fill_memory(self) -> None:
        """Let gradients and the optimiser's state be there before memory is measured."""
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()

    def loss(self) -> Tensor:
        loss, size, _ = self.criterion(self.model, self.sample)
        return loss / size

    def update(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()

    def flops(self) -> float:
        """Three times the forward pass's: a backward pass has two products for each of its own."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self.loss()
        return 3.0 * counter.get_total_flops()

    def parts(self) -> Dict[str, Callable[[], Any]]:
        """Each part of the step alone, forward and backward, on what the step gives it."""
        from fairseq_signals.criterions.cmsc import cmsc_loss
        from fairseq_signals.modules.contrastive import infonce_loss

        model, encoder = self.model, self.model.encoder
        with torch.no_grad():
            out = encoder(self.source, mask=True)
        latents, spans = out.latents.requires_grad_(), out.span_mask
        x = out.x.detach().requires_grad_()
        with torch.no_grad():
            prediction = model.final_proj(x)
            targets, quantized = model._targets(latents[spans])
        assert quantized is not None
        index, valid = _compact(spans)
        prediction = prediction.gather(1, index[..., None].expand(-1, -1, prediction.shape[2]))
        prediction, targets = prediction.requires_grad_(), targets.requires_grad_()
        own = torch.arange(index.shape[1]).expand_as(index)
        g = x.detach().mean(dim=1).requires_grad_()
        ids, segment = self.sample["patient_id"], self.sample["segment"]

        def contrastive() -> None:
            logits = model._logits(prediction, targets, quantized, spans, own * valid, None)
            infonce_loss(logits, valid).backward()

        return {
            "front end": lambda: encoder.latent_frames(self.source).sum().backward(),
            "position convolution": lambda: encoder.conv_pos(x).sum().backward(),
            "Transformer": lambda: encoder.encoder(x).sum().backward(),
            "quantizer": lambda: model._targets(latents[spans])[0].sum().backward(),
            "contrastive": contrastive,
            "CMSC": lambda: cmsc_loss(g, ids, segment).backward(),
            "optimiser": self.optimizer.step,
        }


def _compact(spans: Tensor) -> Tuple[Tensor, Tensor]:
    from fairseq_signals.modules.contrastive import compact

    return compact(spans)


def peak_flops(repeats: int = 7) -> float:
    """FLOPs a CPU second of the fastest float32 product among several shapes; medians, as of the steps."""
    best = 0.0
    for n, k, m in ((2048, 2048, 2048), (2496, 768, 3072), (2496, 3072, 768), (3072, 2496, 768)):
        a, b = torch.randn(n, k), torch.randn(k, m)
        seconds = measure.timed(lambda a=a, b=b: a @ b, repeats)["cpu_s"]
        best = max(best, 2.0 * n * k * m / seconds)
    return best


def run(size: str, form: str, repeats: int, threads: int) -> Dict[str, Any]:
    """Figures of one size and formulation."""
    torch.set_num_threads(threads)
    step = Step(size, form)
    result: Dict[str, Any] = {"flops": step.flops()}
    step.fill_memory()
    peaks = [peak_flops()]
    result.update(measure.timed(step.update, repeats))
    peaks.append(peak_flops())
    result["peak_flops_per_cpu_s"] = statistics.mean(peaks)
    result["mfu"] = result["flops"] / result["cpu_s"] / result["peak_flops_per_cpu_s"]
    if form != "reference":
        result["parts"] = {
            name: measure.timed(part, max(1, repeats // 2))["cpu_s"] for name, part in step.parts().items()
        }
    return result


def show(name: str, figures: Dict[str, Any]) -> None:
    print(
        f"{name}: {figures['cpu_s']:.3f} CPU s, {figures['wall_s']:.3f} s, {figures['peak_mib']:.0f} MiB, "
        f"{figures['flops'] / 1e9:.0f} GFLOP, {100 * figures['mfu']:.0f} % of the peak of "
        f"{figures['peak_flops_per_cpu_s'] / 1e9:.0f} GFLOP a CPU second",
        flush=True,
    )
    for part, seconds in figures.get("parts", {}).items():
        print(f"    {part:21s} {seconds:8.3f} CPU s  {100 * seconds / figures['cpu_s']:5.1f} %", flush=True)


def of_methods(args: argparse.Namespace) -> int:
    """The table of methods."""
    names = methods.every_method() if methods.ALL in args.model else args.model
    names = [*names, *(f"{name}{methods.EQUAL}" for name in args.equal_size)]
    with tempfile.TemporaryDirectory() as folder:
        options = {"segments": args.segments, "repeats": args.repeats, "threads": args.threads}
        found = methods.measured(names, Path(folder), **options)
    bars = {name: figures["cpu_s_ratio"] for name, figures in found.items()}
    measure.bar_chart(args.plot, "A pre-training step", "CPU time a segment / that of W2V+CMSC", bars)
    measure.report({"machine": measure.machine(args.threads), "methods": found})
    return 0


def main() -> int:
    parser = measure.parser_of(__doc__ or "")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument(
        "--model",
        nargs="+",
        type=methods.known_or_all,
        metavar="NAME",
        help=f"measure these pre-trainings, examples/*/config/pretraining/NAME.yaml, or {methods.ALL!r}",
    )
    parser.add_argument(
        "--equal-size",
        nargs="+",
        type=methods.known,
        default=[],
        metavar="NAME",
        help="with --model: of these also one in the width and depth of W2V+CMSC",
    )
    parser.add_argument(
        "--segments", type=int, default=4, help="with --model: in a batch (default: %(default)s)"
    )
    args = parser.parse_args()
    if (args.model and args.against) or (args.equal_size and not args.model):
        parser.error("--equal-size goes with --model, and --against does not")
    if args.model:
        return of_methods(args)
    if args.against:
        keys = [f"{size}_step_{key}" for size in args.sizes for key in ("cpu_s", "peak_mib", "mfu")]
        return measure.compare_checkouts(args.against, keys)
    result: Dict[str, Any] = {"machine": measure.machine(args.threads)}
    bars: Dict[str, float] = {}
    runs: List[Tuple[str, str]] = [(size, "ours") for size in args.sizes]
    runs += [("small", "reference")] if "small" in args.sizes else []
    for size, form in runs:
        figures = measure.in_process(run, size=size, form=form, repeats=args.repeats, threads=args.threads)
        name = size if form == "ours" else f"{size}, reference"
        show(name, figures)
        prefix = f"{size}_step" if form == "ours" else f"{size}_reference"
        parts = figures.pop("parts", {})
        result.update({f"{prefix}_{key}": value for key, value in figures.items()})
        if parts:
            result[f"{prefix}_parts_cpu_s"] = parts
            bars.update({f"{size}: {part}": 100 * s / figures["cpu_s"] for part, s in parts.items()})
    if "small" in args.sizes:
        result["small_step_speedup"] = result["small_reference_cpu_s"] / result["small_step_cpu_s"]
        result["small_step_memory_ratio"] = result["small_reference_peak_mib"] / result["small_step_peak_mib"]
    measure.bar_chart(args.plot, "Parts of a pre-training step", "% of the step's CPU time", bars)
    measure.report(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
