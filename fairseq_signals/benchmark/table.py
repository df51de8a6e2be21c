"""Tables of a run: every cell, methods over seeds, and every pair of methods.

    python -m fairseq_signals.benchmark.table OUT [--resamples N]

reads the settings of a run and what it found, and writes beside them

- `benchmark.csv`: each metric of each model on each lead set, with its interval over patients;
- `leaderboard.csv`: the main metric of each method, the mean over seeds, with its interval over both;
- `pairs.csv`: of each two methods the difference, its interval, the share of draws, and p after Holm.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_signals.benchmark.entries import ATTENTIVE, COSINE, FINETUNED, KNN, LINEAR, ONCE
from fairseq_signals.benchmark.scores import (
    LEVEL,
    Measured,
    Score,
    holm,
    is_lower_better,
    mean_score,
    scores_of,
    seed_variance,
)
from fairseq_signals.benchmark.settings import Settings
from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.evaluation.comparison import require_same
from fairseq_signals.evaluation.intervals import ITEMS
from fairseq_signals.evaluation.results import ResultsError
from fairseq_signals.evaluation.saved_results import SavedEvaluation, read_evaluation
from fairseq_signals.evaluation.summaries import mean_of
from fairseq_signals.files import write_text
from fairseq_signals.safety.text import counted, csv_lines, tell

RESAMPLES = 1000
#: Protocols in the order of pages; of a task, the first that it has is what its ranks are by.
PROTOCOLS = (LINEAR, COSINE, ONCE, ATTENTIVE, KNN, FINETUNED)
#: Of each kind of task: the metric by which methods are compared.
MAIN = {"classification": "macro_auroc", "regression": "mae", "identification": "accuracy"}
MEAN = "mean"  # over the lead sets that stand for themselves
CELLS, LEADERBOARD, PAIRS = "benchmark.csv", "leaderboard.csv", "pairs.csv"
_WHERE = ("task", "corpus", "metric", "protocol", "leads", "fraction")
COLUMNS = {
    CELLS: ("method", "title", "seed", "task", "corpus", "metric", "protocol", "leads", "fraction", "value",
            "low", "high", "n_records", "n_patients", "n_train", "updates", "cpu_seconds_an_update",
            "parameters"),
    LEADERBOARD: (*_WHERE, "method", "value", "low", "high", "n_seeds", "n_records", "n_patients"),
    PAIRS: (*_WHERE, "method", "than", "difference", "low", "high", "share", "p", "p_holm", "decided"),
}  # fmt: skip


class Board(NamedTuple):
    """What is compared in one table: a task by one protocol, with a share of the labels."""

    task: str
    protocol: str
    fraction: int
    """Per cent."""


Files = dict[tuple[str, int], Path]  #: by method and seed


def find_results(settings: Settings) -> tuple[dict[Board, Files], list[Path]]:
    """The results files of a run by board, in the order of the settings; and those that these leave out.

    Raises:
        ResultsError: there are none.
    """
    wanted = {
        settings.result(name, seed, task.name, protocol, fraction): (
            Board(task.name, protocol, fraction),
            (name, seed),
        )
        for name in settings.rows
        for seed in settings.seeds
        for task, protocol, fraction in (*settings.frozen(), *settings.finetuned(name))
    }
    found: dict[Board, Files] = {}
    others = []
    for path in sorted((Path(settings.out) / "results").glob("*/*/*.npz")):
        if path in wanted:
            board, key = wanted[path]
            found.setdefault(board, {})[key] = path
        else:
            others.append(path)
    if not found:
        raise ResultsError(
            f"{settings.out}: in results/METHOD/seedS/ there is no TASK-PROTOCOL-FRACTION.npz of these "
            "settings; run the benchmark first"
        )
    tasks = list(settings.tasks)

    def place(board: Board) -> tuple[int, int, int]:
        return tasks.index(board.task), PROTOCOLS.index(board.protocol), -board.fraction

    return {board: found[board] for board in sorted(found, key=place)}, others


class Cost(NamedTuple):
    """Of a pre-training; None where nothing was trained here."""

    updates: int | None
    cpu_seconds_an_update: float | None


def cost_of(settings: Settings, name: str) -> Cost:
    """What a row was given; of one that begins with another method, without that."""
    method = settings.methods[name]
    if method.random_of:
        return Cost(0, None)
    return Cost(settings.updates(method), method.seconds) if method.config else Cost(None, None)


class BoardTables:
    """The rows of one board.

    Args:
        settings: of the run.
        board, files: of `find_results`.
        n_resamples: how many times patients are drawn.

    Raises:
        ResultsError: a file cannot be read, or two are not of the same records.
    """

    def __init__(self, settings: Settings, board: Board, files: Files, n_resamples: int) -> None:
        self.settings, self.board, self.n_resamples = settings, board, n_resamples
        self._files = dict(sorted(files.items(), key=lambda each: (self._number(each[0][0]), each[0][1])))
        self._saved = {key: read_evaluation(path) for key, path in self._files.items()}
        first = next(iter(self._saved.values()))
        for key, other in self._saved.items():
            try:
                require_same(first, other)
            except ResultsError as error:
                raise ResultsError(f"{self._files[key]}: {error}") from None
        self.lead_sets = _lead_sets(max(self._saved.values(), key=lambda saved: len(saved.leads)))
        patients, records = (first.arrays[name] for name in ITEMS[first.task])
        self.sizes = len(records), len(set(patients.tolist()))
        self.cells: list[Sequence[Any]] = []
        self.methods: list[Sequence[Any]] = []
        self.pairs: list[Sequence[Any]] = []
        scores = {key: self._scores(key) for key in self._saved}
        metric = _main_metric(first.task, next(of for found in scores.values() for of in found.values()))
        for leads in self.lead_sets:
            there = {key: found[leads] for key, found in scores.items() if leads in found}
            for key, found in there.items():
                self.cells += [self._cell(key, leads, *each) for each in found.items()]
            self._compare(leads, metric, {key: found[metric] for key, found in there.items()})

    def _number(self, method: str) -> int:
        return self.settings.rows.index(method)

    def _scores(self, key: tuple[str, int]) -> dict[str, dict[str, Score]]:
        """Of each lead set that a model was tested on, and of each mean over such, its metrics."""
        saved = self._saved[key]
        tested = {leads: scores_of(saved, i, self.n_resamples) for i, leads in enumerate(saved.leads)}
        found = {}
        for leads, members in self.lead_sets.items():
            if set(members) <= set(tested):
                found[leads] = {
                    metric: mean_score([tested[member][metric] for member in members])
                    for metric in tested[members[0]]
                }
        return found

    def _compare(self, leads: str, metric: str, scores: Mapping[tuple[str, int], Score]) -> None:
        """The rows of methods and pairs on a lead set."""
        by_method: dict[str, list[Score]] = {}
        for (name, _), score in scores.items():
            by_method.setdefault(name, []).append(score)
        of_seeds = seed_variance(by_method.values())
        measured = {name: Measured(of, self._number(name), of_seeds) for name, of in by_method.items()}
        where = self._where(metric, leads)
        for name, each in measured.items():
            self.methods.append([*where, name, each.value, *each.bounds, each.n_seeds, *self.sizes])
        self.pairs += [[*where, *row] for row in pair_rows(measured, is_lower_better(metric))]

    def _where(self, metric: str, leads: str) -> list[Any]:
        task, protocol, fraction = self.board
        return [task, "+".join(self.settings.tasks[task].corpora), metric, protocol, leads, fraction]

    def _cell(self, key: tuple[str, int], leads: str, metric: str, score: Score) -> list[Any]:
        name, seed = key
        arrays = self._saved[key].arrays
        n_train, parameters = (arrays.get(each) for each in ("n_train", "parameters"))
        where = [name, self.settings.methods[name].title, seed, *self._where(metric, leads)]
        found = [score.value, *score.bounds, *self.sizes, n_train]
        return [*where, *found, *cost_of(self.settings, name), parameters]


def _lead_sets(saved: SavedEvaluation) -> dict[str, Sequence[str]]:
    """What rows are of: lead sets that stand for themselves, their mean, and the means of families."""
    alone = saved.alone
    found: dict[str, Sequence[str]] = {leads: [leads] for leads in alone}
    found |= {MEAN: alone} if len(alone) > 1 else {}
    return found | {mean_of(family): members for family, members in saved.families.items()}


def _main_metric(task: str, found: Mapping[str, Score]) -> str:
    """The metric by which methods are compared: of several targets, that of the first."""
    wanted = MAIN[task]
    return next(name for name in found if name == wanted or name.startswith(f"{wanted}_"))


def pair_rows(measured: Mapping[str, Measured], lower_is_better: bool) -> Iterator[list[Any]]:
    """A row for each two methods, the better one first: method, than, and what is known of the difference."""
    sign = 1 if lower_is_better else -1
    ranked = sorted(measured, key=lambda name: sign * measured[name].value)
    found = {
        (a, b): measured[a].less(measured[b], lower_is_better) for a, b in itertools.combinations(ranked, 2)
    }
    corrected = holm([pair.difference.p for pair in found.values()])
    for ((a, b), (difference, share)), p in zip(found.items(), corrected.tolist()):
        decided = "yes" if p < LEVEL else "no"
        yield [a, b, difference.value, *difference.bounds, share, difference.p, p, decided]


def write_tables(settings: Settings, n_resamples: int = RESAMPLES) -> list[Path]:
    """Write the tables of a run; gives back the results files that its settings leave out.

    Raises:
        ResultsError: no results, or a file is not as it must be.
    """
    rows: dict[str, list[Sequence[Any]]] = {name: [] for name in COLUMNS}
    boards, others = find_results(settings)
    for board, files in boards.items():
        found = BoardTables(settings, board, files, n_resamples)
        for name, of_board in zip(COLUMNS, (found.cells, found.methods, found.pairs)):
            rows[name] += of_board
    for name, columns in COLUMNS.items():
        write_text(Path(settings.out) / name, csv_lines([columns, *map(_shown, rows[name])]))
    return others


def _shown(row: Iterable[Any]) -> list[Any]:
    """Cells as they are written: nothing where nothing is known, and digits that mean something."""
    return ["" if _unknown(cell) else f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row]


def _unknown(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables of a run."""
    parser = argparse.ArgumentParser(
        prog="python -m fairseq_signals.benchmark.table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder of a run of the benchmark")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help=f"of patients (default {RESAMPLES})")
    args = parser.parse_args(argv)
    try:
        settings = Settings.read(args.out, out=str(args.out))
        others = write_tables(settings, args.resamples)
    except FairseqSignalsError as error:
        tell(f"error: {error}")
        return 1
    if others:
        tell(f"left out {counted(len(others), 'results file')} not of these settings, such as {others[0]}")
    print(f"wrote {', '.join(str(args.out / name) for name in COLUMNS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
