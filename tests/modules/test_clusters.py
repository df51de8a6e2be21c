"""Clusters of frames: features of samples, the nearest centre, prototypes that follow."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.clusters import Clusters, OnlineClusters, followed, frame_statistics


def sines(*shape: int, offset: float) -> torch.Tensor:
    """The sine of 0, 1, 2 ... plus an offset."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) + offset).view(shape)


def clusters_at(centres: torch.Tensor) -> Clusters:
    clusters = Clusters(*centres.shape)
    clusters.centres.copy_(centres)
    return clusters


def test_statistics_are_of_the_samples_of_a_frame_and_of_no_others():
    source = torch.randn(2, 12, 80)
    found = frame_statistics(source, 16, 5)
    assert found.shape == (2, 5, 36)
    of_frame = source[1, 7, 32:48]
    expected = (of_frame.mean(), of_frame.max() - of_frame.min(), of_frame[-1] - of_frame[0])
    assert torch.allclose(found[1, 2, [7, 19, 31]], torch.stack(expected))
    changed = source.clone()
    changed[1, 7, 32:48] += torch.randn(16)
    differs = (frame_statistics(changed, 16, 5) != found).nonzero().tolist()
    assert differs == [[1, 2, 7], [1, 2, 19], [1, 2, 31]]


def test_samples_behind_the_last_frame_count_for_nothing():
    source = torch.randn(1, 12, 90)
    assert torch.equal(frame_statistics(source, 16, 5), frame_statistics(source[..., :80], 16, 5))


def test_a_frame_is_of_the_nearest_centre():
    points = sines(8, 2, offset=1.0).float()
    labels = clusters_at(points[:2])(points[None])[0]
    assert labels.tolist() == [0, 1, 1, 0, 1, 1, 0, 1]
    inertia = (points - points[:2][labels]).square().sum().item()
    assert inertia == pytest.approx(3.611016, abs=1e-5)
    means = torch.stack([points[labels == i].mean(dim=0) for i in (0, 1)])  # what Lloyd's next centres are
    expected = torch.tensor([[0.639542, 0.963088], [-0.151078, -0.480943]])
    assert torch.allclose(means, expected, atol=1e-6)


def test_features_are_standardised_before_they_are_compared():
    clusters = clusters_at(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    point = torch.tensor([[[10.0, 3.0]]])
    assert clusters(point).item() == 0
    clusters.mean.copy_(torch.tensor([9.0, 0.0]))
    clusters.deviation.copy_(torch.tensor([100.0, 1.0]))
    assert clusters(point).item() == 1


def test_prototypes_follow_the_frames_that_they_are_given():
    frames = F.normalize(sines(4, 2, offset=1.0), dim=1)
    codes = F.normalize(sines(3, 2, offset=0.25), dim=1)
    shares = F.one_hot((frames @ codes.T).argmax(dim=1), 3).double()
    assert shares.argmax(dim=1).tolist() == [0, 2, 2, 0]
    found = followed(codes, frames, shares, 0.99)
    expected = torch.tensor([[0.256143, 0.966639], [-0.719744, -0.694240]], dtype=torch.float64)
    assert torch.allclose(found[[0, 2]], expected, atol=1e-6)
    assert torch.allclose(found[1], codes[1])


def test_online_clusters_are_used_alike_and_move_in_training_alone():
    online = OnlineClusters(4, 8, momentum=0.5)
    before = online.prototypes.clone()
    frames = torch.randn(60, 8) + 2 * before[0]
    assert ((frames @ before.T).argmax(dim=1) == 0).sum() > 40
    shares = online.eval()(frames)
    assert torch.equal(online.prototypes, before)
    assert torch.allclose(shares.sum(dim=1), torch.ones(60), atol=1e-5)
    assert shares.sum(dim=0).sub(15).abs().max() < 9
    assert torch.allclose(online.train()(3 * frames), shares, atol=1e-5)  # lengths are no matter
    assert not torch.allclose(online.prototypes, before, atol=1e-2)
    assert torch.allclose(online.prototypes.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_clusters_stay_in_float32_where_a_model_does_not(dtype):
    online, offline, frames = OnlineClusters(4, 8, 0.999), clusters_at(torch.randn(3, 8)), torch.randn(60, 8)
    expected = offline(frames[None])
    for clusters in (online, offline):
        clusters.to(dtype)
        assert all(buffer.dtype == torch.float32 for buffer in clusters.buffers())
    before = online.prototypes.clone()
    assert online(frames.to(dtype)).dtype == torch.float32
    assert not torch.equal(online.prototypes, before)  # a step of a thousandth does not vanish
    assert (offline(frames[None].to(dtype)) == expected).float().mean() > 0.95
