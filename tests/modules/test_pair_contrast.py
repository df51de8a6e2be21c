"""The contrast between pairs of two kinds: closed forms, and texts that several ECGs share."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.pair_contrast import prior, recalled, sigmoid_loss, softmax_floor, softmax_loss

OWN = torch.eye(4, dtype=torch.bool)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_scores_that_tell_nothing_cost_ln_of_the_batch():
    assert softmax_loss(torch.zeros(4, 4)).item() == pytest.approx(math.log(4))
    assert sigmoid_loss(torch.zeros(4, 4), OWN).item() == pytest.approx(4 * math.log(2))


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 0.743668), (1 / 0.07, 1.8746e-6)])
def test_orthogonal_pairs_cost_what_their_scale_says(scale, expected):
    loss = softmax_loss(scale * torch.eye(4, dtype=torch.float64)).item()
    assert loss == pytest.approx(expected, rel=1e-4)
    assert loss == pytest.approx(math.log1p(3 * math.exp(-scale)), rel=1e-9)


@pytest.mark.parametrize(("scale", "bias", "mean"), [(1.0, 0.0, 0.598176), (10.0, -10.0, 0.173321)])
def test_sigmoids_of_orthogonal_pairs_cost_what_scale_and_bias_say(scale, bias, mean):
    loss = sigmoid_loss(scale * torch.eye(4) + bias, OWN).item()
    assert loss / 4 == pytest.approx(mean, abs=1e-6)  # of each of the 16 terms


def test_neither_swapping_the_kinds_nor_the_order_matters():
    scores, order = torch.randn(5, 5, dtype=torch.float64), torch.tensor([3, 0, 4, 1, 2])
    loss = softmax_loss(scores)
    assert softmax_loss(scores.T).item() == pytest.approx(loss.item(), rel=1e-12)
    assert softmax_loss(scores[order][:, order]).item() == pytest.approx(loss.item(), rel=1e-12)


def shared_texts() -> tuple:
    """Unit vectors of seven ECGs and of their texts, of which the same ones are alike; and which are."""
    text_id = torch.tensor([0, 1, 0, 2, 1, 0, 3])
    ecgs = F.normalize(torch.randn(7, 3, dtype=torch.float64), dim=1)
    texts = F.normalize(torch.randn(4, 3, dtype=torch.float64), dim=1)
    return ecgs.requires_grad_(), texts.requires_grad_(), text_id, text_id[:, None] == text_id


def test_texts_that_several_ecgs_share_are_no_false_negatives():
    ecgs, texts, text_id, same = shared_texts()
    plain = softmax_loss(9 * ecgs @ texts[text_id].T)
    of_plain = torch.autograd.grad(plain, (ecgs, texts))
    scores, share = 9 * ecgs @ texts[text_id].T, same.double() / same.sum(dim=1)
    several = -((share * scores.log_softmax(1)).sum(1) + (share * scores.T.log_softmax(1)).sum(1)).mean() / 2
    assert plain.item() == pytest.approx(several.item(), rel=1e-12)
    for one, other in zip(of_plain, torch.autograd.grad(several, (ecgs, texts))):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


def test_nothing_is_below_the_floor_and_perfect_vectors_reach_it():
    text_id = torch.tensor([0, 1, 0, 2, 1, 0, 3])
    same = text_id[:, None] == text_id
    floor = softmax_floor(same).item()
    assert floor == pytest.approx((3 * math.log(3) + 2 * math.log(2)) / 7)
    vectors = torch.eye(4, dtype=torch.float64)[text_id]
    assert softmax_loss(100 * vectors @ vectors.T).item() == pytest.approx(floor, rel=1e-12)
    ecgs, texts, text_id, _ = shared_texts()
    assert softmax_loss(ecgs @ texts[text_id].T).item() > floor


def test_the_same_text_is_right_for_every_ecg_that_has_it_in_sigmoids():
    ecgs, texts, text_id, same = shared_texts()
    scores = 9 * ecgs @ texts[text_id].T
    slow = sum(
        -F.logsigmoid(scores[i, j] if text_id[i] == text_id[j] else -scores[i, j])
        for i in range(7)
        for j in range(7)
    )
    assert sigmoid_loss(scores, same).item() == pytest.approx(slow.item() / 7, rel=1e-12)
    assert sigmoid_loss(scores, torch.eye(7, dtype=torch.bool)).item() != pytest.approx(slow.item() / 7)


def test_where_no_text_is_right_every_score_is_pushed_down():
    scores = torch.zeros(3, 3, requires_grad=True)
    loss = sigmoid_loss(scores, torch.zeros(3, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(3 * math.log(2))
    torch.testing.assert_close(scores.grad, torch.full((3, 3), 0.5 / 3))


def test_the_prior_is_the_log_odds_of_a_pair():
    assert math.exp(prior(33)) == pytest.approx(1 / 32)
    assert prior(1) == 0


def test_a_single_pair_costs_nothing_and_teaches_nothing():
    scores = torch.randn(1, 1, requires_grad=True)
    loss = softmax_loss(scores)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad.item() == 0


def test_any_ecg_of_a_text_and_any_copy_of_a_text_counts_as_found():
    same = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=torch.bool)
    scores = torch.tensor([[0.0, 0.1, 0.9], [0.0, 0.3, 0.5], [0.8, 0.1, 0.2]])
    # ECGs: 0 finds the copy of its text, 1 finds another, 2 finds the copy; text 1 finds its own ECG
    assert recalled(scores, same) == (2, 3)
