"""The hierarchical contrast of frames: known answers, a slow twin, and that padding counts for nothing."""

from __future__ import annotations

import math

import pytest
import torch

from fairseq_signals.modules.hierarchical_contrast import hierarchical_loss


def sines(shape: tuple, offset: float) -> torch.Tensor:
    """sin(n + offset) in row-major order."""
    n = torch.arange(math.prod(shape), dtype=torch.float64)
    return (n + offset).sin().view(shape)


def rows_channels_time(offset: float) -> torch.Tensor:
    return sines((3, 2, 8), offset).transpose(1, 2)


def twin(a: torch.Tensor, b: torch.Tensor, n_frames: list, alpha: float, temperature: float) -> float:
    """The loss, written out frame by frame."""
    levels, n_frames = [], list(n_frames)
    while max(n_frames) > 0:
        terms = []
        cells = [(i, t) for i, n in enumerate(n_frames) for t in range(n)]
        for one, other in ((a, b), (b, a)):
            for i, t in cells:
                anchor, positive = one[i, t], other[i, t]
                segments = [
                    v[j, t] for v in (one, other) for j, s in cells if s == t and (v is other or j != i)
                ]
                times = [v[i, s] for v in (one, other) for j, s in cells if j == i and (v is other or s != t)]
                for weight, others in ((alpha, segments), (1 - alpha, times)):
                    logits = torch.stack([anchor @ row for row in others]) / temperature
                    terms.append(weight * float(logits.logsumexp(0) - anchor @ positive / temperature))
        levels.append(sum(terms) / (2 * len(cells)))
        half = a.shape[1] // 2
        a, b = (torch.maximum(v[:, 0 : 2 * half : 2], v[:, 1 : 2 * half : 2]) for v in (a, b))
        n_frames = [n // 2 for n in n_frames]
    return sum(levels) / len(levels)


def test_known_answers():
    """Made once with a published implementation (theabrusch/Multiview_TS_SSL), and a closed form."""
    a, b = rows_channels_time(1), rows_channels_time(0.5)
    assert float(hierarchical_loss(a, b)) == pytest.approx(1.195682, abs=1e-6)
    closed = math.log(5) / 2 + (math.log(15) + math.log(7) + math.log(3)) / 8
    assert closed == pytest.approx(1.523791, abs=1e-6)
    assert float(hierarchical_loss(a * 0, b * 0)) == pytest.approx(closed)


@pytest.mark.parametrize("n_frames", [[7, 7, 7], [7, 4, 1], [6, 0, 3], [1, 1, 1]])
@pytest.mark.parametrize(("alpha", "temperature"), [(0.5, 1.0), (0.0, 1.0), (1.0, 0.3)])
def test_the_loss_is_that_of_a_slow_twin(n_frames, alpha, temperature):
    a, b = sines((3, 7, 2), 1), sines((3, 7, 2), 0.5)
    loss = hierarchical_loss(a, b, torch.tensor(n_frames), alpha, temperature)
    assert float(loss) == pytest.approx(twin(a, b, n_frames, alpha, temperature))


def test_padding_counts_for_nothing_and_gets_no_gradient():
    a, b = (rows_channels_time(offset).requires_grad_() for offset in (1, 0.5))
    whole = hierarchical_loss(a, b)
    whole.backward()
    filling = torch.full((3, 5, 2), 1e3, dtype=torch.float64)
    padded = [torch.cat([v.detach(), filling], dim=1).requires_grad_() for v in (a, b)]
    loss = hierarchical_loss(*padded, torch.tensor([8, 8, 8]))
    loss.backward()
    assert loss.item() == pytest.approx(whole.item())
    for long, short in zip(padded, (a, b)):
        assert torch.allclose(long.grad[:, :8], short.grad)
        assert not long.grad[:, 8:].any()


def test_padding_of_some_segments_has_a_finite_gradient():
    a, b = (rows_channels_time(offset).float().requires_grad_() for offset in (1, 0.5))
    hierarchical_loss(a, b, torch.tensor([8, 3, 0])).backward()
    for z in (a, b):
        assert bool(z.grad.isfinite().all())
        assert bool(z.grad[1, :3].any())
        assert not z.grad[1, 3:].any()
        assert not z.grad[2].any()


def test_views_order_of_segments_and_a_single_frame():
    a, b = rows_channels_time(1), rows_channels_time(0.5)
    loss, order = hierarchical_loss(a, b), torch.tensor([2, 0, 1])
    assert torch.allclose(hierarchical_loss(b, a), loss)
    assert torch.allclose(hierarchical_loss(a[order], b[order]), loss)
    assert float(hierarchical_loss(a[:1, :1], b[:1, :1])) == 0  # the positive is all that there is
