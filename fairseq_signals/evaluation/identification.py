"""Scores of an identification model: rank-1 accuracy of probes against a gallery per lead set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np

from fairseq_signals.errors import CheckpointError
from fairseq_signals.evaluation.predict import items_of, read_split
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.manifest.folder import IDENTIFICATION
from fairseq_signals.manifest.info import read_info
from fairseq_signals.manifest.sessions import PROTOCOLS, WITHIN_SESSION
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.metrics.identification import as_norm, chance_level, mean_by_record, rank1_accuracy


def evaluate_identification(
    predict_all: Callable[[Manifest], np.ndarray],
    manifests: Path,
    lead_sets: Sequence[str],
    split: str,
    per: str,
    normalize: bool = True,
    as_norm_top: int = 0,
) -> Evaluation:
    """Rank-1 accuracy of probes against the gallery, and the accuracy of guessing; see `evaluate`."""
    gallery = read_split(manifests, f"{split}_gallery", IDENTIFICATION)
    probe = read_split(manifests, f"{split}_probe", IDENTIFICATION)
    (g_items, g_group), (p_items, p_group) = items_of(gallery, per), items_of(probe, per)
    g_ids, p_ids = [item[1] for item in g_items], [item[1] for item in p_items]
    g_all, p_all = predict_all(gallery), predict_all(probe)  # (S, N, D)
    chance = chance_level(g_ids, p_ids)
    notes = [f"{len(g_items)} gallery {per}s of {len(set(g_ids))} patients", *_protocol(manifests, split)]
    c_all: Any = [None] * len(lead_sets)
    if as_norm_top:
        train = read_split(manifests, "train", IDENTIFICATION)
        c_all, c_ids = predict_all(train), train.patient_ids
        top, n_people = min(as_norm_top, len(set(c_ids))), len(set(c_ids))
        notes.append(f"AS-norm: by the {top} highest scores with {n_people} people of {train.path}")
    found, compared = {}, []
    for leads, g_segments, p_segments, c_segments in zip(lead_sets, g_all, p_all, c_all):
        try:
            g_embeddings, _ = mean_by_record(g_segments, g_group, normalize)
            p_embeddings, _ = mean_by_record(p_segments, p_group, normalize)
            if as_norm_top:
                cohort, _ = mean_by_record(c_segments, c_ids, normalize)
                g_embeddings, _ = as_norm(g_embeddings, cohort, as_norm_top)
                _, p_embeddings = as_norm(p_embeddings, cohort, as_norm_top)
        except ValueError as error:
            raise CheckpointError(f"{leads} leads: {error}") from None
        compared.append((g_embeddings.astype(np.float32), p_embeddings.astype(np.float32)))
        found[leads] = rank1_accuracy(
            g_embeddings, g_ids, p_embeddings, p_ids, normalize=normalize and not as_norm_top
        )
    unknown = len(set(p_ids) - set(g_ids))
    if unknown:
        notes.append(f"{unknown} probe patients have no gallery {per}; their probes count as wrong")

    def predictions() -> Iterator[Sequence[Any]]:
        columns = ["record_id", "patient_id", *(["segment"] if per == "segment" else [])]
        sides = [f"{side}_{column}" for side in ("probe", "nearest") for column in columns]
        yield ["leads", *sides, "similarity", "correct"]
        for leads, rank1 in found.items():
            for item, nearest, similarity, correct in zip(p_items, *rank1[1:]):
                yield [leads, *item, *g_items[nearest], f"{similarity:.6f}", int(correct)]

    values = {leads: {"accuracy": rank1.accuracy, "chance": chance} for leads, rank1 in found.items()}
    arrays = {
        **{name: np.stack(side) for name, side in zip(("gallery", "probe"), zip(*compared))},
        "gallery_ids": np.array(g_ids, dtype=str),
        "probe_ids": np.array(p_ids, dtype=str),
        "gallery_records": np.array([item[0] for item in g_items], dtype=str),
        "probe_records": np.array([item[0] for item in p_items], dtype=str),
        "normalize": normalize and not as_norm_top,
        "correct": np.stack([rank1.correct for rank1 in found.values()]),
    }
    patients = list({**gallery.patient_of(), **probe.patient_of()}.values())
    counted = f"probe {per}s"
    return Evaluation("identification", len(p_items), counted, values, predictions, notes, arrays, patients)


def _protocol(manifests: Path, split: str) -> list[str]:
    """A note on how gallery and probe were chosen, where that is more than two recordings of a patient."""
    info = read_info(manifests)
    within = {name: WITHIN_SESSION for name, is_within in info.get("within_record", {}).items() if is_within}
    name = {**within, **info.get("protocols", {})}.get(split)
    if name == WITHIN_SESSION:
        return [
            f"protocol {name}: gallery and probe are of one record, easier than two sessions of a patient"
        ]
    return [f"protocol {name}: gallery and probe are of different days"] if name in PROTOCOLS else []
