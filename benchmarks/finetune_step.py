"""A fine-tuning step at the paper's size: in full, by LoRA, of the head alone, and of cached features.

    python benchmarks/finetune_step.py

The models are those of `examples/w2v_cmsc/config/finetuning/`: 12 layers of width 768, random weights, 26
classes. Measured is a whole update (forward, backward, clipping, Adam), in CPU seconds and in memory beyond
the model itself: activations, gradients and the optimizer's state. `cached` is the linear probe on features
that were computed before, as `examples/linear_probe` has them; what they took, in CPU seconds a segment, is
`cached_encode_cpu_s`. Keys of the last line, a JSON object, per way: `cpu_s`, `peak_mib`, `trained`
(parameters), and `cpu_ratio` and `memory_ratio` to full fine-tuning.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import measure

#: By way: the configuration whose model it is.
WAYS = {
    "full": "classification",
    "lora": "lora",
    "linear_probe": "linear_probe",
    "layer_mix": "layer_mix",
    "cached": "linear_probe",
}
CLASSES, SAMPLES = 26, 2500
CONFIGS = Path(__file__).resolve().parents[1] / "examples" / "w2v_cmsc" / "config" / "finetuning"


def make_step(way: str, batch_size: int) -> Tuple[Any, Callable[[], None], Callable[[], Any]]:
    """The model, an update of it, and the encoding of a batch as it is done once for `cached`."""
    import torch
    import yaml
    from fairseq.optim.adam import Adam

    from fairseq_signals.models.ecg_transformer_classifier import (
        ECGTransformerClassifierConfig,
        ECGTransformerClassifierModel,
    )

    torch.manual_seed(0)
    options = yaml.safe_load((CONFIGS / f"{WAYS[way]}.yaml").read_text())["model"]
    options = {key: value for key, value in options.items() if key not in ("_name", "model_path")}
    cfg = ECGTransformerClassifierConfig(num_labels=CLASSES, **options)
    model = ECGTransformerClassifierModel.build_model(cfg).train()
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=5e-5)
    source = torch.randn(batch_size, 12, SAMPLES)
    target = torch.randint(2, (batch_size, CLASSES)).float()

    def encode() -> Any:
        with torch.inference_mode():
            return model.pooled(source)

    features = torch.randn(batch_size, model.encoder.dim)

    def update() -> None:
        optimizer.zero_grad()
        logits = model.proj(features) if way == "cached" else model(source)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()

    return model, update, encode


def run(way: str, batch_size: int, repeats: int, threads: int) -> Dict[str, float]:
    """Figures of one way."""
    import torch

    torch.set_num_threads(threads)
    model, update, encode = make_step(way, batch_size)
    found = measure.timed(update, repeats, warm_up=2)  # the optimizer has its state from the second on
    found["trained"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if way == "cached":
        found["encode_cpu_s"] = measure.timed(encode, repeats)["cpu_s"] / batch_size
    return found


def main() -> int:
    parser = measure.parser_of(__doc__ or "")
    parser.add_argument("--batch-size", type=int, default=16, help="segments (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    args = parser.parse_args()
    if args.against:
        return measure.compare_checkouts(
            args.against, [f"{way}_{key}" for way in args.ways for key in ("cpu_s", "peak_mib")]
        )
    result: Dict[str, Any] = {"machine": measure.machine(args.threads), "batch_size": args.batch_size}
    bars: Dict[str, float] = {}
    for way in args.ways:
        figures = measure.in_process(
            run, way=way, batch_size=args.batch_size, repeats=args.repeats, threads=args.threads
        )
        result.update({f"{way}_{key}": value for key, value in figures.items()})
        bars[way] = figures["cpu_s"]
        once = f", and {figures['encode_cpu_s']:.3f} CPU s a segment once" if way == "cached" else ""
        print(
            f"{way}: {figures['cpu_s']:.3f} CPU s, {figures['peak_mib']:.0f} MiB, "
            f"{figures['trained']:,} parameters{once}",
            flush=True,
        )
        if "full" in bars:
            result[f"{way}_cpu_ratio"] = figures["cpu_s"] / result["full_cpu_s"]
            result[f"{way}_memory_ratio"] = figures["peak_mib"] / result["full_peak_mib"]
    measure.bar_chart(args.plot, "A fine-tuning step", "CPU seconds", bars)
    measure.report(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
