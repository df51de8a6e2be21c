"""The mean over frames, weighted means whose weights are learnt, and other statistics."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.pooling import (
    AttentivePooling,
    FrameStatistics,
    mean_over_frames,
    spectral_entropy,
)


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


def test_attention_that_was_not_trained_is_the_mean_over_valid_frames():
    x = torch.randn(3, 7, 8)
    padding_mask = torch.arange(7) >= torch.tensor([7, 3, 1])[:, None]
    for mask in (None, padding_mask):
        assert torch.allclose(AttentivePooling(8, 2)(x, mask), mean_over_frames(x, mask), atol=1e-6)


def test_each_head_of_attention_weighs_frames_for_its_own_channels():
    pool = AttentivePooling(4, 2)
    with torch.no_grad():
        pool.score.weight[0, 0] = 1e4  # the first head looks for the frame with the largest first channel
    x = torch.zeros(1, 3, 4)
    x[0, :, 0] = torch.tensor([1.0, 3.0, 2.0])
    x[0, :, 3] = torch.tensor([6.0, 0.0, 3.0])
    assert torch.allclose(pool(x), torch.tensor([[3.0, 0.0, 0.0, 3.0]]))


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match=r"dim \(6\) must be a multiple of heads \(4\)"):
        AttentivePooling(6, 4)


def test_statistics_are_of_their_layers_in_their_order_and_of_no_padding():
    pool, first, last = FrameStatistics(["std:3", "mean:1", "mean:3"], 3, 4), *torch.randn(2, 2, 5, 4)
    assert pool.layers == (1, 3)
    expected = torch.cat([last.std(dim=1, correction=0), first.mean(dim=1), last.mean(dim=1)], dim=1)
    assert torch.allclose(pool([first, last]), expected, atol=1e-6)
    padding = torch.arange(5) >= torch.tensor([5, 3])[:, None]
    alone = pool([first[1:, :3], last[1:, :3]])
    assert torch.allclose(pool([first, last], padding)[1:], alone, atol=1e-6)
    pool.mean += 1
    pool.deviation *= 2
    assert torch.allclose(pool([first, last]), (expected - 1) / 2, atol=1e-6)


def test_a_deviation_of_equal_frames_has_a_finite_gradient():
    x = torch.ones(1, 5, 3, requires_grad=True)
    FrameStatistics(["std:0"], 2, 3)([x]).sum().backward()
    assert bool(x.grad.isfinite().all())


def test_entropy_of_a_sine_is_zero_of_an_impulse_one_and_of_noise_between():
    t = torch.arange(32.0)
    x = torch.stack([(2 * torch.pi * 3 * t / 32).sin() + 7, 5.0 * (t == 9), torch.ones(32)], dim=1)[None]
    assert torch.allclose(spectral_entropy(x)[0], torch.tensor([0.0, 1.0, 0.0]), atol=1e-3)
    torch.manual_seed(0)
    noise = spectral_entropy(torch.randn(4, 64, 8))
    assert bool(((noise > 0.7) & (noise < 0.95)).all())


@pytest.mark.parametrize("n_frames", [30, 31])
def test_entropy_is_that_of_the_discrete_fourier_transform(n_frames):
    x = torch.randn(2, n_frames, 3, dtype=torch.float64)
    power = torch.fft.rfft(x, dim=1)[:, 1:].abs().square()
    share = power / power.sum(dim=1, keepdim=True)
    expected = -(share * share.log()).sum(dim=1) / torch.tensor(float(n_frames // 2)).log()
    assert torch.allclose(spectral_entropy(x), expected, atol=1e-6)


def test_entropy_of_padded_frames_is_that_of_the_others_alone():
    x = torch.randn(4, 12, 3, requires_grad=True)
    padding_mask = torch.arange(12) >= torch.tensor([12, 7, 1, 0])[:, None]
    found = spectral_entropy(x, padding_mask)
    assert torch.allclose(found[:1], spectral_entropy(x[:1]), atol=1e-5)
    assert torch.allclose(found[1:2], spectral_entropy(x[1:2, :7]), atol=1e-5)
    assert found[2:].tolist() == [[0.0] * 3] * 2
    found.sum().backward()
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize("wanted", [["max:1"], ["mean:3"], ["mean"], ["mean:1", "mean:1"], []])
def test_statistics_that_there_are_not_are_refused(wanted):
    with pytest.raises(ConfigError, match="layers from 0 to 2, but is"):
        FrameStatistics(wanted, 2, 4)
