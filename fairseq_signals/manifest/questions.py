"""Question tables: what is asked about one or two ECGs of a manifest, and the answers that are true.

A table is a TSV file with the columns of `COLUMNS` and a header line. `ecg1` and `ecg2` are record ids of the
manifest beside it, the latter empty where a question is about one; `answers` and `valid` are numbers of
`answers.csv`, joined with commas: those that are true, and those that the question can have. No answer at
all is an answer: none of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.folder import QUESTIONS
from fairseq_signals.manifest.labels import is_classes, parse_target
from fairseq_signals.manifest.tsv_table import table_lines
from fairseq_signals.safety.text import tsv_line

COLUMNS = ("question_id", "type", "attribute_type", "text", "ecg1", "ecg2", "answers", "valid")
_REBUILD = "Make it again with manifests/ecg_qa.py."


class Question(NamedTuple):
    """A question.

    Args:
        type: such as "single-verify".
        attribute_type: what it is about, such as "scp_code".
        text: its words.
        ecgs: one or two record ids, in their order.
        answers, valid: numbers of answers, see the module.
    """

    type: str
    attribute_type: str
    text: str
    ecgs: tuple[str, ...]
    answers: tuple[int, ...]
    valid: tuple[int, ...]


def questions_file(split: str) -> str:
    """The name of the table of a split."""
    return f"{split}{QUESTIONS}"


def question_lines(questions: Iterable[Question]) -> Iterator[str]:
    """The lines of a table's file."""
    yield tsv_line(COLUMNS)
    for i, one in enumerate(questions):
        first, second = (*one.ecgs, "")[:2]
        numbers = (",".join(map(str, found)) for found in (one.answers, one.valid))
        yield tsv_line((i, one.type, one.attribute_type, one.text, first, second, *numbers))


def read_questions(path: str | os.PathLike[str], n_answers: int) -> list[Question]:
    """Read a question table.

    Args:
        n_answers: rows of `answers.csv`.

    Raises:
        ManifestError: with file and line, where it is absent or malformed, an answer is beyond `n_answers`
            or not among the valid ones, or it lies beside manifests that were not all written.
    """
    path = Path(path)
    lines = table_lines(path, COLUMNS, "questions", _REBUILD)
    return [_question(f"{path}:{i + 2}", line, n_answers) for i, line in enumerate(lines)]


def _question(where: str, line: str, n_answers: int) -> Question:
    cells = line.split("\t")
    if len(cells) != len(COLUMNS) or not all(cells[i] for i in (1, 3, 4)):
        raise ManifestError(
            f"{where}: must have {len(COLUMNS)} columns, with a type, a text and a record, but is {line!r}. "
            f"{_REBUILD}"
        )
    _, kind, attribute_type, text, first, second, *numbers = cells
    if not all(map(is_classes, numbers)):
        raise ManifestError(f"{where}: answers must be numbers, but are {numbers}. {_REBUILD}")
    answers, valid = (tuple(parse_target(found)) for found in numbers)
    if not set(answers) <= set(valid) or max(valid, default=-1) >= n_answers:
        raise ManifestError(
            f"{where}: answers {numbers[0]!r} must be among the valid ones, {numbers[1]!r}, and these among "
            f"the {n_answers} of answers.csv. {_REBUILD}"
        )
    return Question(kind, attribute_type, text, (first, second) if second else (first,), answers, valid)


def ecg_rows(questions: Sequence[Question], record_ids: Sequence[str], where: str) -> np.ndarray:
    """The rows of the ECGs of each question in a manifest, (Q, 2) int64; -1 where there is no second one.

    Raises:
        ManifestError: a record is not there.
    """
    row = {record: i for i, record in enumerate(record_ids)}
    found = np.full((len(questions), 2), -1, np.int64)
    for i, one in enumerate(questions):
        for k, record in enumerate(one.ecgs):
            if record not in row:
                raise ManifestError(f"{where}:{i + 2}: asks about {record}, which is not in the manifest")
            found[i, k] = row[record]
    return found
