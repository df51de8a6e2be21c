"""The tables of a run as pages show them: by board, lead set and method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fairseq_signals.benchmark.scores import is_lower_better
from fairseq_signals.benchmark.settings import Settings
from fairseq_signals.benchmark.table import CELLS, COLUMNS, LEADERBOARD, MEAN, PAIRS, PROTOCOLS, Board
from fairseq_signals.evaluation.results import METRIC_TITLES, ResultsError
from fairseq_signals.store.csv_table import TableRow, read_table


class Value(NamedTuple):
    """A metric of a method, the mean over seeds."""

    value: float
    low: float
    high: float
    n_seeds: int


class Against(NamedTuple):
    """A method less another one, which is not better."""

    difference: float
    low: float
    high: float
    share: float
    decided: bool

    def turned(self) -> Against:
        """The other one less this."""
        return self._replace(
            difference=-self.difference, low=-self.high, high=-self.low, share=1 - self.share
        )


@dataclass
class Found:
    """What was found of one board.

    Attributes:
        board: task, protocol and share of the labels.
        corpus, metric: of the task.
        sizes: records and patients that were tested.
        values: by lead set and method.
        pairs: by lead set, the better method and the other.
    """

    board: Board
    corpus: str
    metric: str
    sizes: tuple[int, int]
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    pairs: dict[str, dict[tuple[str, str], Against]] = field(default_factory=dict)

    @property
    def metric_title(self) -> str:
        """The metric, and which way it is better."""
        lower = " (lower is better)" if self.lower_is_better else ""
        return METRIC_TITLES.get(self.metric, self.metric) + lower

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric is an error."""
        return is_lower_better(self.metric)

    @property
    def main(self) -> str:
        """The lead set that methods are ranked by: the mean of all, or the only one."""
        return MEAN if MEAN in self.values else next(iter(self.values))

    def ranked(self, leads: str) -> list[str]:
        """The methods on a lead set, the best first."""
        sign = 1 if self.lower_is_better else -1
        of = self.values[leads]
        return sorted(of, key=lambda name: sign * of[name].value)

    def against(self, leads: str, method: str, than: str) -> Against | None:
        """A method less another one; None where they were not compared."""
        of = self.pairs.get(leads, {})
        if (than, method) in of:
            return of[than, method].turned()
        return of.get((method, than))


@dataclass(frozen=True)
class Run:
    """A run, as it is shown.

    Attributes:
        settings: of it.
        boards: in the order of pages.
        parameters: of the encoder of each method, where they are known.
    """

    settings: Settings
    boards: list[Found]
    parameters: Mapping[str, int]

    @property
    def methods(self) -> list[str]:
        """Those of which there are results."""
        there = {name for found in self.boards for of in found.values.values() for name in of}
        return [name for name in self.settings.rows if name in there]

    def title(self, method: str) -> str:
        """Of a method."""
        return self.settings.methods[method].title

    def main_boards(self) -> list[Found]:
        """Of each task, the board by its first protocol with most labels."""
        first: dict[str, Found] = {}
        for found in self.boards:
            first.setdefault(found.board.task, found)
        return list(first.values())

    def cells(self) -> tuple[list[str], np.ndarray]:
        """Of the methods that have them all, the values of task-corpus cells (N, k), higher is better."""
        boards = self.main_boards()
        methods = [name for name in self.methods if all(name in each.values[each.main] for each in boards)]
        values = [
            [(-1 if each.lower_is_better else 1) * each.values[each.main][name].value for name in methods]
            for each in boards
        ]
        return methods, np.array(values).reshape(len(boards), len(methods))


def read_run(settings: Settings) -> Run:
    """What `table` wrote.

    Raises:
        ResultsError: a table is not there, or not as it must be.
    """
    folder = Path(settings.out)
    boards: dict[Board, Found] = {}
    for row in _rows(folder / LEADERBOARD):
        board, leads, method = _place(row)
        cells = row.cells
        sizes = int(_number(row, "n_records")), int(_number(row, "n_patients"))
        found = boards.setdefault(board, Found(board, cells["corpus"], cells["metric"], sizes))
        value, low, high, n_seeds = (_number(row, name) for name in ("value", "low", "high", "n_seeds"))
        found.values.setdefault(leads, {})[method] = Value(value, low, high, int(n_seeds))
    for row in _rows(folder / PAIRS):
        board, leads, method = _place(row)
        if board not in boards:
            raise ResultsError(f"{row.where}: {board} is not in {LEADERBOARD}; make both tables again")
        difference, low, high, share = (_number(row, name) for name in ("difference", "low", "high", "share"))
        pair = Against(difference, low, high, share, row.cells["decided"] == "yes")
        boards[board].pairs.setdefault(leads, {})[method, row.cells["than"]] = pair
    parameters = {
        row.cells["method"]: int(_number(row, "parameters"))
        for row in _rows(folder / CELLS)
        if row.cells["parameters"]
    }
    return Run(settings, list(boards.values()), parameters)


def _rows(path: Path) -> Iterable[TableRow]:
    return read_table(path, COLUMNS[path.name], ResultsError, "Make the tables again.")[1]


def _place(row: TableRow) -> tuple[Board, str, str]:
    protocol = row.choice("protocol", {name: name for name in PROTOCOLS}) or ""
    board = Board(row.text("task"), protocol, int(_number(row, "fraction")))
    return board, row.text("leads"), row.text("method")


def _number(row: TableRow, column: str) -> float:
    return row.value(column, float, "a number") if row.cells[column] else math.nan
