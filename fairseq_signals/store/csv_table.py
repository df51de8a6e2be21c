"""CSV tables that people or corpora give: streamed rows, each with its line, and cells of a type."""

from __future__ import annotations

import csv
import functools
import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable, NamedTuple, TextIO, TypeVar

from fairseq_signals.ecg.record import known, parse_patient, plausible_age, years_of
from fairseq_signals.errors import FairseqSignalsError, StoreError
from fairseq_signals.files import open_text, require_file
from fairseq_signals.safety.text import csv_text

_TRUTH = {**dict.fromkeys(("true", "1", "1.0"), True), **dict.fromkeys(("false", "0", "0.0"), False)}
LONGEST_LINE = 1 << 24  # characters
_RESTORE = "Restore the table from the original download."

T = TypeVar("T")


class TableRow(NamedTuple):
    """One row of a table.

    Attributes:
        where: file and line, for messages.
        cells: text by column, without blanks around it.
        error: what a wrong cell raises.
        step: what to do then, for its message.
    """

    where: str
    cells: Mapping[str, str]
    error: type[FairseqSignalsError]
    step: str

    def text(self, column: str) -> str:
        """A cell that must not be empty."""
        return self.value(column, str, "some text")

    def number(self, column: str) -> str:
        """A whole number as text; `13243.0`, as tables with missing values have it, is 13243."""
        return self.value(column, _whole, "a whole number")

    def age(self, column: str) -> float | None:
        """Years, or None where the cell is empty or the age is not known."""
        if known(self.cells[column]) is None:
            return None
        return plausible_age(self.value(column, years_of, "years (or 18 months, 3 days), or empty"))

    def patient(self, column: str) -> str | None:
        """Whose the row is, or None where it is not known."""
        return parse_patient(self.cells[column])

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

    def value(self, column: str, convert: Callable[[str], T | None], what: str) -> T:
        """A cell converted; the error says that it must be `what` where that fails, or gives None."""
        text = self.cells[column]
        try:
            converted = convert(text) if text else None
        except (ValueError, TypeError, KeyError, OverflowError, SyntaxError):
            converted = None
        if converted is None:
            raise self.error(f"{self.where}: {column} must be {what}, but is {text!r} instead. {self.step}")
        return converted

    def attributes(self, used: Collection[str]) -> tuple[tuple[str, str], ...] | None:
        """All cells of other columns than `used` that are not empty, for `Item.attributes`."""
        return tuple((name, text) for name, text in self.cells.items() if text and name not in used) or None


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[TableRow]:
    """The rows of a table of a corpus, which must be as it was published; see `read_table`.

    Raises:
        StoreError: also where a row has too many or too few cells.
    """
    return read_table(path, columns, StoreError, _RESTORE, exact=True)[1]


def read_table(
    path: Path,
    columns: Sequence[str] = (),
    error: type[FairseqSignalsError] = StoreError,
    step: str = "Correct the table.",
    exact: bool = False,
) -> tuple[tuple[str, ...], Iterator[TableRow]]:
    """The columns of a CSV file with a header line, and its rows, one at a time.

    Args:
        path: the file; one named `.gz` is decompressed.
        columns: what it must have; it may have more.
        error: what is raised, here and while rows are read, where it cannot be read or lacks a column.
        step: what to do then, for messages.
        exact: a row must have as many cells as there are columns; else it is filled up, or cut off.
    """
    lines = read_lines(path, error, step)
    first, names = next(lines, (1, []))
    absent = [name for name in columns if name not in names]
    if absent:
        there = ", ".join(names) or "none"
        raise error(f"{path}:{first}: there is no column {', '.join(absent)} among {there}. {step}")

    def rows() -> Iterator[TableRow]:
        for number, cells in lines:
            if exact and len(cells) != len(names):
                found = f"there are {len(cells)} cells for {len(names)} columns"
                raise error(f"{path}:{number}: {found}. {step}")
            cells += [""] * (len(names) - len(cells))
            yield TableRow(f"{path}:{number}", dict(zip(names, cells)), error, step)

    return tuple(names), rows()


def read_lines(
    path: Path, error: type[FairseqSignalsError], step: str = "Correct the table."
) -> Iterator[tuple[int, list[str]]]:
    """Each line of a CSV file that is not blank: its number, and its cells without blanks around them.

    A quote that keeps a text from being a formula, as in the tables that are written here, is taken off.
    """
    try:
        with _open(path) as file:
            reader = csv.reader(_bounded(file))
            for cells in reader:
                if cells:
                    cells = list(map(str.strip, cells))
                    yield reader.line_num, list(map(csv_text, cells)) if "'" in "".join(cells) else cells
    except FileNotFoundError:
        raise error(f"{path}: there is no such table. Check its name and folder.") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as e:
        raise error(f"{path}: the table cannot be read ({e}); it must be CSV in UTF-8. {step}") from e


def _bounded(file: TextIO) -> Iterator[str]:
    """The lines of a file, none of which takes all memory."""
    for line in iter(functools.partial(file.readline, LONGEST_LINE), ""):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line has {LONGEST_LINE:,} characters or more")
        yield line


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        require_file(path)
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open_text(path, "utf-8-sig", newline="")


def _whole(text: str) -> str:
    number = float(text)
    if number != int(number):
        raise ValueError
    return str(int(number))
