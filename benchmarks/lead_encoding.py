"""What encoding leads by name takes: front end and mixer at 1 and 12 leads, and a whole pre-training step.

    python benchmarks/lead_encoding.py --threads 2

Of the paper's front end and each mixer (`lead_encoding=tokens`): CPU seconds and peak memory, forward and
backward, of 8 segments with one present lead and with twelve. Of a W2V+CMSC step at the paper's size, a small
one and the demo's, the ratios to `lead_encoding=zeros`, with twelve leads present and with half of them as
random lead masking leaves them. Keys of the last line, one JSON object, among others:
`front_end_attention_cpu_ratio` and `front_end_attention_memory_ratio` = one lead / twelve, and
`paper_tokens_attention_rlm_cpu_ratio` = the step / that of zeros.
"""

from __future__ import annotations

import sys
from typing import Any, Dict, Tuple

import measure
import torch
import train_step

SEGMENTS = 8
MIXERS = ("mean", "attention", "message")
FORMS: Dict[str, Dict[str, Any]] = {
    "zeros": {},
    "flags": {"lead_encoding": "flags"},
    **{f"tokens_{mixer}": {"lead_encoding": "tokens", "lead_mixer": mixer} for mixer in MIXERS},
}
# the ratios need no large batches
train_step.SIZES["paper"]["pairs"] = 4
train_step.SIZES["small"]["pairs"] = 8
train_step.SIZES["demo"] = {"pairs": 16, **train_step.DEMO}


def front_end(mixer: str, n_leads: int, repeats: int, threads: int) -> Dict[str, float]:
    """Figures of samples to mixed frames and back, each of `SEGMENTS` with the first `n_leads`."""
    from fairseq_signals.modules.encoder import ECGEncoder
    from fairseq_signals.modules.encoder_config import EncoderConfig

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    encoder = ECGEncoder(EncoderConfig(encoder_layers=1, **FORMS[f"tokens_{mixer}"])).train()
    source = torch.randn(SEGMENTS, 12, train_step.SAMPLES)
    present = (torch.arange(12) < n_leads).expand(SEGMENTS, -1)
    encoder.latent_frames(source[:1], present[:1]).sum().backward()  # gradients are there from now on
    return measure.timed(lambda: encoder.latent_frames(source, present).sum().backward(), repeats)


def step(size: str, form: str, masked: bool, repeats: int, threads: int) -> Dict[str, float]:
    """Figures of an update; where `masked`, each lead is present with probability 0.5."""
    torch.set_num_threads(threads)
    made = train_step.Step(size, **FORMS[form])
    drawn = torch.rand(made.source.shape[:2], generator=torch.Generator().manual_seed(1))
    present = drawn <= torch.maximum(drawn.amin(dim=1, keepdim=True), torch.tensor(0.5 if masked else 1.0))
    made.source.mul_(present[..., None])
    made.sample["net_input"]["lead_present"] = present
    made.fill_memory()
    return measure.timed(made.update, repeats)


def main() -> int:
    parser = measure.parser_of(__doc__ or "")
    parser.add_argument("--sizes", nargs="*", choices=train_step.SIZES, default=list(train_step.SIZES))
    args = parser.parse_args()
    given = {"repeats": args.repeats, "threads": args.threads}
    result: Dict[str, Any] = {"machine": measure.machine(args.threads)}
    bars: Dict[str, float] = {}
    for mixer in MIXERS:
        one, twelve = (measure.in_process(front_end, mixer=mixer, n_leads=n, **given) for n in (1, 12))
        note(result, f"front_end_{mixer}", one, twelve)
        result.update({f"front_end_{mixer}_12_leads_{key}": value for key, value in twelve.items()})
    for size in args.sizes:
        for masked, leads in ((False, ""), (True, "_rlm")):
            zeros: Dict[str, float] = {}
            for form in FORMS:
                found = measure.in_process(step, size=size, form=form, masked=masked, **given)
                zeros = zeros or found
                name = f"{size}_{form}{leads}"
                note(result, name, found, zeros)
                bars[name] = result[f"{name}_cpu_ratio"]
    measure.bar_chart(args.plot, "A pre-training step", "CPU time / that of zeros", bars)
    measure.report(result)
    return 0


def note(result: Dict[str, Any], name: str, found: Dict[str, float], base: Dict[str, float]) -> None:
    """Add figures and their ratios to those of `base`, and print them."""
    ratios: Tuple[float, float] = found["cpu_s"] / base["cpu_s"], found["peak_mib"] / base["peak_mib"]
    result.update({f"{name}_cpu_s": found["cpu_s"], f"{name}_peak_mib": found["peak_mib"]})
    result.update({f"{name}_cpu_ratio": ratios[0], f"{name}_memory_ratio": ratios[1]})
    print(
        f"{name:28s} {found['cpu_s']:8.3f} CPU s {found['peak_mib']:6.0f} MiB   "
        f"{ratios[0]:.3f} and {ratios[1]:.3f} of {base['cpu_s']:.3f} s, {base['peak_mib']:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
