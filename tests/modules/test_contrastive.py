"""The local contrastive term beside its slow forms, and where it is defined by convention."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.contrastive import (
    all_distractor_logits,
    binary_contrastive_loss,
    compact,
    cosine_similarity,
    distractor_logits,
    infonce_loss,
    same_codes,
    sample_distractors,
)


def test_compact_lists_the_true_positions_of_each_row():
    mask = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
    index, valid = compact(mask)
    assert index.tolist() == [[1, 2, 4], [0, 0, 0], [0, 0, 0]]
    assert valid.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    x = torch.randn(3, 5, 2)
    assert torch.equal(x.take_along_dim(index[..., None], dim=1)[valid], x[mask])


def test_distractors_are_uniform_over_the_other_candidates():
    own = torch.tensor([0, 2, 4]).repeat(2, 1)  # two segments, three frames each
    count = torch.tensor([[5], [7]])
    drawn = sample_distractors(own, count, 20_000, torch.Generator().manual_seed(0))
    assert drawn.shape == (2, 3, 20_000)
    for segment, n in enumerate((5, 7)):
        for frame in range(3):
            shares = torch.bincount(drawn[segment, frame], minlength=n) / 20_000
            expected = torch.full((n,), 1 / (n - 1))
            expected[own[segment, frame]] = 0.0
            assert torch.allclose(shares, expected, atol=0.015)


def test_a_frame_without_other_candidates_has_no_distractor():
    drawn = sample_distractors(torch.zeros(2, 1, dtype=torch.long), torch.tensor([[1], [2]]), 3)
    assert drawn.tolist() == [[[-1, -1, -1]], [[1, 1, 1]]]
    assert sample_distractors(torch.zeros(2, 1, dtype=torch.long), torch.tensor([[1], [2]]), 0).shape == (
        2,
        1,
        0,
    )


@pytest.mark.parametrize("shared", [False, True])
def test_logits_equal_those_of_gathered_copies(shared):
    torch.manual_seed(0)
    b, m, n, k, d = 3, 4, 6, 5, 8
    x = torch.randn(b, m, d)
    candidates = torch.randn(n, d) if shared else torch.randn(b, n, d)
    drawn = torch.randint(n, (b, m, k))
    expected = torch.empty(b, m, k)
    for i in range(b):
        for t in range(m):
            for j in range(k):
                other = candidates[drawn[i, t, j]] if shared else candidates[i, drawn[i, t, j]]
                expected[i, t, j] = F.cosine_similarity(x[i, t], other, dim=0)
    logits = distractor_logits(cosine_similarity(x, candidates), drawn)
    assert torch.allclose(logits, expected, atol=1e-6)


def test_distractors_with_the_codes_of_the_positive_are_excluded():
    codes = torch.tensor([[[0, 1], [0, 1], [0, 2], [3, 1]]])
    own_codes = torch.tensor([[[0, 1]]])
    similarity = torch.tensor([[[0.1, 0.2, 0.3, 0.4]]])
    excluded = same_codes(codes, own_codes)
    assert excluded.tolist() == [[[True, True, False, False]]]
    logits = distractor_logits(similarity, torch.tensor([[[0, 1, 2, 3, -1]]]), excluded)
    assert torch.isinf(logits).tolist() == [[[True, True, False, False, True]]]
    assert logits[0, 0, 2:4].tolist() == pytest.approx([0.3, 0.4])


def test_all_distractors_are_every_candidate_but_the_own_one_and_padding():
    similarity = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    own = torch.tensor([[0, 1, 3], [1, 0, 0]])
    excluded = torch.zeros(2, 3, 4, dtype=torch.bool)
    excluded[0, 0, 2] = True
    logits = all_distractor_logits(similarity, own, torch.tensor([4, 2]), excluded)
    kept = [
        [[False, True, False, True], [True, False, True, True], [True, True, True, False]],
        [[True, False, False, False], [False, True, False, False], [False, True, False, False]],
    ]
    assert logits.isfinite().tolist() == kept
    assert torch.equal(logits[torch.tensor(kept)], similarity[torch.tensor(kept)])


@pytest.mark.parametrize("k", [1, 10, 100])
def test_equal_logits_give_log_of_their_number(k):
    valid = torch.ones(2, 3, dtype=torch.bool)
    loss = infonce_loss(torch.full((2, 3, 1 + k), 0.7), valid)
    assert loss.item() == pytest.approx(6 * math.log(k + 1), rel=1e-6)
    assert binary_contrastive_loss(torch.zeros(2, 3, 1 + k), valid).item() == pytest.approx(
        6 * (1 + k) * math.log(2)
    )


def test_losses_count_valid_frames_only():
    logits, valid = torch.randn(2, 3, 5), torch.tensor([[True, True, False], [False, False, False]])
    expected = sum(-logits[0, t].log_softmax(dim=0)[0] for t in (0, 1))
    assert torch.allclose(infonce_loss(logits, valid), expected)
    signs = torch.tensor([-1.0] + [1.0] * 4)
    expected = sum(F.softplus(signs * logits[0, t]).sum() for t in (0, 1))
    assert torch.allclose(binary_contrastive_loss(logits, valid), expected)


@pytest.mark.parametrize("compute", [infonce_loss, binary_contrastive_loss])
def test_excluded_distractors_take_no_part_and_leave_the_gradient_finite(compute):
    logits = torch.randn(1, 2, 4)
    excluded = torch.tensor([[[False, True, False, True], [False, True, True, True]]])
    x = logits.clone().requires_grad_()
    valid = torch.ones(1, 2, dtype=torch.bool)
    loss = compute(x.masked_fill(excluded, float("-inf")), valid)
    loss.backward()
    kept = compute(logits[:, :1, ::2], valid[:, :1]) + compute(logits[:, 1:, :1], valid[:, :1])
    assert torch.allclose(loss, kept)
    assert bool(x.grad.isfinite().all())
    assert not x.grad[excluded].any()


def test_infonce_is_zero_where_every_distractor_is_excluded():
    logits = torch.full((1, 3, 6), float("-inf"))
    logits[..., 0] = 0.3
    assert infonce_loss(logits, torch.ones(1, 3, dtype=torch.bool)).item() == 0.0


def test_zero_vectors_have_similarity_zero_and_a_finite_gradient():
    x = torch.zeros(1, 2, 4, requires_grad=True)
    similarity = cosine_similarity(x, torch.randn(1, 3, 4))
    assert not similarity.any()
    similarity.sum().backward()
    assert bool(x.grad.isfinite().all())
