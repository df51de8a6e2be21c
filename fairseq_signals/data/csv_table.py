"""CSV tables that corpora give: streamed rows, each with its line, and checked cells."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable, NamedTuple, TextIO, TypeVar

from fairseq_signals.errors import StoreError

_TRUTH = {**dict.fromkeys(("true", "1", "1.0"), True), **dict.fromkeys(("false", "0", "0.0"), False)}
_RESTORE = "Restore the table from the original download."

T = TypeVar("T")


class TableRow(NamedTuple):
    """One row of a table.

    Attributes:
        where: file and line, for messages.
        cells: text by column, without blanks around it.
    """

    where: str
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """A cell that must not be empty."""
        return self.value(column, str, "some text")

    def number(self, column: str) -> str:
        """A whole number as text; `13243.0`, as tables with missing values have it, is 13243."""
        return self.value(column, _whole, "a whole number")

    def age(self, column: str) -> float | None:
        """Years, or None where the cell is empty."""
        return self.value(column, _years, "years, or empty") if self.cells[column] else None

    def truth(self, column: str) -> bool | None:
        """True or False (also 1 and 0), or None where the cell is empty."""
        if not self.cells[column]:
            return None
        return self.value(column, lambda text: _TRUTH[text.lower()], "True, False or empty")

    def choice(self, column: str, meanings: Mapping[str, T]) -> T | None:
        """What the text of a cell means, or None where it is empty."""
        if not self.cells[column]:
            return None
        return self.value(column, meanings.__getitem__, f"{', '.join(meanings)} or empty")

    def value(self, column: str, convert: Callable[[str], T], what: str) -> T:
        """A cell converted; the error says that it must be `what` where that fails."""
        text = self.cells[column]
        try:
            if not text:
                raise ValueError
            return convert(text)
        except (ValueError, TypeError, KeyError, OverflowError, SyntaxError):
            raise StoreError(
                f"{self.where}: {column} must be {what}, but is {text!r} instead. {_RESTORE}"
            ) from None

    def attributes(self, used: Collection[str]) -> tuple[tuple[str, str], ...] | None:
        """All cells of other columns than `used` that are not empty, for `Item.attributes`."""
        return tuple((name, text) for name, text in self.cells.items() if text and name not in used) or None


def _whole(text: str) -> str:
    number = float(text)
    if number != int(number):
        raise ValueError
    return str(int(number))


def _years(text: str) -> float:
    age = float(text)
    if not 0 <= age < 1000:
        raise ValueError
    return age


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[TableRow]:
    """Each row of a CSV file with a header line, one at a time; a file named `.gz` is decompressed.

    Args:
        path: the file.
        columns: what it must have; it may have more.

    Raises:
        StoreError: the file is missing or is not such a table, or a row has too many or too few cells.
    """
    try:
        with _open(path) as file:
            reader = csv.reader(file)
            names = [name.strip() for name in next(reader, [])]
            absent = [name for name in columns if name not in names]
            if absent:
                raise StoreError(
                    f"{path}:1: there is no column {', '.join(absent)} among {', '.join(names) or 'none'}. "
                    f"{_RESTORE}"
                )
            for values in reader:
                if not values:
                    continue
                where = f"{path}:{reader.line_num}"
                if len(values) != len(names):
                    raise StoreError(
                        f"{where}: there are {len(values)} cells for {len(names)} columns. {_RESTORE}"
                    )
                yield TableRow(where, dict(zip(names, map(str.strip, values))))
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no such table. Give the folder that holds it.") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as e:
        raise StoreError(f"{path}: the table cannot be read ({e}). {_RESTORE}") from e


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
