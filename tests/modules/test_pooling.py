"""The mean over frames."""

from __future__ import annotations

import torch

from fairseq_signals.modules.pooling import mean_over_frames


def test_mean_leaves_padded_frames_out():
    x = torch.randn(3, 7, 4)
    padding_mask = torch.arange(7) >= torch.tensor([7, 3, 1])[:, None]
    means = mean_over_frames(x, padding_mask)
    for row, n_valid in enumerate([7, 3, 1]):
        assert torch.allclose(means[row], x[row, :n_valid].mean(dim=0), atol=1e-6)
    assert torch.allclose(mean_over_frames(x), x.mean(dim=1))


def test_channel_that_is_zero_at_every_frame_has_mean_zero_and_a_finite_gradient():
    x = torch.randn(2, 5, 3)
    x[:, :, 1] = 0.0
    x.requires_grad_()
    means = mean_over_frames(x)
    assert bool((means[:, 1] == 0).all())
    means.norm().backward()
    assert bool(x.grad.isfinite().all())


def test_segment_without_a_valid_frame_has_mean_zero():
    padding_mask = torch.tensor([[False, False], [True, True]])
    means = mean_over_frames(torch.ones(2, 2, 3), padding_mask)
    assert means.tolist() == [[1.0] * 3, [0.0] * 3]
