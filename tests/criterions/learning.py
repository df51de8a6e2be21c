"""Signals from which tiny models learn within some updates, and those updates.

Every batch is new, so that nothing can be learnt by heart: what a model tells, it tells of the signal.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.sizes import TINY

SMALL = {**TINY, "encoder_layers": 1, "dropout": 0.0, "attention_dropout": 0.0, "layer_norm_first": True}
N_SAMPLES = 320
Draw = Callable[[torch.Generator, int], dict]


def waves(generator: torch.Generator, b: int) -> Tensor:
    """Slow waves of random rates and phases, which all leads share: (B, 12, 320)."""
    rate = 1 / (60 + 60 * torch.rand(b, 1, 1, generator=generator))
    angle = 2 * torch.pi * (torch.arange(N_SAMPLES) * rate + torch.rand(b, 1, 1, generator=generator))
    gain = torch.linspace(-1, 1, 12)[None, :, None]
    return gain * angle.sin() + (1 - gain.abs()) * angle.cos()


def beats(generator: torch.Generator, patients: int, records: int = 1) -> Tensor:
    """Three waves a beat, of the patient's form, at the record's rate: (patients x records, 12, 320)."""
    form = (
        torch.randn(patients, 12, 3, generator=generator),
        torch.tensor([-0.25, 0.0, 0.35]) + 0.06 * torch.randn(patients, 3, generator=generator),
        0.03 + 0.05 * torch.rand(patients, 3, generator=generator),
    )
    leads, at, width = (part.repeat_interleave(records, dim=0) for part in form)
    b = patients * records
    rate = 1 / (60 + 60 * torch.rand(b, 1, generator=generator))
    phase = (torch.arange(N_SAMPLES) * rate + torch.rand(b, 1, generator=generator)) % 1 - 0.5
    bumps = (-0.5 * ((phase[:, None] - at[..., None]) / width[..., None]).square()).exp()
    return leads @ bumps


def batch(source: Tensor, parts: int = 1, views: int = 1) -> dict:
    """Items of so many segments in so many views each, as the collater gives them."""
    row = torch.arange(len(source))
    item = row // (parts * views)
    return {
        "id": item,
        "net_input": {"source": source},
        "patient_id": item,
        "segment": row // views % parts,
        "segment_row": row // views,
        "view": row % views,
    }


def segments_of(signal: Callable[[torch.Generator, int], Tensor]) -> Draw:
    """Batches of single segments."""
    return lambda generator, b: batch(signal(generator, b))


def two_views(generator: torch.Generator, b: int) -> dict:
    """Batches of two views, of other amplitude and noise."""
    source = beats(generator, b).repeat_interleave(2, dim=0)
    scale = 0.7 + 0.6 * torch.rand(2 * b, 1, 1, generator=generator)
    noise = 0.05 * torch.randn(source.shape, generator=generator)
    return batch(scale * source + noise, views=2)


def two_records(generator: torch.Generator, b: int) -> dict:
    """Batches of two records of a patient."""
    return batch(beats(generator, b, records=2), parts=2)


class Changed(nn.Module):
    """A model, what it gives changed."""

    def __init__(self, model: nn.Module, change: Callable[[Any], Any]):
        super().__init__()
        self.model, self.change = model, change

    def forward(self, **inputs: Any) -> Any:
        return self.change(self.model(**inputs))


class OwnTeacher(nn.Module):
    """In place of a teacher the student itself, with its gradient."""

    def __init__(self, student: nn.Module, *parts: str):
        super().__init__()
        for part in parts:
            self.add_module(part, getattr(student, part))

    def forward(self, part: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, part)(*args, **kwargs)

    def follow(self, student: nn.Module, num_updates: int) -> bool:
        return False


def learn(
    model: nn.Module,
    criterion: nn.Module,
    draw: Draw,
    updates: int,
    lr: float = 1e-2,
    change: Callable[[Any], Any] | None = None,
    last: int = 8,
) -> dict:
    """Means of what the criterion logs, each over the last updates.

    Args:
        draw: makes a batch of so many items.
        change: what is done to the model's output, in every update.
    """
    torch.manual_seed(0)
    net, generator = (Changed(model, change) if change else model), torch.Generator().manual_seed(1)
    net.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)
    logs = []
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = lr * min(1.0, (update + 1) / 10)
        model.set_num_updates(update)
        loss, n, log = criterion(net, draw(generator, 16))
        optimizer.zero_grad()
        (loss / n).backward()
        optimizer.step()
        logs.append({name: float(value) / n for name, value in log.items()})
    return {name: sum(log[name] for log in logs[-last:]) / last for name in logs[0]}


def mixed(x: Tensor) -> Tensor:
    """Rows in random order."""
    return x[torch.randperm(len(x))]


def with_others(draw: Draw, key: str) -> Draw:
    """The same batches, but rows of odd numbers belong with others than their own."""

    def wrong(generator: torch.Generator, b: int) -> dict:
        sample = copy.copy(draw(generator, b))
        sample[key] = sample[key].clone()
        sample[key][1::2] = sample[key][1::2][torch.randperm(b, generator=generator)]
        return sample

    return wrong
