"""NT-Xent: hand-computed batches, a slow double loop, closed forms, and what must not matter to it."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.modules.nt_xent import cosines, nearest_is_positive, nt_xent_loss, without_diagonal


def same(labels: list) -> torch.Tensor:
    """(N, N) bool, True where two rows have the same label."""
    labels = torch.tensor(labels)
    return labels[:, None] == labels[None, :]


def slow_loss(z: torch.Tensor, positive: torch.Tensor, temperature: float) -> float:
    """The definition, one pair at a time."""
    z = F.normalize(z.double(), dim=1)
    s = [[float(a @ b) / temperature for b in z] for a in z]
    anchors = []
    for i in range(len(z)):
        total = sum(math.exp(s[i][k]) for k in range(len(z)) if k != i)
        terms = [math.log(total) - s[i][j] for j in range(len(z)) if j != i and positive[i, j]]
        if terms:
            anchors.append(sum(terms) / len(terms))
    return sum(anchors) / len(anchors) if anchors else 0.0


def test_two_views_of_two_segments_by_hand():
    # unit vectors at 0, 90, 180 and 180 degrees, rows 0 and 1 a pair, rows 2 and 3 another; temperature 1.
    # cosines: s01 = 0, s02 = s03 = -1, s12 = s13 = 0, s23 = 1
    # row 0: log(e^0 + 2 e^-1) - 0 = log 1.7357589 = 0.5514447
    # row 1: log(3 e^0) - 0 = log 3 = 1.0986123
    # rows 2, 3: log(e^-1 + e^0 + e^1) - 1 = log 4.0861613 - 1 = 0.4076060 each
    # mean: (0.5514447 + 1.0986123 + 2 x 0.4076060) / 4 = 0.6163172
    z = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-1.0, 0.0], [-7.0, 0.0]])  # lengths do not matter
    assert nt_xent_loss(z, same([5, 5, 8, 8]), 1.0).item() == pytest.approx(0.6163172, abs=1e-6)


def test_an_anchor_with_two_positives_and_a_row_with_none_by_hand():
    # the same vectors; rows 0, 1, 2 are of one patient, row 3 is of another: no positive; temperature 2
    # row 0: log(e^0 + 2 e^-1/2) - (s01 + s02) / 4 = log 2.2130613 + 0.25 = 0.7943768 + 0.25 = 1.0443768
    # row 1: log(3 e^0) - 0 = 1.0986123
    # row 2: log(e^-1/2 + e^0 + e^1/2) - (s20 + s21) / 4 = log 3.2552519 + 0.25 = 1.1802697 + 0.25 = 1.4302697
    # mean over the three anchors: 1.1910863
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-1.0, 0.0]])
    assert nt_xent_loss(z, same([1, 1, 1, 2]), 2.0).item() == pytest.approx(1.1910863, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=9), st.sampled_from([0.05, 0.1, 1.0]), st.integers(0, 99)
)
def test_loss_equals_the_slow_double_loop(labels, temperature, seed):
    z = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed))
    positive = same(labels)
    expected = slow_loss(z, positive, temperature)
    assert nt_xent_loss(z, positive, temperature).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("temperature", [0.1, 3.0])
def test_two_views_of_n_segments_with_identical_embeddings_give_log_of_2n_minus_1(n, temperature):
    z = torch.tensor([[0.3, -2.0, 1.0]]).expand(2 * n, -1)
    loss = nt_xent_loss(z, same([i // 2 for i in range(2 * n)]), temperature)
    assert loss.item() == pytest.approx(math.log(2 * n - 1), abs=1e-5)


@pytest.mark.parametrize(("patients", "views"), [(2, 2), (3, 4)])
def test_one_direction_a_patient_gives_the_log_of_its_share(patients, views):
    # orthogonal patients, identical rows within: each term is log((v - 1) e^(1/t) + (p - 1) v) - 1/t
    labels = [p for p in range(patients) for _ in range(views)]
    z = torch.eye(patients)[labels]
    expected = math.log((views - 1) * math.exp(2.0) + (patients - 1) * views) - 2.0
    assert nt_xent_loss(z, same(labels), 0.5).item() == pytest.approx(expected, abs=1e-5)


def test_order_of_rows_lengths_and_a_rotation_of_the_space_do_not_matter():
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(8, 5, generator=generator)
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2])
    loss = nt_xent_loss(z, labels[:, None] == labels, 0.1)
    order = torch.randperm(8, generator=generator)
    shuffled = nt_xent_loss(z[order], labels[order][:, None] == labels[order], 0.1)
    assert shuffled.item() == pytest.approx(loss.item(), rel=1e-5)
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    scaled = z * torch.rand(8, 1, generator=generator).add(0.1)
    assert nt_xent_loss(scaled @ rotation, labels[:, None] == labels, 0.1).item() == pytest.approx(
        loss.item(), rel=1e-4
    )


def test_the_diagonal_is_not_looked_at():
    z, positive = torch.randn(6, 3), same([0, 0, 1, 1, 2, 2])
    assert nt_xent_loss(z, positive, 0.1) == nt_xent_loss(z, without_diagonal(positive), 0.1)
    assert without_diagonal(positive).sum() == 6
    assert positive.diagonal().all()  # untouched


def test_gradient_is_that_of_finite_differences():
    z = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    positive = same([0, 0, 1, 1, 1, 2])
    loss = nt_xent_loss(z, positive, 0.5)
    loss.backward()
    step = 1e-4
    for i in range(6):
        for d in range(3):
            moved = z.detach().clone()
            moved[i, d] += step
            above = slow_loss(moved, positive, 0.5)
            moved[i, d] -= 2 * step
            slope = (above - slow_loss(moved, positive, 0.5)) / (2 * step)
            assert float(z.grad[i, d]) == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("labels", [[], [0], [0, 1, 2]])
def test_without_a_positive_the_loss_and_its_gradient_are_zero(labels):
    z = torch.randn(len(labels), 4, requires_grad=True)
    positive = same(labels) if labels else torch.zeros(0, 0, dtype=torch.bool)
    loss = nt_xent_loss(z, positive, 0.1)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(z.grad, torch.zeros_like(z))


@pytest.mark.parametrize("temperature", [0.001, 0.1])
def test_zero_rows_and_small_temperatures_have_finite_losses_and_gradients(temperature):
    z = torch.randn(6, 4)
    z[2] = 0.0
    z.requires_grad_()
    loss = nt_xent_loss(z, same([0, 0, 1, 1, 2, 2]), temperature)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(z.grad.isfinite().all())
    assert not cosines(z.detach())[2].any()


def test_half_precision_is_computed_in_single_precision():
    z = torch.randn(6, 4).half()
    loss = nt_xent_loss(z, same([0, 0, 1, 1, 2, 2]), 0.1)
    assert loss.dtype == torch.float32
    assert loss == nt_xent_loss(z.float(), same([0, 0, 1, 1, 2, 2]), 0.1)


def test_accuracy_counts_anchors_whose_nearest_other_is_a_positive():
    # on a circle: rows 0 and 1 are neighbours and a pair; 2 is nearer to 3 than to its partner 4; 3 is alone
    degrees = torch.tensor([0.0, 5.0, 90.0, 100.0, 130.0])
    z = torch.stack([torch.cos(degrees.deg2rad()), torch.sin(degrees.deg2rad())], dim=1)
    positive = same([0, 0, 1, 2, 1])
    assert nearest_is_positive(z, positive) == (2, 4)
    compared = torch.ones(5, 5, dtype=torch.bool)
    compared[:, 3] = False  # row 3 is not looked at: 2 and 4 find each other
    assert nearest_is_positive(z, positive, compared) == (4, 4)
    assert nearest_is_positive(z, without_diagonal(same([0, 1, 2, 3, 4]))) == (0, 0)
