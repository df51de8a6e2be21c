"""Costs, prototypes and centre of DINO, by closed forms and a slow twin."""

from __future__ import annotations

import math

import pytest
import torch

from fairseq_signals.modules.dino import Centre, Prototypes, cosine_costs, dino_costs


def test_equal_logits_cost_the_logarithm_of_the_number_of_prototypes():
    costs = dino_costs(torch.full((3, 7), 2.0), torch.full((3, 7), -1.0), torch.zeros(7))
    assert torch.allclose(costs, torch.full((3,), math.log(7)))


def test_a_student_that_equals_its_teacher_pays_the_entropy_of_the_shares():
    logits = torch.randn(5, 7)
    shares = (logits / 0.1).softmax(dim=-1)
    entropy = -(shares * shares.log()).sum(dim=-1)
    assert torch.allclose(dino_costs(logits, logits, torch.zeros(7), 0.1, 0.1), entropy, atol=1e-5)


def test_costs_are_those_of_a_sum_written_out():
    student, teacher, centre = torch.randn(2, 4), torch.randn(2, 4), torch.randn(4)
    for i, cost in enumerate(dino_costs(student, teacher, centre, 0.5, 0.25).tolist()):
        target = [math.exp((t - c) / 0.25) for t, c in zip(teacher[i].tolist(), centre.tolist())]
        guess = [math.exp(s / 0.5) for s in student[i].tolist()]
        terms = [t / sum(target) * math.log(g / sum(guess)) for t, g in zip(target, guess)]
        assert cost == pytest.approx(-sum(terms), rel=1e-5)


def test_cosine_costs_are_zero_for_the_same_direction_and_two_for_the_opposite():
    x = torch.randn(2, 3, 4)
    assert torch.allclose(cosine_costs(x, 3 * x), torch.zeros(2, 3), atol=1e-6)
    assert torch.allclose(cosine_costs(x, -x), torch.full((2, 3), 2.0))


def test_prototypes_give_cosines():
    prototypes, x = Prototypes(3, 5), torch.randn(4, 3)
    expected = torch.nn.functional.cosine_similarity(x[:, None], prototypes.weight[None], dim=-1)
    assert torch.allclose(prototypes(x), expected, atol=1e-6)


def test_the_centre_follows_the_mean_of_an_update_whatever_its_micro_batches():
    rows = torch.randn(7, 3, 4)  # of frames, too
    whole, parts = Centre(4, momentum=0.9), Centre(4, momentum=0.9)
    whole.add(rows)
    for part in rows.split([2, 4, 1]):
        parts.add(part)
        assert not parts.value.any()  # within an update it stays
    for centre in (whole, parts):
        centre.step()
        assert torch.allclose(centre.value, 0.1 * rows.mean(dim=(0, 1)), atol=1e-6)
    before = whole.value.clone()
    whole.step()  # of an update in which no batch came
    assert torch.equal(whole.value, before)
    whole.add(rows[:1])
    whole.step()
    assert torch.allclose(whole.value, 0.9 * before + 0.1 * rows[0].mean(dim=0), atol=1e-6)


def test_the_centre_stays_in_float32():
    centre = Centre(4).half()
    assert centre.value.dtype == centre.waiting.dtype == torch.float32
