"""The local contrastive term, forward and backward: one product a segment against gathered distractors.

    python benchmarks/contrastive.py

64 segments, 156 frames each (all of them predicted), 100 distractors a frame, width 256, some codes equal.
The values and gradients of the two forms are compared first. The last line is one JSON object:
`contrastive_speedup` is the ratio of CPU seconds, `contrastive_memory_ratio` that of peak memory.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

import measure
import torch
from torch import Tensor

from fairseq_signals.modules.contrastive import (
    cosine_similarity,
    distractor_logits,
    infonce_loss,
    same_codes,
    sample_distractors,
)

TEMPERATURE = 0.1
WIDTH, CODES = 256, 320


def make_inputs(segments: int, frames: int, k: int) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Predictions and targets (B, M, D), codes (B, M, 1) that decide the targets, distractors (B, M, K)."""
    generator = torch.Generator().manual_seed(0)
    book = torch.randn(CODES, WIDTH, generator=generator)
    codes = torch.randint(CODES, (segments, frames, 1), generator=generator)
    prediction = torch.randn(segments, frames, WIDTH, generator=generator)
    own = torch.arange(frames).expand(segments, -1)
    distractors = sample_distractors(own, torch.tensor(frames), k, generator)
    return prediction.requires_grad_(), book[codes[..., 0]].requires_grad_(), codes, distractors


def product_loss(prediction: Tensor, targets: Tensor, codes: Tensor, distractors: Tensor) -> Tensor:
    similarity = cosine_similarity(prediction, targets)
    logits = torch.cat(
        [
            similarity.diagonal(dim1=1, dim2=2)[..., None],
            distractor_logits(similarity, distractors, same_codes(codes, codes)),
        ],
        dim=-1,
    )
    return infonce_loss(logits / TEMPERATURE, torch.ones(codes.shape[:2], dtype=torch.bool))


def gathered_loss(prediction: Tensor, targets: Tensor, codes: Tensor, distractors: Tensor) -> Tensor:
    from reference import gathered_logits

    logits = gathered_logits(prediction, targets, distractors, TEMPERATURE).permute(1, 2, 0)
    return infonce_loss(logits, torch.ones(codes.shape[:2], dtype=torch.bool))


FORMS = {"product": product_loss, "gathered": gathered_loss}


def run(form: str, size: Tuple[int, int, int], repeats: int, threads: int) -> Dict[str, float]:
    torch.set_num_threads(threads)
    FORMS[form](*make_inputs(2, 8, 3)).backward()  # what loads at the first use is no part of the peak
    inputs = make_inputs(*size)
    for tensor in inputs[:2]:
        tensor.grad = torch.zeros_like(tensor)
    return measure.timed(lambda: FORMS[form](*inputs).backward(), repeats)


def largest_difference(size: Tuple[int, int, int]) -> Dict[str, float]:
    """Of the two forms' losses (relative) and gradients (as a share of the largest entry)."""
    losses, gradients = [], []
    for loss_of in FORMS.values():
        inputs = make_inputs(*size)
        loss = loss_of(*inputs)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.stack([inputs[0].grad, inputs[1].grad]))  # type: ignore[list-item]
    scale = float(gradients[0].abs().max())
    return {
        "loss_difference": abs(losses[0] - losses[1]) / losses[1],
        "gradient_difference": float((gradients[0] - gradients[1]).abs().max()) / scale,
    }


def main() -> None:
    parser = measure.parser_of(__doc__ or "")
    parser.add_argument("--segments", type=int, default=64)
    parser.add_argument("--frames", type=int, default=156)
    parser.add_argument("--distractors", type=int, default=100)
    args = parser.parse_args()
    if args.against:
        return measure.compare_checkouts(args.against, ["product_cpu_s", "product_peak_mib"])
    size = (args.segments, args.frames, args.distractors)
    result: Dict[str, Any] = {"machine": measure.machine(args.threads), "size": list(size)}
    result.update(largest_difference((4, args.frames, args.distractors)))
    for form in FORMS:
        figures = measure.in_process(run, form=form, size=size, repeats=args.repeats, threads=args.threads)
        print(f"{form:9s} {figures['cpu_s']:8.3f} CPU s  {figures['peak_mib']:8.1f} MiB", flush=True)
        result.update({f"{form}_{key}": value for key, value in figures.items()})
    result["contrastive_speedup"] = result["gathered_cpu_s"] / result["product_cpu_s"]
    result["contrastive_memory_ratio"] = result["gathered_peak_mib"] / result["product_peak_mib"]
    bars = {form: result[f"{form}_cpu_s"] for form in FORMS}
    measure.bar_chart(args.plot, "Contrastive term, forward and backward", "CPU seconds", bars)
    measure.report(result)


if __name__ == "__main__":
    main()
