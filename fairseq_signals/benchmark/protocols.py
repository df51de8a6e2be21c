"""What can be read from a frozen encoder's features, task by task: probes, neighbours, identification."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from fairseq_signals.benchmark.features import Features
from fairseq_signals.benchmark.fractions import fraction_of_patients
from fairseq_signals.benchmark.heads import (
    Head,
    fit_attentive,
    fit_logistic,
    fit_neighbours,
    fit_ridge,
    moments_of,
)
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.evaluation.classification import evaluate_classification, labelled_items
from fairseq_signals.evaluation.identification import evaluate_identification
from fairseq_signals.evaluation.lead_sets import LeadSets
from fairseq_signals.evaluation.predict import items_of, read_split
from fairseq_signals.evaluation.regression import evaluate_regression
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.manifest.folder import CLASSIFICATION, IDENTIFICATION, REGRESSION, TARGETS_FILE
from fairseq_signals.manifest.info import read_info
from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.manifest.targets import read_targets, read_values

logger = logging.getLogger(__name__)

LINEAR, ONCE, KNN, ATTENTIVE, COSINE = "linear", "once", "knn", "attentive", "cosine"
#: The protocols of each kind of manifests. linear: a head for each lead set; once: one, trained on the first
#: lead set, for all; attentive: under the first lead set alone.
PROTOCOLS = {
    CLASSIFICATION: (LINEAR, ONCE, KNN, ATTENTIVE),
    REGRESSION: (LINEAR, ONCE, KNN),
    IDENTIFICATION: (COSINE,),
}
ALL_PROTOCOLS = tuple(dict.fromkeys(name for names in PROTOCOLS.values() for name in names))
WHOLE = 100  # per cent of the training patients
THRESHOLD = 0.5  # of probabilities, where a metric needs one


@dataclass(frozen=True)
class FrozenTask:
    """What an encoder is tested on.

    Args:
        name: of the task, in file names.
        manifests: the folder.
        lead_sets: the first is the one that heads for all lead sets are trained on.
        protocols: which of `PROTOCOLS`; those that its kind of manifests has not are left out.
        fractions: of the training patients whose labels are used, per cent; identification uses none.

    Raises:
        ConfigError: there is no such protocol.
    """

    name: str
    manifests: Path
    lead_sets: LeadSets
    protocols: Sequence[str] = ALL_PROTOCOLS
    fractions: Sequence[int] = (WHOLE,)

    def __post_init__(self) -> None:
        unknown = set(self.protocols) - set(ALL_PROTOCOLS)
        if unknown:
            raise ConfigError(
                f"{self.name}: there is no protocol {min(unknown)}; they are {', '.join(ALL_PROTOCOLS)}"
            )

    @property
    def kind(self) -> str:
        """Of the manifests.

        Raises:
            ManifestError: they are of no task.
        """
        kind = str(read_info(self.manifests).get("kind", CLASSIFICATION))
        if kind not in PROTOCOLS:
            raise ManifestError(f"{self.manifests}: holds {kind} manifests, but not {', '.join(PROTOCOLS)}")
        return kind


def evaluate_frozen(
    features: Features, task: FrozenTask, split: str, seed: int
) -> Iterator[tuple[str, Evaluation]]:
    """What an encoder reaches at a task, by PROTOCOL-FRACTION such as "linear-100".

    The attentive head is left out, with a warning in the log, where the encoder gives no frames.

    Args:
        features: of the encoder.
        split: "valid" or "test", on which it is tested.
        seed: of the label fractions, and of the attentive head.

    Raises:
        FairseqSignalsError: manifests or records that cannot be used.
    """
    how = _identify if task.kind == IDENTIFICATION else _supervised
    for name, outcome in how(features, task, split, seed):
        outcome.families = task.lead_sets.families
        yield name, outcome


def _identify(
    features: Features, task: FrozenTask, split: str, seed: int
) -> Iterator[tuple[str, Evaluation]]:
    """Rank-1 by cosine of features that are standardised on the training persons."""
    if COSINE not in task.protocols:
        return
    train = features.of_records(read_split(task.manifests, "train", IDENTIFICATION), task.lead_sets)
    moments = [moments_of(of_set) for of_set in train]

    def standardised(manifest: Manifest) -> np.ndarray:
        _, group = items_of(manifest, "record")
        found = features.of_records(manifest, task.lead_sets)
        return np.stack([((x - mean) / std)[group] for x, (mean, std) in zip(found, moments)])

    outcome = evaluate_identification(standardised, task.manifests, list(task.lead_sets), split, "record")
    outcome.arrays["n_train"] = train.shape[1]
    yield f"{COSINE}-{WHOLE}", outcome


@dataclass(frozen=True)
class _Split:
    """N segments of R records: the record of each segment (N,), each record's patient, and what is to be
    told of it, (R, K) bool or standardised.
    """

    manifest: Manifest
    patients: Sequence[str]
    group: np.ndarray
    truth: np.ndarray


@dataclass
class _Probes:
    """Heads of a task at one label fraction, each fitted once.

    Args:
        x: features of each split, (S, R, D).
        train, valid: the splits.
        chosen: (R,) bool, which training records have labels.
        seed: of heads that are random.
    """

    x: Mapping[str, np.ndarray]
    train: _Split
    valid: _Split
    chosen: np.ndarray
    seed: int
    head: Callable[[Callable[..., Head], int], Head] = field(init=False)

    def __post_init__(self) -> None:
        self.head = cache(self._fitted)

    def _fitted(self, fit: Callable[..., Head], place: int) -> Head:
        train, valid = self.x["train"][place, self.chosen], self.x["valid"][place]
        return fit(train, self.train.truth[self.chosen], valid, self.valid.truth, self.seed)

    def outputs(self, fit: Callable[..., Head], test: np.ndarray, once: bool) -> np.ndarray:
        """(S, R, D) -> (S, R, K), by a head for each lead set or that of the first."""
        return np.stack([self.head(fit, 0 if once else i).outputs(x) for i, x in enumerate(test)])

    def attentive(self, train: np.ndarray, valid: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Outputs for segments under one lead set, (1, N, C), of frames (N, F, D)."""
        rows = self.chosen[self.train.group]
        given = train if rows.all() else train[rows]  # the whole is on disk
        truth = self.train.truth[self.train.group[rows]]
        head = fit_attentive(given, truth, valid, self.valid.truth[self.valid.group], self.seed)
        return head.outputs(test)[None]


def _supervised(
    features: Features, task: FrozenTask, split: str, seed: int
) -> Iterator[tuple[str, Evaluation]]:
    """Heads on features of records, the attentive one on frames of segments."""
    splits = {name: _read(task, name) for name in dict.fromkeys(("train", "valid", split))}
    protocols = [name for name in PROTOCOLS[task.kind] if name in task.protocols]
    frames: dict[str, np.ndarray] = {}
    if ATTENTIVE in protocols:
        why = next(filter(None, (features.without_frames(of.manifest) for of in splits.values())), "")
        if why:
            logger.warning("%s: the attentive head is left out: %s", task.name, why)
            protocols.remove(ATTENTIVE)
        else:
            first = next(iter(task.lead_sets.values()))
            frames = {name: features.frames(of.manifest, first) for name, of in splits.items()}
    x = {name: features.of_records(of.manifest, task.lead_sets) for name, of in splits.items()}
    linear = fit_ridge if task.kind == REGRESSION else fit_logistic
    for fraction in task.fractions:
        chosen = fraction_of_patients(splits["train"].patients, fraction, seed)
        probes = _Probes(x, splits["train"], splits["valid"], chosen, seed)
        for protocol in protocols:
            if protocol == ATTENTIVE:
                outputs = probes.attentive(frames["train"], frames["valid"], frames[split])
            else:
                fit: Callable[..., Head] = fit_neighbours if protocol == KNN else linear
                of_records = probes.outputs(fit, x[split], once=protocol == ONCE)
                outputs = of_records[:, splits[split].group]
            outcome = _evaluation(task, split, outputs)
            outcome.arrays["n_train"] = int(chosen.sum())
            yield f"{protocol}-{fraction}", outcome


def _read(task: FrozenTask, name: str) -> _Split:
    manifest = read_split(task.manifests, name, task.kind)
    if task.kind == CLASSIFICATION:
        n_classes = len(read_labels(task.manifests / "labels.csv"))
        items, group, truth = labelled_items(manifest, n_classes, "record", False)
    else:
        targets = read_targets(task.manifests / TARGETS_FILE)
        items, group = items_of(manifest, "record")
        truth = np.empty((len(items), len(targets)))
        truth[group] = targets.standardised(read_values(manifest, len(targets), "the target table"))
    return _Split(manifest, [item[1] for item in items], group, truth)


def _evaluation(task: FrozenTask, split: str, outputs: np.ndarray) -> Evaluation:
    """What outputs (S, N, K) for the segments of a split are worth; of the attentive head S is 1."""
    leads = list(task.lead_sets)[: len(outputs)]
    if task.kind == CLASSIFICATION:
        return evaluate_classification(
            lambda manifest: outputs, task.manifests, leads, split, "record", THRESHOLD
        )
    targets = read_targets(task.manifests / TARGETS_FILE)
    return evaluate_regression(lambda manifest: outputs, task.manifests, leads, split, "record", targets)
