"""By how much one method is above another, with intervals over patients and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fairseq_signals.benchmark.scores import Measured, Score, mean_score, scores_of
from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.evaluation.comparison import require_same
from fairseq_signals.evaluation.results import format_interval
from fairseq_signals.evaluation.saved_results import SavedEvaluation, read_evaluation

RESAMPLES = 1000


class Difference(NamedTuple):
    """One line of the table."""

    metric: tuple[str, str]
    method: str
    cells: list[str]


def differences(
    folder: Path, baseline: str, metrics: Sequence[tuple[str, str]], columns: Sequence[str], mean: str
) -> list[Difference]:
    """Each method less the baseline.

    Args:
        folder: with what `evaluate --save` wrote, one file for each task, method and seed.
        baseline: name of a method.
        metrics: (task, metric), those of a task in this order.
        columns: lead sets, and `mean` for the mean over all the others.

    Raises:
        FairseqSignalsError: there is no file of the baseline; two files are not of the same records.
    """
    found: dict[str, dict[str, list[SavedEvaluation]]] = {}
    for path in sorted(folder.glob("*.npz")):
        saved = read_evaluation(path)
        found.setdefault(saved.task, {}).setdefault(saved.method, []).append(saved)
    lines = []
    for task, methods in found.items():
        if baseline not in methods:
            raise FairseqSignalsError(f"{folder}: of {task} there is {', '.join(methods)}, but no {baseline}")
        scores = {method: [_scores(saved, columns, mean) for saved in methods[method]] for method in methods}
        for saved in (saved for seeds in methods.values() for saved in seeds):
            require_same(saved, methods[baseline][0])
        for metric in [
            name for of, name in metrics if of == task and name in scores[baseline][0][columns[0]]
        ]:
            measured = {
                method: [Measured([of[column][metric] for of in seeds], number) for column in columns]
                for number, (method, seeds) in enumerate(scores.items())
            }
            base = measured.pop(baseline)
            for method, cells in measured.items():
                less = [of.less(other).difference for of, other in zip(cells, base)]
                shown = [format_interval(each.value, each.bounds) for each in less]
                lines.append(Difference((task, metric), method, shown))
    return lines


def _scores(saved: SavedEvaluation, columns: Sequence[str], mean: str) -> dict[str, dict[str, Score]]:
    """The metrics of a model in each column."""
    of_leads = {
        leads: scores_of(saved, saved.leads.index(leads), RESAMPLES) for leads in columns if leads != mean
    }
    several = list(of_leads.values())
    means = {metric: mean_score([scores[metric] for scores in several]) for metric in several[0]}
    return {**of_leads, mean: means}
