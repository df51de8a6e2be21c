"""Temperature scaling: one number that makes a classifier's probabilities as sure as they are right.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599), Sec. 4: logits are divided
by the temperature that has the least negative log-likelihood on records that the model was not trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from fairseq_signals.errors import CheckpointError
from fairseq_signals.evaluation.classification import label_table, labelled_items, probabilities_of
from fairseq_signals.evaluation.predict import mean_of_groups, read_split
from fairseq_signals.manifest.folder import CLASSIFICATION
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.metrics.calibration import (
    calibration_bins,
    expected_calibration_error,
    negative_log_likelihood,
)

LEAST, MOST = 0.02, 50.0


class Calibration(NamedTuple):
    """A temperature, and what it does to the records that it was found on: before, after."""

    temperature: float
    n: int
    nll: tuple[float, float]
    ece: tuple[float, float]

    def told(self, split: str, lead_sets: Iterable[str]) -> dict[str, object]:
        """For the provenance of the model; plain."""
        return {
            "temperature": self.temperature, "split": split, "lead_sets": list(lead_sets), "records": self.n,
            "nll": list(self.nll), "ece": list(self.ece),
        }  # fmt: skip


def fit_temperature(
    predict_all: Callable[[Manifest], np.ndarray],
    manifests: Path,
    split: str,
    aggregates: Sequence[str],
    exclusive: bool = False,
) -> Calibration:
    """The temperature of a classifier, for the probabilities of records as `evaluate` makes them.

    Args:
        predict_all: the logits of a manifest's segments under each lead set, (S, N, C).
        manifests: folder with `<split>.tsv`.
        split: of records that the model was not trained on.
        aggregates: how the probabilities of segments are put together, class by class.
        exclusive: classes exclude each other.

    Raises:
        CheckpointError: the scores have so little, or so much, to do with the labels that none is best.
    """
    manifest = read_split(manifests, split, CLASSIFICATION)
    label_table(manifests, len(aggregates))
    logits = predict_all(manifest).astype(np.float64)
    items, group, labels = labelled_items(manifest, len(aggregates), "record", exclusive)
    truth = np.stack([labels] * len(logits))

    def probabilities(temperature: float) -> np.ndarray:  # (S, records, C)
        of_segments = probabilities_of(logits / temperature, exclusive)
        return np.stack([mean_of_groups(each, group, len(items), aggregates) for each in of_segments])

    def loss(temperature: float) -> float:
        return negative_log_likelihood(truth, probabilities(temperature), exclusive)

    bounds = np.log([LEAST, MOST])
    found = minimize_scalar(
        lambda x: loss(np.exp(x)), bounds=bounds, method="bounded", options={"xatol": 1e-6}
    )
    temperature, end = float(np.exp(found.x)), min((LEAST, MOST), key=loss)
    if loss(end) <= loss(temperature):
        raise CheckpointError(
            f"{manifest.path}: no temperature from {LEAST:g} to {MOST:g} is best, for the scores tell "
            f"{'all' if end == LEAST else 'nothing'} of the labels; check split and lead set"
        )
    bins = [calibration_bins(truth, probabilities(t)) for t in (1.0, temperature)]
    before, after = map(expected_calibration_error, bins)
    return Calibration(temperature, len(items), (loss(1.0), loss(temperature)), (before, after))
