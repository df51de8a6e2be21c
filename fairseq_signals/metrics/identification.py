"""Identification by nearest neighbour: each probe takes the identity of the most similar gallery entry.

G gallery entries, P probes, D features. Similarity is the cosine, as in the paper (Oh et al., CHIL 2022,
Sec. 4); with `normalize=False` it is the plain inner product, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Two similarities that agree to this many decimals are a tie: rounding differs with the size of a block.
TIE_DECIMALS = 12
# Near ties that are compared one by one; where a block has more a probe, all of it is computed again.
NEAR_TIES = 2


class Rank1(NamedTuple):
    """What `rank1_accuracy` found for P probes."""

    accuracy: float
    """Fraction of probes whose nearest gallery entry has their id."""
    nearest: np.ndarray
    """(P,) int64, index of the nearest gallery entry; the lowest one of a tie."""
    similarity: np.ndarray
    """(P,) float64, cosine similarity to it."""
    correct: np.ndarray
    """(P,) bool, the nearest entry has the probe's id."""


def rank1_accuracy(
    gallery: ArrayLike,
    gallery_ids: ArrayLike,
    probe: ArrayLike,
    probe_ids: ArrayLike,
    chunk: int = 2048,
    normalize: bool = True,
) -> Rank1:
    """Top-1 identification accuracy by cosine similarity, in blocks of bounded memory.

    A probe whose id is not in the gallery counts as wrong. The result does not depend on `chunk`: blocks are
    multiplied in float32, and what comes within rounding of the best is compared again in float64.

    Args:
        gallery: (G, D) embeddings, of any length: they are L2-normalised here.
        gallery_ids: (G,) integers or strings.
        probe: (P, D) embeddings.
        probe_ids: (P,) integers or strings.
        chunk: rows of the gallery and of the probes compared at a time; memory is about
            `16 * chunk * (chunk + 4 * D)` bytes, and the probes' in float32.
        normalize: compare cosines; else inner products of the embeddings as they are.

    Raises:
        ValueError: nothing to compare, sizes that do not fit, or an embedding that is zero or not finite.
    """
    gallery, gallery_ids = _embeddings_and_ids(gallery, gallery_ids, "gallery")
    probe, probe_ids = _embeddings_and_ids(probe, probe_ids, "probe")
    if gallery.shape[1] != probe.shape[1]:
        raise ValueError(
            f"gallery and probe must have as many features, but have {gallery.shape[1]} and {probe.shape[1]}"
        )
    _check_comparable(gallery_ids, probe_ids)
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, but is {chunk} instead")
    scaled = l2_normalize if normalize else _finite
    probe32 = np.empty(probe.shape, dtype=np.float32)
    for p in range(0, len(probe), chunk):
        probe32[p : p + chunk] = scaled(probe[p : p + chunk], "probe", offset=p)
    nearest = np.zeros(len(probe), dtype=np.int64)
    best = np.full(len(probe), -np.inf)
    for g in range(0, len(gallery), chunk):
        block = scaled(gallery[g : g + chunk], "gallery", offset=g)
        block32 = block.astype(np.float32)
        for p in range(0, len(probe), chunk):
            rows = slice(p, p + chunk)
            row, index, value = _candidates(probe[rows], probe32[rows], block, block32, best[rows], scaled)
            better = value > best[rows][row]
            best[rows][row[better]] = value[better]
            nearest[rows][row[better]] = index[better] + g
    correct = gallery_ids[nearest] == probe_ids
    return Rank1(float(correct.mean()), nearest, best, correct)


def _candidates(
    probe: np.ndarray,
    probe32: np.ndarray,
    block: np.ndarray,
    block32: np.ndarray,
    best: np.ndarray,
    scaled: Callable[..., np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probes (of a chunk) that may have found a better match in a block of the gallery, it, and its value.

    Args:
        probe: (P, D) as given; probe32: the same scaled, float32.
        block: (G, D) scaled gallery entries, float64; block32: the same in float32.
        best: (P,) similarity of the best match so far, -inf for none.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        similarity = probe32 @ block32.T  # (P, D) x (D, G) -> (P, G)
        highest = similarity.max(axis=1)
        # float32 inputs and sums of D products are off by at most this, twice: for either of two matches
        norms = np.linalg.norm(probe32, axis=1) * np.linalg.norm(block32, axis=1).max()
        slack = 2 * (block.shape[1] + 4) * 2.0**-24 * norms
    if not np.isfinite(highest).all() or not np.isfinite(slack).all():  # beyond the range of float32
        return _best_of_block(np.arange(len(probe)), probe, block, scaled)
    hopeful = np.flatnonzero(highest + slack >= best)
    bar = np.maximum(highest, best)[hopeful] - slack[hopeful]
    near = similarity[hopeful] >= bar[:, None] if len(hopeful) < len(probe) else similarity >= bar[:, None]
    row, index = np.nonzero(near)
    if len(row) > NEAR_TIES * len(probe):
        return _best_of_block(hopeful, probe[hopeful], block, scaled)
    value = np.einsum("nd,nd->n", scaled(probe[hopeful])[row], block[index])
    np.round(value, TIE_DECIMALS, out=value)
    # the best of each row, the first of several: sorted by row, then value, then position
    order = np.lexsort((index, -value, row))
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(row[order]) > 0
    chosen = order[first]
    return hopeful[row[chosen]], index[chosen], value[chosen]


def _best_of_block(
    rows: np.ndarray, probe: np.ndarray, block: np.ndarray, scaled: Callable[..., np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each probe's best match in a block, all in float64."""
    similarity = np.round(scaled(probe) @ block.T, TIE_DECIMALS)
    index = similarity.argmax(axis=1)
    return rows, index, np.take_along_axis(similarity, index[:, None], axis=1)[:, 0]


def chance_level(gallery_ids: ArrayLike, probe_ids: ArrayLike) -> float:
    """Accuracy of guessing: the probability that a random gallery entry is right, mean over probes."""
    gallery_ids, probe_ids = np.asarray(gallery_ids), np.asarray(probe_ids)
    _check_comparable(gallery_ids, probe_ids)
    if not len(gallery_ids) or not len(probe_ids):
        raise ValueError(f"nothing to compare: {len(gallery_ids)} gallery entries, {len(probe_ids)} probes")
    ids, counts = np.unique(gallery_ids, return_counts=True)
    place = np.searchsorted(ids, probe_ids).clip(max=len(ids) - 1)
    entries = np.where(ids[place] == probe_ids, counts[place], 0)
    return float(entries.mean() / len(gallery_ids))


def mean_by_record(
    embeddings: ArrayLike, record_index: ArrayLike, normalize: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """One unit vector a recording: the mean of its segments' normalised embeddings, normalised again.

    Args:
        embeddings: (N, D), one row a segment.
        record_index: (N,) the recording of each row, integer or string, in any order.
        normalize: if False, the plain mean.

    Returns:
        (R, D) float64 unit vectors, and the (R,) recordings they belong to, sorted.

    Raises:
        ValueError: an embedding is zero or not finite, or those of a recording cancel out.
    """
    embeddings, record_index = _embeddings_and_ids(embeddings, record_index, "segment")
    records, inverse = np.unique(record_index, return_inverse=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(len(records)))
    if not normalize:
        sums = np.add.reduceat(_finite(embeddings, "segment")[order], starts, axis=0)
        return sums / np.bincount(inverse)[:, None], records
    sums = np.add.reduceat(l2_normalize(embeddings, "segment")[order], starts, axis=0)
    return l2_normalize(sums, "mean of the segments of record", row_names=records), records


def l2_normalize(
    embeddings: ArrayLike, name: str = "embedding", offset: int = 0, row_names: np.ndarray | None = None
) -> np.ndarray:
    """Rows divided by their length, (N, D) float64; a zero or non-finite row is an error that names it."""
    rows = np.asarray(embeddings, dtype=np.float64)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(norm[:, 0]) & (norm[:, 0] > 1e-12)))
    if len(bad):
        row = bad[0] + offset if row_names is None else row_names[bad[0]]
        what = "all zeros" if np.isfinite(norm[bad[0], 0]) else "not finite"
        raise ValueError(
            f"{name} {row}: the embedding is {what}, so it has no direction to compare "
            f"({len(bad)} such rows of {len(rows)}); check the model and the recording"
        )
    return rows / norm


def _finite(embeddings: np.ndarray, name: str = "embedding", offset: int = 0) -> np.ndarray:
    rows = np.asarray(embeddings, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{name} {bad[0] + offset}: the features are not finite; check the model and the record"
        )
    return rows


def _embeddings_and_ids(embeddings: ArrayLike, ids: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    embeddings, ids = np.asarray(embeddings), np.asarray(ids)
    if embeddings.ndim != 2 or ids.shape != embeddings.shape[:1]:
        raise ValueError(
            f"{name} must be (rows, features) with one id a row, but embeddings have shape "
            f"{embeddings.shape} and ids {ids.shape}"
        )
    if not len(embeddings):
        raise ValueError(f"{name}: there is no embedding to compare")
    return embeddings, ids


def _check_comparable(gallery_ids: np.ndarray, probe_ids: np.ndarray) -> None:
    if (gallery_ids.dtype.kind in "US") != (probe_ids.dtype.kind in "US"):
        raise ValueError(
            f"gallery and probe ids must be of one kind, but are {gallery_ids.dtype} and {probe_ids.dtype}"
        )
