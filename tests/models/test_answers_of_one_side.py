"""Controls of `ecg_question_answering` that see one side: they know what that side tells, and no more."""

from __future__ import annotations

import pytest
import torch

from tests.models.test_ecg_question_answering import make

N = 16


@pytest.fixture
def learn():
    """`learn(modality, yes)`: the share of N ECGs x 2 questions whose answers (2 N,) are learnt."""

    def train(modality: str, yes: torch.Tensor) -> float:
        generator = torch.Generator().manual_seed(0)
        time, fast = torch.arange(320) / 500, torch.arange(N) % 2
        wave = torch.sin(2 * torch.pi * (4 + 12 * fast[:, None]) * time)
        x = wave[:, None] + 0.1 * torch.randn(N, 12, 320, generator=generator)
        text = torch.tensor([[0, 5, 6, 2], [0, 5, 7, 2]]).repeat(N, 1)
        ecgs = torch.stack([torch.arange(N).repeat_interleave(2), torch.full((2 * N,), -1)], dim=1)
        label = torch.stack([yes, ~yes], dim=1).float()
        model = make(modality=modality, num_labels=2).train()
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(60):
            optimizer.zero_grad()
            scores = model(x, text=text, ecgs=ecgs)
            torch.nn.functional.binary_cross_entropy_with_logits(scores, label).backward()
            optimizer.step()
        with torch.no_grad():
            found = (model.eval()(x, text=text, ecgs=ecgs)[:, 0] > 0) == yes
        return found.float().mean().item()

    return train


@pytest.mark.parametrize(("modality", "right"), [("text", 1.0), ("ecg", 0.5)])
def test_where_the_question_decides_the_blind_know_all_and_the_deaf_nothing(modality, right, learn):
    assert learn(modality, torch.arange(2).repeat(N) == 1) == pytest.approx(right, abs=0.01)


@pytest.mark.parametrize(("modality", "right"), [("text", 0.5), ("ecg", 1.0)])
def test_where_the_ecg_decides_it_is_the_other_way_round(modality, right, learn):
    assert learn(modality, torch.arange(N).repeat_interleave(2) % 2 == 1) == pytest.approx(right, abs=0.01)
