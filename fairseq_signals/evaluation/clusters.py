"""Clusters of frames of a manifest's segments, by mini-batch k-means (HuBERT, arXiv:2106.07447, II-B)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.checkpoints.clusters import ClusterFile
from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.modules.clusters import frame_statistics

BATCH = 32
#: A cluster of more than this share of all frames says nothing of most of them.
TOO_LARGE = 0.5
Compute = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def statistics_of(stride: int) -> Compute:
    """Features of the samples of frames `stride` samples long: (B, 12, T) -> (B F, 36)."""
    return lambda source, present: frame_statistics(source, stride, source.shape[2] // stride).flatten(0, 1)


def layer_of(encoder: Any, layer: int) -> Compute:
    """Tokens of an encoder's layer, of present leads where they are of leads: (B, 12, T) -> (n, D)."""

    def compute(source: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        out = encoder(source, lead_present=present, layer=layer)
        return out.x.flatten(0, 1) if out.padding_mask is None else out.x[~out.padding_mask]

    return compute


def sampled_frames(
    manifest: Manifest, form: InputFormat, compute: Compute, most: int, seed: int, device: str = "cpu"
) -> np.ndarray:
    """Frames (N, d) of segments in random order, until there are `most`.

    Raises:
        ManifestError: there is no segment.
    """
    if not len(manifest):
        raise ManifestError(f"{manifest.path}: the manifest lists no segment")
    reader, found, n = SegmentReader(manifest, form.fs), [], 0
    for source, present in _batches(reader, form, seed):
        with torch.inference_mode():
            found.append(compute(source.to(device), present.to(device)).float().cpu().numpy())
        n += len(found[-1])
        if n >= most:
            break
    return np.concatenate(found)[:most]


def _batches(
    reader: SegmentReader, form: InputFormat, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    lengths, order = reader.manifest.n_samples, np.random.default_rng(seed).permutation(len(reader))
    taken = list(form.leads)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        for length in np.unique(lengths[rows]):
            part = rows[lengths[rows] == length]
            segments = np.stack([reader.read_scaled(int(i), form.scaling) for i in part])[:, taken]
            yield torch.from_numpy(segments), torch.from_numpy(reader.present(part)[:, taken])


def fit_clusters(frames: np.ndarray, n: int, seed: int, **about: Any) -> tuple[ClusterFile, np.ndarray]:
    """Standardise frames (N, d) and cluster them; also how many are in each cluster.

    Args:
        about: where the frames are from, see `ClusterFile`.

    Raises:
        ManifestError: there are fewer frames than clusters.
    """
    from sklearn.cluster import MiniBatchKMeans

    if len(frames) < n:
        raise ManifestError(f"{n:,} clusters of {len(frames):,} frames: ask for fewer, or give more segments")
    mean, deviation = frames.mean(axis=0), np.maximum(frames.std(axis=0), 1e-6)
    scaled = (frames - mean) / deviation
    fitted = MiniBatchKMeans(n, random_state=seed, n_init=3, batch_size=4096).fit(scaled)
    counts = np.bincount(fitted.predict(scaled), minlength=n)
    arrays = (each.astype(np.float32) for each in (fitted.cluster_centers_, mean, deviation))
    return ClusterFile(*arrays, **about), counts
