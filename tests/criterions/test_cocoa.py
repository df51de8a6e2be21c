"""cocoa: known answers, any number of views, and that a segment alone has nothing to be unlike."""

from __future__ import annotations

import math

import pytest
import torch

from fairseq_signals.criterions.cocoa import cocoa_loss


def sines(shape: tuple, offset: float) -> torch.Tensor:
    """sin(n + offset) in row-major order."""
    return (torch.arange(math.prod(shape)) + offset).sin().view(shape)


def places(n_segments: int, n_views: int) -> tuple:
    """Segment and view of each row, one view after the other."""
    row = torch.arange(n_segments * n_views)
    return row % n_segments, row // n_segments


def test_known_answers():
    """Made once with a published implementation (theabrusch/Multiview_TS_SSL), and a closed form."""
    z = torch.cat([sines((4, 3), 1), sines((4, 3), 0.5)])
    assert float(cocoa_loss(z, *places(4, 2)).loss) == pytest.approx(0.214954, abs=1e-6)
    equal = float(cocoa_loss(torch.ones(8, 3), *places(4, 2)).loss)
    assert equal == pytest.approx(0.355539, abs=1e-6)
    assert equal == pytest.approx(4 / 32 + 3.9e-3 * 2 * 4 * math.exp(2))


@pytest.mark.parametrize("n_views", [2, 3, 5])
def test_the_loss_is_that_of_a_slow_twin(n_views):
    z, (segment, view) = sines((4 * n_views, 3), 1), places(4, n_views)
    u = (z / z.norm(dim=1, keepdim=True)).double()

    def row(b: int, v: int) -> torch.Tensor:
        return u[(segment == b) & (view == v)][0]

    errors = likenesses = 0.0
    for b in range(4):
        pairs = [math.exp((1 - row(b, v) @ row(b, w)) / 0.7) for v in range(n_views) for w in range(n_views)]
        errors += sum(pairs) / len(pairs)
        for v in range(n_views):
            likenesses += sum(math.exp(row(b, v) @ row(c, v) / 0.7) for c in range(4) if c != b) / 3
    order = torch.randperm(len(z))
    loss, positive, compared = cocoa_loss(z[order], segment[order], view[order], 0.7, 0.5, 0.2)
    assert float(loss) == pytest.approx(0.5 * errors + 0.2 * likenesses, rel=1e-5)
    assert positive.sum() == 4 * n_views * (n_views - 1)
    assert compared is None


def test_a_segment_alone_has_the_errors_of_its_views_only():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).requires_grad_()
    loss = cocoa_loss(z, torch.tensor([3, 3]), torch.tensor([0, 1]), 1.0, 1.0, 1.0).loss
    assert loss.item() == pytest.approx((2 + 2 * math.e) / 4)
    loss.backward()
    assert bool(z.grad.isfinite().all())
