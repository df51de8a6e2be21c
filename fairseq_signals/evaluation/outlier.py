"""The outlier score of a model: measured on its training data, and tested on classes left out of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np

from fairseq_signals.errors import CheckpointError
from fairseq_signals.evaluation.intervals import outlier_statistics, values_of
from fairseq_signals.evaluation.predict import items_of, mean_of_groups, read_split
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.manifest.folder import CLASSIFICATION, unseen_of
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.metrics.outlier import OutlierScore

#: The embeddings (S, N, D) of a manifest's segments under each lead set.
EmbedAll = Callable[[Manifest], np.ndarray]


class FittedOutlier(NamedTuple):
    """A score, and of how many records: those it was fitted on, and the usual ones."""

    score: OutlierScore
    records: tuple[int, int]

    def told(self, splits: Sequence[str], lead_sets: Sequence[str]) -> dict[str, Any]:
        """For the provenance of the model; plain."""
        return {
            "splits": list(splits), "lead_sets": list(lead_sets), "records": list(self.records),
            "radius": self.score.radius,
        }  # fmt: skip


def fit_outlier(embed_all: EmbedAll, manifests: Path, kind: str, splits: tuple[str, str]) -> FittedOutlier:
    """The outlier score of a model, from all lead sets together.

    Args:
        embed_all: of the model.
        manifests: folder with `<split>.tsv`.
        kind: of the manifests, as of the model.
        splits: that it was trained on, and one of records like those, on which it was not: what is usual.

    Raises:
        CheckpointError: embeddings do not differ.
    """
    found = [embedded_items(embed_all, read_split(manifests, split, kind), "record") for split in splits]
    rows = [embeddings.reshape(-1, embeddings.shape[-1]) for _, embeddings in found]
    try:
        score = OutlierScore.fit(*rows)
    except ValueError as error:
        raise CheckpointError(f"{manifests}: no outlier score: {error}") from None
    return FittedOutlier(score, (len(found[0][0]), len(found[1][0])))


def embedded_items(
    embed_all: EmbedAll, manifest: Manifest, per: str
) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """What is counted, as of `items_of`, and its embeddings (S, items, D), means over its segments."""
    items, group = items_of(manifest, per)
    return items, np.stack([mean_of_groups(rows, group, len(items)) for rows in embed_all(manifest)])


def add_outlier(
    outcome: Evaluation,
    arrays: dict[str, np.ndarray],
    embed_all: EmbedAll,
    manifests: Path,
    split: str,
    per: str,
) -> None:
    """Measure how well the score tells the records of unseen classes from the others, where they are listed.

    Args:
        outcome: of the split, to which it is added.
        arrays: of the model's score; empty: it has none.
        embed_all: of the model.
        manifests: folder with `<split>.tsv` and, if classes were left out of training, `<split>_unseen.tsv`.
    """
    path = manifests / f"{unseen_of(split)}.tsv"
    if not path.exists():
        return
    if not arrays:
        outcome.notes.append(
            f"{path} is not used: the model has no outlier score, see `fairseq-signals outlier`"
        )
        return
    score = OutlierScore(**arrays)
    splits = [read_split(manifests, name, CLASSIFICATION) for name in (split, unseen_of(split))]
    (seen, _), (unseen, _) = found = [embedded_items(embed_all, manifest, per) for manifest in splits]
    outcome.arrays |= {
        "outlier": np.stack([score.distance(rows) for rows in np.concatenate([x for _, x in found], axis=1)]),
        "unseen": np.repeat([False, True], [len(seen), len(unseen)]),
        "outlier_patients": np.array([item[1] for item in (*seen, *unseen)], dtype=str),
    }
    for i, values in enumerate(outcome.values.values()):
        for statistic in outlier_statistics(outcome.arrays, i):
            measured = values_of(statistic)
            values |= measured
            outcome.n_of |= dict.fromkeys(measured, len(seen) + len(unseen))
    outcome.notes.append(
        f"outlier score: {len(seen):,} {outcome.counted} of seen classes, {len(unseen):,} of unseen ones"
    )
