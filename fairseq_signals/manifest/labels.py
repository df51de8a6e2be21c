"""Label tables: which diagnosis codes make which class, the CinC 2021 weights between classes, and targets.

A label table is a CSV file `index,name,abbreviation,codes`; codes of one class are joined with `|`. The
store keeps codes as the corpus gives them, so another table needs new manifests, not a new store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairseq_signals.errors import LabelError, ManifestError, did_you_mean
from fairseq_signals.manifest.info import require_complete
from fairseq_signals.store.csv_table import read_lines

if TYPE_CHECKING:
    from fairseq_signals.manifest.table import Manifest

COLUMNS = ("index", "name", "abbreviation", "codes")
_CLASSES = re.compile(r"(\d+(,\d+)*)?")
_BETWEEN_CODES = re.compile(r"[\s,;|]+")
SINUS_RHYTHM = "426783006"  # SNOMED CT: what the challenge metric's inactive classifier predicts


@dataclass(frozen=True)
class LabelTable:
    """The classes of a classification task, in the order of the model's outputs.

    Args:
        names: one a class, such as "atrial fibrillation".
        abbreviations: one a class, such as "AF".
        codes: per class the diagnosis codes that count as it; no code is in two classes.
    """

    names: tuple[str, ...]
    abbreviations: tuple[str, ...]
    codes: tuple[tuple[str, ...], ...]
    _class_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        class_of: dict[str, int] = {}
        for index, codes in enumerate(self.codes):
            if not codes:
                raise LabelError(f"class {index} ({self.names[index]}) has no code")
            for code in codes:
                if class_of.setdefault(code, index) != index:
                    other = self.names[class_of[code]]
                    raise LabelError(f"code {code} is in two classes: {other} and {self.names[index]}")
        object.__setattr__(self, "_class_of", class_of)

    def __len__(self) -> int:
        return len(self.names)

    def to_plain(self) -> dict[str, list]:
        """The table in plain lists, as checkpoints keep it; `from_plain` reads it."""
        return {
            "names": list(self.names),
            "abbreviations": list(self.abbreviations),
            "codes": [list(codes) for codes in self.codes],
        }

    @classmethod
    def from_plain(cls, plain: dict[str, list]) -> LabelTable:
        """The table that `to_plain` gave."""
        return cls(
            tuple(plain["names"]), tuple(plain["abbreviations"]), tuple(tuple(c) for c in plain["codes"])
        )

    def targets(self, codes: Iterable[str]) -> list[int]:
        """The classes that a record with these codes belongs to, ascending; codes of no class are ignored."""
        each = (part for code in codes for part in self._separate(code))
        return sorted({self._class_of[code] for code in each if code in self._class_of})

    def unknown(self, codes: Iterable[str]) -> set[str]:
        """Those of the codes that are of no class."""
        return {part for code in codes for part in self._separate(code) if part not in self._class_of}

    def _separate(self, code: str) -> list[str]:
        """The code; or its parts, as of "AF SB", where the table has each of them and not the whole."""
        parts = _BETWEEN_CODES.split(code)
        is_several = code not in self._class_of and all(part in self._class_of for part in parts)
        return parts if is_several else [code]

    def divide(self, names: Sequence[str]) -> tuple[LabelTable, LabelTable]:
        """The table without the classes of these abbreviations or names, and the table of these alone.

        Raises:
            LabelError: there is no such class, or no other one.
        """
        known = (*self.abbreviations, *self.names)
        for name in names:
            if name not in known:
                guess = did_you_mean(name, known)
                raise LabelError(f"there is no class {name!r} among {', '.join(self.abbreviations)}{guess}")
        rows = list(zip(self.names, self.abbreviations, self.codes))
        taken = [row for row in rows if {row[0], row[1]} & set(names)]
        left = [row for row in rows if row not in taken]
        if not left:
            raise LabelError(f"no class is left of {', '.join(self.abbreviations)}")
        kept, others = (LabelTable(*map(tuple, zip(*each))) for each in (left, taken))
        return kept, others

    def index_of_code(self, code: str) -> int:
        """The class that a code belongs to.

        Raises:
            LabelError: where it belongs to none.
        """
        if code not in self._class_of:
            raise LabelError(f"code {code!r} is in none of the {len(self)} classes: {', '.join(self.names)}")
        return self._class_of[code]


def read_labels(path: str | os.PathLike[str]) -> LabelTable:
    """Read a label table.

    Raises:
        LabelError: with file and line, where the file is absent, malformed, or gives a code to two classes.
        ManifestError: it lies beside manifests that were not all written.
    """
    path = Path(path)
    require_complete(path.parent)
    lines = read_lines(path, LabelError)
    _, header = next(lines, (1, []))
    if header != list(COLUMNS):
        found = ",".join(header) or "an empty file"
        raise LabelError(f"{path}:1: the header must be `{','.join(COLUMNS)}`, but is `{found}`")
    rows: list[list[str]] = []
    for number, row in lines:
        if len(row) != len(COLUMNS):
            raise LabelError(f"{path}:{number}: expected {len(COLUMNS)} fields, found {len(row)}")
        if row[0] != str(len(rows)):
            found = f"must be {len(rows)} (0, 1, ... in order), but is {row[0]!r}"
            raise LabelError(f"{path}:{number}: index {found}")
        rows.append(row)
    if not rows:
        raise LabelError(f"{path}: the table has no classes")
    _, names, abbreviations, joined = zip(*rows)
    try:
        return LabelTable(names, abbreviations, tuple(map(split_codes, joined)))
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from None


def read_weights(path: str | os.PathLike[str], labels: LabelTable) -> np.ndarray:
    """The weights of a challenge metric, rows and columns in the order of the label table.

    The file has the layout of the official CinC 2021 `weights.csv`: the header row and the first column name
    each class by its codes, joined with `|`. Classes are matched by their codes, in whatever order they come.

    Returns:
        (C, C) float64; row: the true class, column: the predicted class.

    Raises:
        LabelError: where the file is absent or malformed, or its classes are not those of the table.
    """
    path = Path(path)
    lines = list(read_lines(path, LabelError))
    if len(lines) < 2:
        raise LabelError(f"{path}: not a weight matrix: it has {len(lines)} lines")
    (_, (_, *header)), *body = lines
    if [row[0] for _, row in body] != header:
        raise LabelError(
            f"{path}: the first column must name the same classes as the header, in the same order"
        )
    values = np.empty((len(header), len(header)))
    for i, (number, row) in enumerate(body):
        if len(row) != len(header) + 1:
            raise LabelError(f"{path}:{number}: expected {len(header) + 1} fields, found {len(row)}")
        try:
            values[i] = [float(value) for value in row[1:]]
        except ValueError as error:
            raise LabelError(f"{path}:{number}: weights must be numbers ({error})") from None
    if not np.isfinite(values).all():
        raise LabelError(f"{path}: weights must be finite")
    order = _match_classes(path, [split_codes(group) for group in header], labels)
    return values[np.ix_(order, order)]


def find_table(name: str, folder: Path) -> Path:
    """The label table with this path, or the one with this bare name in a folder of tables.

    Raises:
        LabelError: where there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = folder / f"{name}.csv"
    if os.path.basename(name) == name and shipped.is_file():
        return shipped
    tables = sorted(path.stem for path in folder.glob("*.csv") if not path.stem.endswith("_weights"))
    raise LabelError(
        f"no label table {name!r}: it is neither a file nor one that ships ({', '.join(tables)})"
    )


def class_names(table: LabelTable | None, n_classes: int) -> list[str]:
    """Abbreviations where they tell the classes apart, else names, else numbers."""
    for names in (table.abbreviations, table.names) if table is not None else ():
        if all(names) and len(set(names)) == n_classes:
            return list(names)
    return [str(c) for c in range(n_classes)]


def split_codes(joined: str) -> tuple[str, ...]:
    """The codes of a `|`-joined group."""
    return tuple(code.strip() for code in joined.split("|") if code.strip())


def _match_classes(path: Path, groups: list[tuple[str, ...]], labels: LabelTable) -> list[int]:
    """For each class of the label table the group of the weight file that shares a code with it."""
    order: list[int] = []
    for index, codes in enumerate(labels.codes):
        matches = [i for i, group in enumerate(groups) if set(group) & set(codes)]
        what = f"class {index} ({labels.names[index]}, {'|'.join(codes)})"
        if not matches:
            raise LabelError(
                f"{path}: no weights for {what}; the label table and the weights must go together"
            )
        if len(matches) > 1:
            found = ", ".join("|".join(groups[i]) for i in matches)
            raise LabelError(f"{path}: several weights for {what}: {found}; merge them in the file")
        order += matches
    for group_index, group in enumerate(groups):
        if order.count(group_index) != 1:
            fault = "several classes share" if group_index in order else "no class of the label table has"
            raise LabelError(f"{path}: {fault} the codes {'|'.join(group)}")
    return order


def is_classes(text: str) -> bool:
    """Whether a segment's target is class indices, and not the numbers of a regression."""
    return _CLASSES.fullmatch(text) is not None


def parse_target(text: str) -> list[int]:
    """The classes of a segment's target such as "3,17"; none of an empty one."""
    return [int(index) for index in text.split(",") if index]


def multi_hot(manifest: Manifest, n_classes: int, named_by: str) -> np.ndarray:
    """The classes of each segment, (N, C) bool.

    Raises:
        ManifestError: a class beyond the `n_classes` that `named_by` has, or no class; names the line.
    """
    labels = np.zeros((len(manifest), n_classes), dtype=bool)
    for i, target in enumerate(manifest.targets):
        if not is_classes(target):
            raise ManifestError(
                f"{manifest.path}:{i + 2}: target must be class indices, but is {target!r}: these manifests "
                "are for task ecg_regression. Make others with manifests/classification.py"
            )
        classes = parse_target(target)
        if classes and max(classes) >= n_classes:
            raise ManifestError(
                f"{manifest.path}:{i + 2}: class {max(classes)}, but {named_by} has {n_classes} classes"
            )
        labels[i, classes] = True
    return labels


def require_one_class(manifest: Manifest, labels: np.ndarray) -> None:
    """Refuse a manifest with a segment that is not of exactly one class.

    Args:
        labels: the classes of each segment, (N, C) bool.

    Raises:
        ManifestError: there is one; names the line.
    """
    numbers = labels.sum(axis=1)
    wrong = np.flatnonzero(numbers != 1)
    if len(wrong):
        share = f"{len(wrong)} of {len(labels)} segments"
        raise ManifestError(
            f"{manifest.path}:{wrong[0] + 2}: the segment is of {numbers[wrong[0]]} classes, but the model's "
            f"exclude each other: it must be of exactly one ({share} are not). Make "
            "the manifests with --one-class, or train with binary_cross_entropy_with_logits"
        )
