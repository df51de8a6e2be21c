"""Masks of a second network: their form, their share, its penalty."""

from __future__ import annotations

import math

import pytest
import torch

from fairseq_signals.modules.adversarial_mask import (
    MaskNetwork,
    binarised,
    drawn,
    masked_shares,
    share_penalty,
)


@pytest.mark.parametrize(("mask", "hidden"), [(0.4, 0.006693), (0.5, 0.5), (0.52, 0.731059), (0.6, 0.993307)])
def test_masks_are_nearly_0_or_1(mask, hidden):
    assert binarised(torch.tensor(mask)).item() == pytest.approx(hidden, abs=1e-6)


def test_half_a_mask_has_the_steepest_gradient():
    mask, x = torch.full((5,), 0.5, requires_grad=True), torch.arange(5.0)
    (x * (1 - binarised(mask))).sum().backward()
    assert torch.allclose(mask.grad, -12.5 * x)


@pytest.mark.parametrize(
    ("preferred", "share", "penalty"),
    [
        (0.5, 0.5, 1.0),
        (0.5, 0.25, 1.414214),
        (0.5, 0.1, 3.236068),
        (0.625, 0.625, 1.0),
        (0.625, 0.5, 1.051462),
    ],
)
def test_penalty_of_a_share(preferred, share, penalty):
    assert share_penalty(torch.tensor([[share]]), preferred).item() == pytest.approx(penalty, abs=1e-6)


@pytest.mark.parametrize("preferred", [0.2, 0.5, 0.625])
def test_the_penalty_is_finite_everywhere_and_its_slope_leads_to_the_preferred_share(preferred):
    shares = torch.linspace(0, 1, 101)[:, None].requires_grad_()
    penalty = share_penalty(shares, preferred) * len(shares)
    penalty.backward()
    assert 101 < penalty < 101 / math.sin(0.01 * math.pi / 2 / preferred)
    away = (shares - preferred).detach()
    assert (shares.grad * away)[away.abs() > 0.001].gt(0).all()


def test_the_penalty_is_the_sum_over_masks_of_its_mean_over_segments():
    shares = torch.tensor([[0.5, 0.25], [0.1, 0.25]])
    assert share_penalty(shares, 0.5).item() == pytest.approx((1 + 3.236068) / 2 + 1.414214, abs=1e-5)


def test_masks_of_absent_leads_do_not_count():
    masks = torch.rand(2, 3, 40, requires_grad=True)
    present = torch.tensor([[True, False, True], [True, False, False]])
    penalty = share_penalty(masked_shares(masks, None, present), 0.5)
    penalty.backward()
    assert masks.grad.any(dim=2).tolist() == present.tolist()
    assert masks.grad.isfinite().all()
    changed = torch.where(present[..., None], masks, torch.zeros(()))
    assert torch.equal(share_penalty(masked_shares(changed, None, present), 0.5), penalty)


def test_padding_does_not_count():
    masks, padding = torch.rand(2, 1, 40), torch.arange(40) >= torch.tensor([40, 10])[:, None]
    shares, hidden = masked_shares(masks, padding), binarised(masks)[:, 0]
    assert torch.allclose(shares[:, 0], torch.stack([hidden[0].mean(), hidden[1, :10].mean()]))


@pytest.mark.parametrize("n_samples", [320, 77, 1])
@pytest.mark.parametrize("n_masks", [1, 3, 12])
def test_a_network_makes_masks_for_each_sample(n_masks, n_samples):
    soft = MaskNetwork(12, n_masks, 4)(torch.randn(2, 12, n_samples))
    assert soft.shape == (2, n_masks, n_samples)
    assert (soft > 0).all()
    assert (soft < 1).all()
    if n_masks == 3:
        assert torch.allclose(soft.sum(dim=1), torch.ones(2, n_samples))


def test_each_of_several_masks_is_drawn_as_often_as_another():
    masks = torch.arange(3.0)[:, None].expand(3000, 3, 5)
    counts = drawn(masks, 12)[:, 0, 0].long().bincount()
    assert drawn(masks, 12).shape == (3000, 1, 5)
    assert (counts - 1000).abs().max() < 3.5 * (3000 * 2 / 9) ** 0.5
    assert drawn(masks, 3) is masks


def test_the_penalty_alone_brings_the_masks_of_a_network_to_the_preferred_share():
    network, x = MaskNetwork(12, 1, 2), torch.randn(2, 12, 64)
    with torch.no_grad():
        network.up[0].bias += 3.0  # at first all is masked
    assert masked_shares(network(x)).min() > 0.99
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        share_penalty(masked_shares(network(x)), 0.625).backward()
        optimizer.step()
    assert (masked_shares(network(x)) - 0.625).abs().max() < 0.05
