"""Identification by nearest neighbour: each probe takes the identity of the most similar gallery entry.

G gallery entries, P probes, D features. Similarity is the cosine, as in the paper (Oh et al., CHIL 2022,
Sec. 4); with `normalize=False` it is the plain inner product, as in the authors' code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Two similarities that agree to this many decimals are a tie: rounding differs with the size of a block.
TIE_DECIMALS = 12
AS_NORM_TOP = 300  #: of a cohort's scores, the highest that count
_BLOCK_SCORES = 2**23  # scores with a cohort computed at a time


class Rank1(NamedTuple):
    """What `rank1_accuracy` found for P probes."""

    accuracy: float
    """Fraction of probes whose nearest gallery entry has their id."""
    nearest: np.ndarray
    """(P,) int64, index of the nearest gallery entry; of a tie one of another patient, else the lowest."""
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

    A probe whose id is not in the gallery counts as wrong, and so does one that is as similar to another
    patient: the accuracy depends neither on the order of the gallery nor on `chunk`.

    Args:
        gallery: (G, D) embeddings, of any length: they are L2-normalised here.
        gallery_ids: (G,) integers or strings.
        probe: (P, D) embeddings.
        probe_ids: (P,) integers or strings.
        chunk: rows of the gallery and of the probes compared at a time; memory is about
            `16 * chunk * (chunk + 2 * D)` bytes.
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
    nearest = np.zeros(len(probe), dtype=np.int64)
    best = np.full(len(probe), -np.inf)
    for g in range(0, len(gallery), chunk):
        block = scaled(gallery[g : g + chunk], "gallery", offset=g)
        for p in range(0, len(probe), chunk):
            rows = slice(p, p + chunk)
            similarity = scaled(probe[rows], "probe", offset=p) @ block.T  # (P, D) x (D, G) -> (P, G)
            np.round(similarity, TIE_DECIMALS, out=similarity)
            index, own = similarity.argmax(axis=1), probe_ids[rows]
            value = similarity[np.arange(len(index)), index]
            ids = gallery_ids[g : g + chunk]
            for i in np.flatnonzero(ids[index] == own):
                equal = np.flatnonzero(similarity[i] == value[i])
                index[i] = next(iter(equal[ids[equal] != own[i]]), index[i])
            turned = (value == best[rows]) & (ids[index] != own) & (gallery_ids[nearest[rows]] == own)
            better = (value > best[rows]) | turned
            best[rows][better] = value[better]
            nearest[rows][better] = index[better] + g
    correct = gallery_ids[nearest] == probe_ids
    return Rank1(float(correct.mean()), nearest, best, correct)


def nearest_by_patient(similarity: np.ndarray, whose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How similar each of K patients is to each probe by the most similar entry, and that entry.

    Args:
        similarity: (P, G).
        whose: (G,) the patient of each gallery entry, 0 to K - 1; each has one or more.

    Returns:
        (P, K) rounded similarities, and (P, K) entries: the lowest ones of a tie.
    """
    order = np.argsort(whose, kind="stable")  # entries by patient, so that `reduceat` takes each patient's
    sizes = np.bincount(whose)
    begins = np.cumsum(sizes) - sizes
    rounded = np.round(similarity[:, order], TIE_DECIMALS)
    nearest = np.maximum.reduceat(rounded, begins, axis=1)
    is_nearest = rounded == np.repeat(nearest, sizes, axis=1)
    entry = np.minimum.reduceat(np.where(is_nearest, order, len(order)), begins, axis=1)
    return nearest, entry


def as_norm(
    embeddings: ArrayLike, cohort: ArrayLike, top: int = AS_NORM_TOP
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings as gallery entries and as probes, whose inner products are scores normalised by AS-norm.

    The score s of a gallery entry g and a probe p becomes ((s - m_g) / d_g + (s - m_p) / d_p) / 2, where m
    and d are mean and standard deviation (divisor `top`) of the highest scores of each with a cohort of other
    people: Matejka et al., Analysis of score normalization in multilingual speaker recognition, Interspeech
    2017, adaptive s-norm. Adding a constant to all scores changes nothing, nor does a factor above 0.

    Args:
        embeddings: (N, D) as they are compared by inner products: of length 1 for cosines.
        cohort: (C, D) alike; one a person.
        top: how many of the cohort's scores count; all, if there are fewer.

    Returns:
        Two arrays (N, 2 D + 2): the rows as gallery entries, and as probes.

    Raises:
        ValueError: sizes that do not fit, or an embedding whose scores with the cohort are all the same.
    """
    rows, cohort = np.asarray(embeddings, dtype=np.float64), np.asarray(cohort, dtype=np.float64)
    if cohort.ndim != 2 or rows.shape[1:] != cohort.shape[1:]:
        raise ValueError(f"a cohort must be (people, features) of {rows.shape[1:]}, but is {cohort.shape}")
    top, step = min(top, len(cohort)), max(1, _BLOCK_SCORES // max(1, len(cohort)))
    if top < 2:
        raise ValueError(f"AS-norm takes the scores with two people or more, but top is {top}")
    mean, deviation = np.empty((len(rows), 1)), np.empty((len(rows), 1))
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        highest = np.partition(rows[block] @ cohort.T, -top, axis=1)[:, -top:]
        mean[block], deviation[block] = highest.mean(1, keepdims=True), highest.std(1, keepdims=True)
    alike = np.flatnonzero(deviation[:, 0] < 10.0**-TIE_DECIMALS)
    if len(alike):
        raise ValueError(
            f"embedding {alike[0]}: its {top} highest scores with the cohort are all {mean[alike[0], 0]:g}, "
            "so nothing tells how far another is above them; check the model and the cohort"
        )
    one = np.ones_like(mean)
    as_gallery = np.hstack([rows / deviation, rows, -mean / deviation, one])
    as_probe = np.hstack([rows, rows / deviation, one, -mean / deviation])
    return as_gallery / 2, as_probe


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
    scaled = l2_normalize if normalize else _finite
    sums = np.add.reduceat(scaled(embeddings, "segment")[order], starts, axis=0)
    if normalize:
        return l2_normalize(sums, "mean of the segments of record", row_names=records), records
    return sums / np.bincount(inverse)[:, None], records


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
