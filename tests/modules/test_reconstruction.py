"""Targets and errors of masked reconstruction, by numbers that were computed apart."""

from __future__ import annotations

import math

import pytest
import torch

from fairseq_signals.modules.front_end import patches_of
from fairseq_signals.modules.reconstruction import target_of, token_errors


def sines(*shape: int, offset: float) -> torch.Tensor:
    """The sine of 0, 1, 2 ... plus an offset."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) + offset).view(shape)


SOURCE = sines(1, 2, 12, offset=1.0)
GRIDS = {
    "patch": (patches_of(SOURCE, 4), [0, 2]),
    "lead_patch": (SOURCE.view(1, 2, 3, 4).reshape(1, 6, 1, 4), [0, 5]),
    "lead": (SOURCE.view(1, 2, 1, 12), [0, 1]),
}


@pytest.mark.parametrize(
    ("grid", "kind", "expected"),
    [
        ("patch", "standardised", 1.047223),
        ("patch", "raw", 0.663484),
        ("lead_patch", "standardised", 0.239939),
        ("lead_patch", "raw", 0.113359),
        ("lead", "standardised", 0.216004),
        ("lead", "raw", 0.117991),
    ],
)
def test_known_losses(grid, kind, expected):
    patches, masked = GRIDS[grid]
    prediction = sines(*patches.shape, offset=0.5)
    valid = torch.ones(patches.shape[:3], dtype=torch.bool)
    errors = token_errors(prediction, target_of(patches, kind), valid)
    assert errors[0, masked].mean().item() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("n", [4, 8, 75, 124, 300, 900])
def test_zeros_against_standardised_tokens(n):
    target = target_of(torch.randn(2, 3, 1, n, dtype=torch.float64), "standardised")
    errors = token_errors(torch.zeros_like(target), target, torch.ones(2, 3, 1, dtype=torch.bool))
    assert torch.allclose(errors, torch.full((2, 3), (n - 1) / n), atol=1e-5)


@pytest.mark.parametrize(("loss", "expected"), [("l1", 0.797885), ("smooth_l1", 0.424660), ("mse", 1.0)])
def test_zeros_against_normal_numbers(loss, expected):
    target = torch.randn(1, 1, 12, 100_000, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(1, 1, 12, dtype=torch.bool)
    assert token_errors(torch.zeros_like(target), target, valid, loss).item() == pytest.approx(
        expected, abs=3e-3
    )


@pytest.mark.parametrize("kind", ["standardised", "demeaned", "difference"])
def test_a_constant_of_a_whole_token_is_no_matter_unless_samples_are_told_as_they_are(kind):
    patches = torch.randn(1, 3, 12, 5)
    moved = patches + torch.tensor([1.0, -2.0, 0.0])[None, :, None, None]
    assert torch.allclose(target_of(moved, kind), target_of(patches, kind), atol=1e-5)
    assert torch.equal(target_of(moved, "raw"), moved)


def test_a_constant_of_a_lead_is_no_matter_where_its_own_mean_is_taken_away():
    patches = torch.randn(1, 2, 12, 5)
    moved = patches.clone()
    moved[:, :, 3] += 2
    assert torch.allclose(
        target_of(moved, "demeaned", "token_lead"), target_of(patches, "demeaned", "token_lead"), atol=1e-6
    )
    assert not torch.allclose(target_of(moved, "demeaned"), target_of(patches, "demeaned"), atol=1e-2)
    assert torch.allclose(target_of(moved, "difference"), target_of(patches, "difference"), atol=1e-6)


def test_differences_of_a_ramp_are_its_slope_and_of_a_constant_zero():
    ramp = torch.arange(5.0).mul(0.5).expand(1, 1, 12, 5)
    assert torch.allclose(target_of(ramp, "difference"), torch.full((1, 1, 12, 4), 0.5))
    assert not target_of(torch.ones(1, 1, 12, 5), "difference").any()


def test_flat_tokens_become_zeros():
    assert not target_of(torch.full((1, 1, 12, 5), 0.3), "standardised").any()


def test_leads_that_are_not_there_count_for_nothing():
    patches, valid = torch.randn(1, 2, 12, 5), torch.ones(1, 2, 12, dtype=torch.bool)
    valid[..., 8:] = False
    other = patches.clone()
    other[:, :, 8:] = 5.0
    targets = [target_of(each, "standardised", valid=valid) for each in (patches, other)]
    assert torch.equal(*targets)
    prediction = torch.randn(1, 2, 12, 5)
    errors = token_errors(prediction, targets[0], valid)
    prediction[:, :, 8:] = -9.0
    assert torch.equal(token_errors(prediction, targets[0], valid), errors)
    assert not token_errors(prediction, targets[0], torch.zeros_like(valid)).any()
