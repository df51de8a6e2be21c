"""Normalisation inside the model: absent leads, padding and flat leads."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.modules.input_norm import PTB_XL, InputNorm


def given() -> tuple[torch.Tensor, torch.Tensor]:
    source = 0.3 * torch.randn(2, 12, 200, generator=torch.Generator().manual_seed(0)) + 0.1
    present = torch.ones(2, 12, dtype=torch.bool)
    present[1, 4:] = False
    return source, present


@pytest.mark.parametrize("kind", ["joint", "lead", "fixed"])
def test_absent_leads_and_padding_are_zeros_and_count_for_nothing(kind):
    source, present = given()
    padding = torch.arange(200) >= torch.tensor([[200], [150]])
    norm = InputNorm(kind)
    found = norm(source, present, padding)
    assert not found[1, 4:].any()
    assert not found[1, :, 150:].any()
    changed = source.clone()
    changed[1, 4:] = 7.0
    changed[1, :, 150:] = -3.0
    assert torch.equal(norm(changed, present, padding), found)


def test_joint_is_one_mean_and_deviation_of_a_segment():
    source, present = given()
    found = InputNorm("joint")(source, present)
    for row, leads in ((0, 12), (1, 4)):
        x = source[row, :leads].double()
        expected = (x - x.mean()) / (x.std(unbiased=False) + 1e-6)
        assert torch.allclose(found[row, :leads].double(), expected, atol=1e-5)


def test_each_lead_by_itself():
    source, present = given()
    found = InputNorm("lead")(source, present)
    assert torch.allclose(found[0].mean(dim=1), torch.zeros(12), atol=1e-6)
    assert torch.allclose(found[0].std(dim=1, unbiased=False), torch.ones(12), atol=1e-4)


def test_fixed_divides_by_the_deviation_of_each_lead_and_cuts_off():
    source, present = given()
    source[0, 0, 0] = 50.0
    found = InputNorm("fixed")(source, present)
    assert found[0, 0, 0] == 5.0
    assert torch.allclose(found[0, 5, :10], source[0, 5, :10] / PTB_XL[5])


@pytest.mark.parametrize("kind", ["joint", "lead"])
def test_a_flat_segment_becomes_zeros(kind):
    found = InputNorm(kind)(torch.full((1, 12, 50), 0.25), torch.ones(1, 12, dtype=torch.bool))
    assert torch.equal(found, torch.zeros(1, 12, 50))
