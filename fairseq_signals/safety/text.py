"""Text of others as it is shown and put in tables: names, reports and messages in which nothing acts.

Terminals obey control characters, tables tear at line ends and spreadsheets compute formulas. All of them are
escaped here, where something is printed or written: `visible` of a text that is visible is the text itself.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

#: Control characters, line ends, marks that turn the direction of writing, and what UTF-8 or XML do not have.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
#: What a spreadsheet takes for a formula, unless it is a number; quotes before it are of `csv_cell`.
_FORMULA = re.compile(r"'*[=+\-@\uff1d\uff0b\uff0d\uff20].")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+](inf|nan)")


def visible(text: str, keep: str = "") -> str:
    r"""The text with escapes such as `\n` and `\x1b` in place of what is not seen.

    A byte of a file's name that is not UTF-8, which Python has as half a pair, becomes `\xff`.

    Args:
        keep: characters that stay, such as line ends.
    """
    if text.isprintable():
        return text

    def escape(match: re.Match[str]) -> str:
        letter = match[0]
        if letter in keep:
            return letter
        code = ord(letter) - 0xDC00 if "\udc80" <= letter <= "\udcff" else ord(letter)
        return _SHORT.get(letter) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")

    return _UNSEEN.sub(escape, text)


def counted(n: int, thing: str) -> str:
    """A number of things, such as "1 record" and "2,000 records"."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def csv_cell(value: Any) -> Any:
    """A value for a table that a spreadsheet may open: a text that would be a formula begins with a quote."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def csv_text(cell: str) -> str:
    """The text that `csv_cell` gave, without the quote that it put before a formula."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_lines(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Each row as a line of CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        writer.writerow(map(csv_cell, row))
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def tsv_line(cells: Iterable[Any]) -> str:
    """A row as a line of TSV."""
    return "\t".join(visible(str(cell)) for cell in cells) + "\n"


def tell(message: Any, file: TextIO | None = None) -> None:
    """Print a line for people: on standard error, if no other file is given."""
    print(visible(str(message)), file=sys.stderr if file is None else file)
