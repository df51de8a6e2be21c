"""CPC: what an anchor is compared with, what it knows, and its loss."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from fairseq_signals.criterions.cpc import CPCConfig, CPCCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_cpc import ECGCPCConfig, ECGCPCModel, other_frames
from fairseq_signals.modules.contrastive import infonce_loss

STEM = {"conv_feature_layers": "[(16, 4, 4)] + [(16, 1, 1)]", "step": 5, "num_negatives": 8}


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny model, in evaluation mode."""

    def build(**options: object) -> ECGCPCModel:
        torch.manual_seed(0)
        return ECGCPCModel(ECGCPCConfig(**{**tiny, **STEM, **options})).eval()

    return build


def loss_of(model: ECGCPCModel, source: torch.Tensor, **inputs: torch.Tensor) -> tuple:
    sample = {"id": torch.arange(len(source)), "net_input": {"source": source, **inputs}}
    return CPCCriterion(CPCConfig(), SimpleNamespace())(model, sample)


def test_known_loss_of_four_anchors():
    z = torch.sin(torch.arange(18, dtype=torch.float64) + 1).view(6, 3)
    c = torch.sin(torch.arange(18, dtype=torch.float64) + 0.5).view(6, 3)
    anchor = torch.arange(4)
    scores = c[anchor] @ z.T
    others = [[j for j in range(6) if j != i + 2] for i in range(4)]
    candidates = torch.cat([(anchor + 2)[:, None], torch.tensor(others)], dim=1)
    logits = scores.gather(1, candidates)[None]
    assert infonce_loss(logits, torch.ones(1, 4, dtype=torch.bool)).item() == pytest.approx(
        4.222277, abs=1e-5
    )
    assert (logits.argmax(dim=2) == 0).float().mean().item() == 0.5


def test_negatives_are_all_other_frames_alike():
    drawn = other_frames(torch.tensor(3), torch.tensor(9), (20_000,))
    count = torch.bincount(drawn, minlength=10)
    assert count[3] == 0
    assert (count[[i for i in range(10) if i != 3]] - 20_000 / 9).abs().max() < 4.5 * (20_000 / 9) ** 0.5


def test_equal_frames_cost_the_logarithm_of_their_number(make):
    loss, n, log = loss_of(make(), torch.zeros(2, 12, 320))
    assert n == 2 * 75
    assert (loss / n).item() == pytest.approx(math.log(9), abs=1e-5)
    assert log["correct"] == 0


def test_the_context_knows_nothing_of_what_is_to_be_told(make, ecg_batch):
    model, source = make(), ecg_batch(1).requires_grad_()
    out = model.encoder(source)
    told, known = (
        torch.autograd.grad(x.square().sum(), source, retain_graph=True)[0].abs().sum(dim=(0, 1))
        for x in (out.latents[:, 25], out.x[:, 20])
    )
    told, known = (gradient > 1e-4 * gradient.max() for gradient in (told, known))  # an FFT rounds
    assert known[80:84].all()
    assert told.any()
    assert not (told & known).any()


def test_padding_is_neither_told_nor_compared_with(make, ecg_batch):
    model, source = make(), ecg_batch(2)
    padding = torch.arange(320) >= torch.tensor([320, 160])[:, None]
    torch.manual_seed(1)
    found = model(source, padding)
    assert found.valid.sum(dim=1).tolist() == [75, 35]
    torch.manual_seed(1)
    changed = source.clone()
    changed[1, :, 160:] = 9.0
    other = model(changed, padding)
    assert torch.equal(other.logits[1, :35], found.logits[1, :35])


def test_a_row_that_ends_before_what_is_to_be_told_adds_nothing(make, ecg_batch):
    padding = torch.arange(320) >= torch.tensor([320, 20])[:, None]  # of five frames, and five is the step
    found = make()(ecg_batch(2), padding)
    assert found.valid.sum(dim=1).tolist() == [75, 0]
    loss, n, _ = loss_of(make(), ecg_batch(2), padding_mask=padding)
    assert loss.isfinite()
    assert n == 75


@pytest.mark.parametrize("n", [8, 128])
def test_frames_of_the_same_phase_cannot_be_told_apart(make, n):
    source = torch.sin(2 * torch.pi * torch.arange(320) / 40).expand(1, 12, -1)  # ten frames a period
    model = make(num_negatives=n)
    told = torch.arange(75) + 5
    same_phase = torch.where(told[:, None] < 40, told[:, None] + 10, told[:, None] - 10).expand(1, -1, n)
    with torch.no_grad():
        found = model(source, negatives=same_phase)
    assert torch.allclose(found.logits, found.logits[..., :1].expand_as(found.logits), atol=1e-4)
    cost = infonce_loss(found.logits, found.valid) / 75
    assert cost.item() == pytest.approx(math.log(1 + n), abs=1e-4)


def test_every_few_frames_is_enough(make, ecg_batch):
    source = ecg_batch(4)
    means = []
    for anchor_step in (1, 5):
        model = make(anchor_step=anchor_step)
        with torch.no_grad():
            draws = [loss / n for loss, n, _ in (loss_of(model, source) for _ in range(40))]
        means.append(torch.stack(draws).mean().item())
    assert means[0] == pytest.approx(means[1], rel=0.02)


def test_all_weights_have_a_gradient(make, ecg_batch):
    model = make().train()
    loss, n, _ = loss_of(model, ecg_batch(2))
    (loss / n).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": "transformer"}, r"model\.context must be s4, and model\.s4_causal true"),
        ({"s4_causal": False}, r"model\.s4_causal true"),
        ({"extractor_mode": "default"}, r"model\.extractor_mode must be layer_norm"),
        ({"input_norm": "joint"}, r"model\.input_norm=joint divides by a deviation of the whole segment"),
        ({"input_norm": "lead"}, r"model\.input_norm=lead divides"),
        ({"step": 0}, r"model\.step must be"),
        (
            {"step": 2, "conv_feature_layers": "[(8, 64, 2)] * 2"},
            r"2 frames of 4 samples are fewer than the 190 .* set it to 48 or more",
        ),
    ],
)
def test_what_would_tell_the_answer_is_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_segments_that_are_too_short_are_refused(make):
    with pytest.raises(ConfigError, match=r"model\.step is 79 frames ahead, but segments have 80 frames"):
        make(step=79)(torch.zeros(1, 12, 320))
