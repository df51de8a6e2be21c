"""Losses between views, by numbers that were computed apart and by what must not matter."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.joint_embedding import (
    by_view,
    byol_costs,
    coding_rate,
    covariance_term,
    moco_loss,
    sinkhorn,
    swav_costs,
    vicreg_terms,
)


def sines(*shape: int, offset: float) -> torch.Tensor:
    """The sine of 0, 1, 2 ... plus an offset."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) + offset).view(shape)


Z1, Z2 = sines(4, 3, offset=1.0), sines(4, 3, offset=0.5)


def test_vicreg():
    terms = vicreg_terms(Z1, Z2)
    assert terms.invariance.item() == pytest.approx(0.115927, abs=1e-6)
    assert terms.variance.item() == pytest.approx(0.253311 + 0.258142, abs=1e-6)
    assert terms.covariance.item() == pytest.approx(1.445476, abs=1e-6)
    moved = vicreg_terms(Z1 + 3, Z2)
    assert moved.variance.item() == pytest.approx(terms.variance.item(), abs=1e-5)
    assert moved.covariance.item() == pytest.approx(terms.covariance.item(), abs=1e-5)
    rows = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(torch.stack(vicreg_terms(Z1[rows], Z2[rows])), torch.stack(terms))


def test_a_constant_view_has_the_largest_variance_term():
    constant = torch.ones(5, 3)
    assert vicreg_terms(constant, constant).variance.item() == pytest.approx(2 * 0.99, abs=1e-6)
    assert covariance_term(constant).item() == 0


def test_byol_and_moco():
    assert byol_costs(Z1, Z2).mean().item() == pytest.approx(0.221489, abs=1e-6)
    assert moco_loss(Z1, Z2, 0.2).item() == pytest.approx(0.264711, abs=1e-6)
    assert moco_loss(Z1, torch.ones(4, 3), 0.2).item() == pytest.approx(2 * 0.2 * math.log(4), abs=1e-6)


def test_codes_use_all_prototypes_alike():
    scores = F.normalize(sines(6, 3, offset=1.0), dim=1) @ F.normalize(sines(4, 3, offset=0.25), dim=1).T
    codes = sinkhorn(scores)
    assert torch.allclose(codes[0], torch.tensor([0.770585, 0, 0.229415, 0]), atol=1e-6)
    assert torch.allclose(codes.sum(dim=0), torch.tensor([1.524798, 1.525802, 1.475202, 1.474198]), atol=1e-5)
    assert torch.allclose(codes.sum(dim=1), torch.ones(6))
    assert torch.allclose(sinkhorn(scores, iterations=100).sum(dim=0), torch.full((4,), 1.5), atol=1e-4)
    rows = torch.randperm(6)
    assert torch.allclose(sinkhorn(scores[rows]), codes[rows], atol=1e-6)
    assert torch.allclose(sinkhorn(torch.zeros(6, 4)), torch.full((6, 4), 0.25))


def test_equal_scores_cost_the_logarithm_of_their_number():
    assert swav_costs(torch.zeros(5, 8), torch.full((5, 8), 1 / 8), 0.1).tolist() == pytest.approx(
        [math.log(8)] * 5
    )


def test_coding_rate():
    rows = F.normalize(sines(6, 3, offset=1.0), dim=1)
    assert coding_rate(rows, 0.5).item() == pytest.approx(1.497513, abs=1e-6)
    assert coding_rate(rows[:1].expand(6, -1), 0.5).item() == pytest.approx(1.282475, abs=1e-6)
    assert coding_rate(torch.eye(3), 0.5).item() == pytest.approx(2.414157, abs=1e-6)


def test_rows_are_sorted_by_view():
    z = torch.arange(6)
    found = by_view(z, torch.tensor([7, 3, 7, 3, 5, 5]), torch.tensor([0, 0, 1, 1, 1, 0]))
    assert found.tolist() == [[1, 5, 0], [3, 4, 2]]
    with pytest.raises(ValueError, match=r"as many views each, but rows of views are \[3, 2\]"):
        by_view(z[:5], torch.tensor([7, 3, 7, 3, 5]), torch.tensor([0, 0, 1, 1, 0]))


def test_one_segment_has_no_variance():
    with pytest.raises(ConfigError, match=r"a batch has 1: raise dataset\.batch_size"):
        vicreg_terms(Z1[:1], Z2[:1])
