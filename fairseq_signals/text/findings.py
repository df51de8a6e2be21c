"""Findings in reports, by phrases: what a report says, whatever words it says it in."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fairseq_signals.errors import LabelError
from fairseq_signals.store.csv_table import read_table

#: English, German and Swedish phrases of rhythms, blocks, axes, ectopic beats and a few more.
PHRASES = Path(__file__).with_name("findings.csv")
COLUMNS = ("finding", "phrases")

#: Up to three words may lie between one of these and what it denies.
_DENIED = re.compile(
    r"\b(?:no|not|without|absent|previously|kein\w*|ohne|nicht|vorher|inget|inga|ingen|ej|utan)"
    r"(?: \w+){0,3} $"
)
_END_OF_STATEMENT = re.compile(r"[.;,:!?\n]+")
_NO_WORD = re.compile(r"[\W_]+")


class Findings:
    """Finds findings.

    A phrase counts wherever its words follow each other. Of phrases that begin at one word the longest
    counts, and none within another: an incomplete right bundle branch block is no complete one. A phrase that
    is denied in its statement ("no sinus rhythm") does not count; one that is doubted ("possible") does.

    Args:
        phrases: of each finding; one that ends in `*` stands for all endings of its last word.

    Raises:
        LabelError: a phrase has no word, or is of two findings.
    """

    def __init__(self, phrases: Mapping[str, Sequence[str]]):
        self.names = tuple(phrases)
        self._finding_of: list[str] = []
        finding_of: dict[str, str] = {}
        for name, texts in phrases.items():
            for text in texts:
                words = _plain(text)
                if not words:
                    raise LabelError(f"finding {name}: phrase {text!r} has no word")
                pattern = re.escape(words) + (r"\w*" if text.endswith("*") else "")
                if finding_of.setdefault(pattern, name) != name:
                    raise LabelError(f"phrase {text!r} is of two findings: {finding_of[pattern]} and {name}")
        # the first alternative that fits is taken
        patterns = sorted(finding_of, key=len, reverse=True)
        self._finding_of = [finding_of[pattern] for pattern in patterns]
        self._any = re.compile(r"\b(?:" + "|".join(f"({pattern})" for pattern in patterns) + r")\b")

    def find(self, report: str) -> frozenset[str]:
        """The findings of a report."""
        found = set()
        for statement in map(_plain, _END_OF_STATEMENT.split(report)):
            for match in self._any.finditer(statement):
                assert match.lastindex is not None
                if not _DENIED.search(statement[: match.start()]):
                    found.add(self._finding_of[match.lastindex - 1])
        return frozenset(found)

    def table(self, reports: Sequence[str]) -> np.ndarray:
        """Which report has which finding: (N, C) bool, findings in the order of `names`."""
        found = [self.find(report) for report in reports]
        rows = [[name in each for name in self.names] for each in found]
        return np.array(rows, dtype=bool).reshape(len(rows), len(self.names))


def read_findings(path: str | os.PathLike[str] = PHRASES) -> Findings:
    """Findings by a CSV with columns `finding` and `phrases`, joined with `|`; by default the one that ships.

    Raises:
        LabelError: with file and line, where it cannot be read, or names a finding twice.
    """
    _, rows = read_table(Path(path), COLUMNS, LabelError)
    phrases: dict[str, list[str]] = {}
    for row in rows:
        name = row.text("finding")
        if phrases.setdefault(name, []):
            raise LabelError(f"{row.where}: finding {name!r} has a line already; join its phrases with |")
        phrases[name] += row.text("phrases").split("|")
    if not phrases:
        raise LabelError(f"{path}: there are no findings")
    try:
        return Findings(phrases)
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from None


def _plain(text: str) -> str:
    """Words in lower case, with one blank between them."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
