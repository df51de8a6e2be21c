"""Linear heads on a frozen encoder's statistics, for any leads: weights, thresholds, what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from sklearn.metrics import roc_curve

from fairseq_signals.benchmark.heads import fit_logistic
from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.classification import read_targets, sigmoid
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.predict import items_of, mean_of_groups, predict
from fairseq_signals.inference.base import LoadedModel
from fairseq_signals.manifest.labels import class_names, read_labels
from fairseq_signals.manifest.table import Manifest, read_manifest

BATCH = 64
LEAST = 0.01  # reliability


@dataclass(frozen=True)
class Source:
    """Recordings that a head is trained on.

    Args:
        manifests: name of their folder.
        corpus: in words.
        leads: lead sets, each with which every segment is used.
        classes: what the manifests call the head's labels; none: the same.
    """

    manifests: str
    corpus: str
    leads: tuple[str, ...]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Head:
    """Classes whose rows of the head are trained together."""

    labels: tuple[str, ...]
    of: tuple[Source, ...]


@dataclass(frozen=True)
class Recipe:
    """What is packed: `heads.yaml`."""

    pooling: tuple[str, ...]
    heads: tuple[Head, ...]
    identification: tuple[Source, ...]


@dataclass
class Fitted:
    """A head: (C, D) weights, (C,) biases, and thresholds of probabilities (C,)."""

    weight: np.ndarray
    bias: np.ndarray
    thresholds: np.ndarray


def read_recipe(path: Path) -> Recipe:
    """The recipe of a YAML file.

    Raises:
        ConfigError: a key that there is not, or one that is missing.
    """
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        heads = [Head(tuple(head["labels"]), _sources(head["of"])) for head in given["heads"]]
        return Recipe(tuple(given["pooling"]), tuple(heads), _sources(given["identification"]))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a recipe of heads ({error})") from error


def _sources(given: Sequence[dict[str, Any]]) -> tuple[Source, ...]:
    return tuple(
        Source(**{key: value if isinstance(value, str) else tuple(value) for key, value in each.items()})
        for each in given
    )


class Features:
    """What a model's head reads of manifests' segments, each (lead sets, segments, D), computed once.

    Args:
        model: whose encoder and statistics.
        folder: that the folders of manifests lie in.
    """

    def __init__(self, model: LoadedModel, folder: Path):
        self.model, self.folder = model, folder
        self._found: dict[tuple[Source, str], np.ndarray] = {}

    def of(self, source: Source, split: str) -> np.ndarray:
        if (source, split) not in self._found:
            sets = parse_lead_sets([",".join(source.leads)])
            self._found[source, split] = predict(
                self.model.network.pooled,
                self.manifest(source, split),
                sets,
                BATCH,
                str(self.model.device),
                self.model.form,
            )
        return self._found[source, split]

    def manifest(self, source: Source, split: str) -> Manifest:
        return read_manifest(self.folder / source.manifests / f"{split}.tsv")

    def standardise(self, sources: Sequence[Source], people: Sequence[Source]) -> None:
        """Centre the statistics on training segments, and weigh each by what it tells of who somebody is.

        A number is divided by how much it differs within a person, and multiplied by its reliability, the
        share of its variance that is between people, so that similarities rest on what stays. The heads,
        which are linear, lose nothing by it. Each source and lead set counts as much as any other.

        Args:
            sources: of the heads.
            people: manifests of identification; whoever they hold out is left out of the others, too.
        """
        sides = [f"{split}_{side}" for split in ("valid", "test") for side in ("gallery", "probe")]
        held_out = {
            id for source in people for side in sides for id in self.manifest(source, side).patient_ids
        }
        means, within, whole = [], [], []
        for source in (*sources, *people):
            ids = np.array(self.manifest(source, "train").patient_ids)
            kept = [id not in held_out for id in ids]
            for x in self.of(source, "train")[:, kept].astype(np.float64):
                means.append(x.mean(axis=0))
                if source in people:
                    within.append(variance_within(x, ids[kept]))
                    whole.append(x.var(axis=0))
        inner = np.mean(within, axis=0) + 1e-12
        reliability = (1 - inner / (np.mean(whole, axis=0) + 1e-12)).clip(LEAST, 1)
        statistics = self.model.network.statistics
        statistics.mean.copy_(torch.from_numpy(np.mean(means, axis=0)))
        statistics.deviation.copy_(torch.from_numpy(np.sqrt(inner) / reliability))
        mean, deviation = statistics.mean.numpy(), statistics.deviation.numpy()
        self._found = {key: (x - mean) / deviation for key, x in self._found.items()}

    def labels(self, source: Source, split: str, wanted: Sequence[str]) -> np.ndarray:
        """The labels of segments, (segments, C) bool, in the head's order."""
        folder = self.folder / source.manifests
        names = class_names(table := read_labels(folder / "labels.csv"), len(table))
        classes = source.classes or wanted
        if not set(classes) <= set(names):
            raise ConfigError(f"{folder}: of {', '.join(classes)} it has only {', '.join(names)}")
        found = read_targets(self.manifest(source, split), len(names))
        return found[:, [names.index(name) for name in classes]]


def variance_within(x: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The variance (D,) of segments (N, D) about the means of the people whose they are (N,), unbiased."""
    _, person = np.unique(ids, return_inverse=True)
    count = np.bincount(person)
    means = np.stack([np.bincount(person, column) for column in x.T], axis=1) / count[:, None]
    return ((x - means[person]) ** 2).sum(axis=0) / (len(x) - len(count))


def fit(features: Features, head: Head) -> Fitted:
    """Train one head on all of its sources and lead sets."""
    x, y = {}, {}
    for split in ("train", "valid"):
        x[split] = np.concatenate([part for source in head.of for part in features.of(source, split)])
        of_source = [features.labels(source, split, head.labels) for source in head.of]
        y[split] = np.concatenate([np.tile(each, (len(s.leads), 1)) for s, each in zip(head.of, of_source)])
    fitted = fit_logistic(x["train"], y["train"], x["valid"], y["valid"])
    weight = fitted.weight / fitted.std
    found = Fitted(weight, fitted.bias - weight @ fitted.mean, np.full(len(head.labels), 0.5))
    probabilities, labels = [], []
    for source in head.of:
        items, group = items_of(features.manifest(source, "valid"), "record")
        truth = mean_of_groups(features.labels(source, "valid", head.labels), group, len(items)) > 0
        for part in features.of(source, "valid"):
            probabilities.append(
                mean_of_groups(sigmoid(part @ found.weight.T + found.bias), group, len(items))
            )
            labels.append(truth)
    pairs = zip(np.concatenate(probabilities).T, np.concatenate(labels).T)
    found.thresholds = np.array([best_threshold(p, truth) for p, truth in pairs])
    return found


def best_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The probability above which sensitivity + specificity is largest: half-way to the next lower one."""
    false, true, limits = roc_curve(truth, probabilities, drop_intermediate=False)
    best = int((true - false)[1:].argmax()) + 1
    lower = limits[best + 1] if best + 1 < len(limits) else 0.0
    return float((limits[best] + lower) / 2)
