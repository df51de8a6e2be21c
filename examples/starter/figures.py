"""What a packed model reaches on the test splits, each figure with its interval by patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from heads import BATCH, Features, Recipe, Source

from fairseq_signals import ECGModel
from fairseq_signals.evaluation.classification import sigmoid
from fairseq_signals.evaluation.evaluate import evaluate
from fairseq_signals.evaluation.intervals import add_intervals
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.predict import items_of, mean_of_groups
from fairseq_signals.metrics.bootstrap import Bounds, intervals
from fairseq_signals.metrics.weighted import Areas, Statistic, share


class Figure(NamedTuple):
    """One number of the card.

    Args:
        what: is told apart, such as "AF", or "persons".
        corpus: in words.
        leads: lead set.
        metric: name.
        value, bounds: with its 95 % interval.
        n: records, or probes.
        n_patients: whose they are.
    """

    what: str
    corpus: str
    leads: str
    metric: str
    value: float
    bounds: Bounds
    n: int
    n_patients: int


def figures(folder: Path, manifests: Path, recipe: Recipe, resamples: int = 1000) -> Iterator[Figure]:
    """Of the head of each class, of the means over the classes of a head, and of persons.

    Args:
        folder: the packed model.
        manifests: folder of the tasks' manifests.
        recipe: what was packed.
        resamples: of the patients.
    """
    model = ECGModel.load(folder)
    features = Features(model, manifests)
    for head in recipe.heads:
        for source in head.of:
            yield from _of_head(model, features, source, head.labels, resamples)
    for source in recipe.identification:
        sets = parse_lead_sets([",".join(source.leads)])
        outcome = evaluate(folder, manifests / source.manifests, sets, "test", "record", BATCH)
        add_intervals(outcome, resamples)
        n_people = len(set(outcome.arrays["probe_ids"].tolist()))
        for leads, values in outcome.values.items():
            bounds = outcome.intervals[leads]["accuracy"]
            where = ("persons", source.corpus, leads, "rank-1 accuracy", values["accuracy"], bounds)
            yield Figure(*where, outcome.n, n_people)


def _of_head(
    model: ECGModel, features: Features, source: Source, labels: Sequence[str], resamples: int
) -> Iterator[Figure]:
    columns = [model.labels.index(label) for label in labels]
    weight, bias = (p.detach().cpu().numpy()[columns] for p in model.network.proj.parameters())
    limits = np.array(list(model.thresholds.values()))[columns]
    items, group = items_of(features.manifest(source, "test"), "record")
    truth = mean_of_groups(features.labels(source, "test", labels), group, len(items)) > 0
    patients = np.array([item[1] for item in items])
    for leads, x in zip(source.leads, features.of(source, "test")):
        probabilities = mean_of_groups(sigmoid(x @ weight.T + bias), group, len(items))
        positive = probabilities > limits
        found: list[tuple[str, str, Statistic]] = [
            (", ".join(labels), "AUROC", Areas(truth, probabilities, patients))
        ]
        for c, label in enumerate(labels):
            has, said = truth[:, c], positive[:, c]
            found.append((label, "sensitivity", share("sensitivity", has & said, has, patients)))
            found.append((label, "specificity", share("specificity", ~has & ~said, ~has, patients)))
        for what, metric, statistic in found:
            value = statistic.values(np.ones((statistic.n_patients, 1)))[0, 0]
            bounds = intervals([statistic], resamples)[statistic.names[0]]
            where = (what, source.corpus, leads, metric, float(value), bounds)
            yield Figure(*where, len(items), len(set(patients)))
