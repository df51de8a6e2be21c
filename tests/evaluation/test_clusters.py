"""Frames of a manifest's segments, and their clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ManifestError
from fairseq_signals.evaluation.clusters import fit_clusters, layer_of, sampled_frames, statistics_of
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.modules.clusters import Clusters, frame_statistics
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.store.shards import StoreRow, write_shard


@pytest.fixture
def manifest(tmp_path):
    """Sixty segments of 160 or 320 samples, each of one value of its own."""
    rows, lines = [], []
    for i in range(60):
        n = 160 if i % 2 else 320
        signal = np.full((12, n), i + 1, np.int16)
        rows.append(StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), signal))
        lines.append(Row(f"shard-00000.arrow#{i}:0", n, f"x/r{i}", f"x/p{i}", 0))
    write_shard(tmp_path / "shard-00000.arrow", rows)
    (tmp_path / "train.tsv").write_text("".join(format_manifest(tmp_path, lines)))
    return read_manifest(tmp_path / "train.tsv")


def segments_of(frames: np.ndarray) -> list[int]:
    """Which segments frames are of, in the order of their first."""
    return list(dict.fromkeys(np.rint(100 * frames[:, 0]).astype(int).tolist()))


def test_frames_are_of_all_segments_in_an_order_that_the_seed_makes(manifest):
    def sample(most: int, seed: int) -> np.ndarray:
        return sampled_frames(manifest, InputFormat(), statistics_of(16), most, seed)

    every = sample(10**6, 1)
    assert every.shape == (30 * 10 + 30 * 20, 36)
    assert sorted(segments_of(every)) == list(range(1, 61))
    assert np.array_equal(sample(10**6, 1), every)
    assert segments_of(sample(10**6, 2)) != segments_of(every)
    few = segments_of(sample(300, 1))
    assert len({i % 2 for i in few}) == 2  # short segments and long ones
    assert len(sample(300, 1)) == 300


def groups(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Frames around four places, on axes of very unlike scale, and which place each is at."""
    rng = np.random.default_rng(0)
    of = rng.integers(4, size=n)
    places = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[of]
    return (places + 0.02 * rng.normal(size=(n, 2))) * [1000.0, 0.001] + [5000.0, 7.0], of


def test_groups_of_frames_become_clusters_whatever_their_scale():
    frames, of = groups()
    found, counts = fit_clusters(frames, 4, seed=1, stride=16)
    clusters = Clusters(4, 2)
    for name in ("centres", "mean", "deviation"):
        getattr(clusters, name).copy_(torch.from_numpy(getattr(found, name)))
    labels = clusters(torch.from_numpy(frames)[None])[0].numpy()
    assert len({(int(a), int(b)) for a, b in zip(labels, of)}) == 4
    assert counts.tolist() == np.bincount(labels, minlength=4).tolist()
    assert counts.min() > 0


def test_the_same_seed_makes_the_same_clusters():
    frames, _ = groups()
    one, other = (fit_clusters(frames, 6, seed=3, stride=16)[0].centres for _ in range(2))
    assert np.array_equal(one, other)
    assert not np.array_equal(fit_clusters(frames, 6, seed=4, stride=16)[0].centres, one)


def test_a_feature_that_is_always_the_same_does_no_harm():
    frames = np.concatenate([groups()[0], np.full((400, 1), 3.0)], axis=1)
    found, _ = fit_clusters(frames, 4, seed=1, stride=16)
    assert np.isfinite(found.centres).all()
    assert found.deviation[2] > 0


def test_more_clusters_than_frames_are_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"100 clusters of 80 frames: ask for fewer"):
        fit_clusters(np.zeros((80, 2)), 100, seed=1, stride=16)


def test_statistics_are_those_of_the_model():
    source = torch.randn(2, 12, 90)
    found = statistics_of(16)(source, torch.ones(2, 12, dtype=torch.bool))
    assert torch.equal(found, frame_statistics(source, 16, 5).flatten(0, 1))


@torch.no_grad()
def test_tokens_of_absent_leads_are_in_no_cluster(tiny):
    options = {"frontend": "lead_patch", "lead_encoding": "tokens", "position": "sincos", "patch_samples": 20}
    encoder = ECGEncoder(EncoderConfig(**{**tiny, **options})).eval()
    source, present = torch.randn(2, 12, 100), torch.ones(2, 12, dtype=torch.bool)
    present[1, 3:] = False
    compute = layer_of(encoder, 1)
    found = compute(source * present[..., None], present)
    assert found.shape == ((12 + 3) * 5, encoder.dim)
    alone = [compute((source * present[..., None])[[i]], present[[i]]) for i in range(2)]
    assert torch.allclose(found, torch.cat(alone), atol=1e-6)
