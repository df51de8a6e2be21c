"""The additive angular margin: closed forms, monotone logits, and gradients at the ends."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.arcface import (
    ArcFaceCriterion,
    ArcFaceCriterionConfig,
    arcface_logits,
    arcface_loss,
)
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.arcface import ArcFaceConfig, ArcFaceModel

MARGINS = (0.0, 0.3, 0.5, 1.0, 1.5, 2.0)


@pytest.mark.parametrize("margin", MARGINS)
def test_target_logit_is_the_cosine_of_the_widened_angle_up_to_pi_minus_margin(margin):
    angle = torch.linspace(0.01, math.pi - margin - 0.01, 50)
    cosine = torch.stack([angle.cos(), torch.full((50,), 0.3)], dim=1)
    logits = arcface_logits(cosine, torch.zeros(50, dtype=torch.long), scale=10.0, margin=margin)
    assert torch.allclose(logits[:, 0], 10 * torch.cos(angle + margin), atol=1e-4)
    assert torch.allclose(logits[:, 1], torch.full((50,), 3.0))


@pytest.mark.parametrize("margin", MARGINS)
def test_target_logit_falls_as_the_angle_grows(margin):
    cosine = torch.linspace(0, math.pi, 2001, dtype=torch.float64).cos()[:, None]
    logits = arcface_logits(cosine, torch.zeros(2001, dtype=torch.long), scale=1.0, margin=margin)
    assert bool((logits.diff(dim=0) < 0).all())


def test_without_margin_it_is_a_plain_softmax():
    cosine, target = torch.rand(6, 4) * 2 - 1, torch.tensor([0, 1, 2, 3, 0, 1])
    expected = F.cross_entropy(32 * cosine, target, reduction="sum")
    assert torch.allclose(arcface_loss(cosine, target, scale=32.0, margin=0.0), expected, rtol=1e-5)


def test_equal_cosines_without_margin_give_the_log_of_the_number_of_classes():
    loss = arcface_loss(torch.full((3, 7), 0.2), torch.tensor([0, 1, 2]), scale=192.0, margin=0.0)
    assert loss.item() == pytest.approx(3 * math.log(7), rel=1e-5)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("value", [1.0, -1.0])
@pytest.mark.parametrize("column", [0, 1], ids=["target", "other"])
def test_loss_and_gradient_are_finite_at_cosine_one_and_minus_one(margin, value, column):
    cosine = torch.tensor([[0.1, 0.2, 0.3]])
    cosine[0, column] = value
    cosine.requires_grad_()
    loss = arcface_loss(cosine, torch.tensor([0]), scale=192.0, margin=margin)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(cosine.grad.isfinite().all())


def test_gradient_is_the_derivative():
    cosine = torch.tensor([[0.3, -0.2], [-0.97, 0.5]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 0])
    assert torch.autograd.gradcheck(lambda x: arcface_logits(x, target, 8.0, 0.5), cosine)


@pytest.fixture
def model(tiny) -> ArcFaceModel:
    torch.manual_seed(0)
    return ArcFaceModel.build_model(ArcFaceConfig(**tiny, num_labels=5))


def test_criterion_sums_over_segments_and_trains_every_part(model, ecg_batch):
    sample = {
        "id": torch.arange(4),
        "net_input": {"source": ecg_batch()},
        "label": torch.tensor([0, 1, 2, 4]),
    }
    criterion = ArcFaceCriterion(ArcFaceCriterionConfig(scale=16.0, margin=0.2), None)
    loss, n, log = criterion(model, sample)
    loss.backward()
    cosine = model.cosine_logits(model(ecg_batch()))
    assert torch.allclose(loss, arcface_loss(cosine, sample["label"], 16.0, 0.2))
    assert n == 4
    assert int(log["correct"]) == int((cosine.argmax(dim=1) == sample["label"]).sum())
    # but for the bias of attention's keys: a softmax does not see a constant
    still = [name for name, p in model.named_parameters() if not p.grad.any() and "k_proj.bias" not in name]
    assert not still


def test_workers_are_averaged_by_their_segments(reduced):
    logs = [
        {"loss": 6.0, "correct": 1, "labelled": 3, "sample_size": 3, "nsignals": 3},
        {"loss": 2.0, "correct": 1, "labelled": 1, "sample_size": 1, "nsignals": 1},
    ]
    shown = reduced(ArcFaceCriterion, logs)
    assert shown["loss"] == pytest.approx(2.0)
    assert shown["accuracy"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scale": 0.0}, r"criterion\.scale must be > 0"), ({"margin": 3.2}, r"criterion\.margin must be")],
)
def test_values_that_make_no_loss_are_refused_by_name(options, message):
    with pytest.raises(ConfigError, match=message):
        ArcFaceCriterion(ArcFaceCriterionConfig(**options), None)
