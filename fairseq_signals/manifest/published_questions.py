"""ECG-QA as it is published (Oh et al., arXiv:2306.15681; github.com/Jwoo5/ecg-qa).

A version is a folder `paraphrased` or `template` with `train/`, `valid/` and `test/` of JSON files (or one
JSON file each); beside it lie `answers.csv` and `answers_for_each_template.csv`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fairseq_signals.errors import LabelError, ManifestError
from fairseq_signals.manifest.questions import Question
from fairseq_signals.manifest.split_table import SPLITS
from fairseq_signals.safety.rules import check, either, integer, list_of, read_json, required, text
from fairseq_signals.store.csv_table import read_table

ANSWERS, OF_TEMPLATES = "answers.csv", "answers_for_each_template.csv"
NONE = "none"  #: an answer in words that is no answer at all
_CHOOSE = "-choose"
_NUMBER = integer(0, 1 << 53)
_RULES = {
    "template_id": required(_NUMBER),
    "question_type": required(text(80)),
    "attribute_type": required(text(80)),
    "question": required(text()),
    "answer": required(list_of(text(), 1000)),
    "ecg_id": required(list_of(either(_NUMBER, text(200)), 2)),
    "attribute": list_of(text(), 1000),
}


def read_answers(folder: Path) -> list[str]:
    """All answers in words but "none", in their order, of the version in `folder`."""
    _, rows = read_table(_beside(folder, ANSWERS), ("class",), LabelError)
    return [name for row in rows if (name := row.text("class")) != NONE]


def read_published(folder: Path, answers: list[str]) -> dict[str, list[Question]]:
    """The questions of each split; their ECGs are called by the published ids, as text.

    Args:
        folder: of a version.
        answers: see `read_answers`.

    Raises:
        ManifestError: there are no such files, or one is not as it is published.
    """
    number = {name: i for i, name in enumerate(answers)}
    templates = _templates(_beside(folder, OF_TEMPLATES), number)
    found = {split: list(_questions(_files(folder, split), templates, number)) for split in SPLITS}
    if not found["train"]:
        raise ManifestError(
            f"{folder}: has no questions for training (train/*.json or train.json); name the folder "
            "paraphrased or template of ECG-QA"
        )
    return found


def _beside(folder: Path, name: str) -> Path:
    return next((path for path in (folder / name, folder.parent / name) if path.is_file()), folder / name)


def _files(folder: Path, split: str) -> list[Path]:
    whole = folder / f"{split}.json"
    return [whole] if whole.is_file() else sorted((folder / split).glob("*.json"))


def _templates(path: Path, number: Mapping[str, int]) -> dict[int, tuple[int, ...]]:
    """The answers that questions of each template can have."""
    _, rows = read_table(path, ("template_id", "classes"), LabelError)
    return {int(row.number("template_id")): _numbers(_names(row), number, row.where) for row in rows}


def _names(row: Any) -> list[str]:
    try:
        found = ast.literal_eval(row.text("classes"))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise LabelError(f"{row.where}: classes must be a list of answers; get the file again")
    return found


def _numbers(names: list[str], number: Mapping[str, int], where: str) -> tuple[int, ...]:
    unknown = [name for name in names if name not in number and name != NONE]
    if unknown:
        raise ManifestError(f"{where}: {unknown[0]!r} is not among the answers of {ANSWERS}")
    return tuple(sorted(number[name] for name in names if name != NONE))


def _questions(
    files: list[Path], templates: Mapping[int, tuple[int, ...]], number: Mapping[str, int]
) -> Iterator[Question]:
    for path in files:
        items = read_json(path, ManifestError)
        if not isinstance(items, list):
            raise ManifestError(f"{path}: must be a list of questions; get the file again")
        for i, item in enumerate(items):
            where = f"{path}: question {i}"
            if not isinstance(item, dict):
                raise ManifestError(f"{where}: must be a question with its keys; get the file again")
            check(item, _RULES, f"{where}: ", ManifestError)
            if not item["ecg_id"]:
                raise ManifestError(f"{where}: ecg_id must name one ECG or two, but is empty")
            answers = _numbers(item["answer"], number, where)
            valid = _valid(item, answers, templates, number)
            ecgs = tuple(str(name) for name in item["ecg_id"])
            kind, about = item["question_type"], item["attribute_type"]
            yield Question(kind, about, item["question"], ecgs, answers, valid)


def _valid(
    item: Mapping[str, Any],
    answers: tuple[int, ...],
    templates: Mapping[int, tuple[int, ...]],
    number: Mapping[str, int],
) -> tuple[int, ...]:
    """What can be answered: one of the two that are named, or what the template allows; and what is true."""
    allowed = templates.get(item["template_id"], tuple(number.values()))
    if item["question_type"].endswith(_CHOOSE):
        # "qt interval of 360 to 440" is about the answer "qt interval"
        names = [name if name in number else name.split(" of ")[0] for name in item.get("attribute") or ()]
        named = tuple(sorted(number[name] for name in names if name in number))
        allowed = named if len(named) == len(names) > 0 else allowed
    return tuple(sorted({*allowed, *answers}))
