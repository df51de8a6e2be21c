"""Text tables: the distinct texts that the rows of a set of manifests are paired with.

A text table is a TSV file `text_id, text, n, split` with a header line: `n` records have the text, and these
are their splits. The `target` of a row is the `text_id`.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairseq_signals.errors import ManifestError
from fairseq_signals.files import require_file
from fairseq_signals.manifest.folder import TEXTS_FILE
from fairseq_signals.manifest.tsv_table import table_lines
from fairseq_signals.safety.text import tsv_line

if TYPE_CHECKING:
    from fairseq_signals.manifest.table import Manifest

COLUMNS = ("text_id", "text", "n", "split")
#: Vectors of the texts by a model of one's own, a row each, for a text side that does not train.
VECTORS_FILE = "texts.npy"
_REBUILD = "Make it again with manifests/ecg_text.py."


@dataclass(frozen=True)
class TextTable:
    """The texts of a set of manifests, by `text_id`.

    Args:
        texts: (N,) cleaned and distinct.
        numbers: (N,) records that have it.
        splits: (N,) splits of these records.
    """

    texts: tuple[str, ...]
    numbers: tuple[int, ...]
    splits: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of_records(cls, text_of: Mapping[str, str], split_of: Mapping[str, str]) -> TextTable:
        """The table of records with their text and split, by record; texts in their order."""
        numbers = Counter(text_of.values())
        splits: dict[str, set[str]] = {}
        for record, text in text_of.items():
            splits.setdefault(text, set()).add(split_of[record])
        texts = tuple(sorted(numbers))
        return cls(texts, tuple(numbers[t] for t in texts), tuple(tuple(sorted(splits[t])) for t in texts))

    def of_split(self, split: str) -> list[str]:
        """The texts of a split's records."""
        return [text for text, splits in zip(self.texts, self.splits) if split in splits]

    def lines(self) -> Iterator[str]:
        """The lines of the table's file."""
        yield tsv_line(COLUMNS)
        for i, row in enumerate(zip(self.texts, self.numbers, map(",".join, self.splits))):
            yield tsv_line((i, *row))


def read_texts(path: str | os.PathLike[str]) -> TextTable:
    """Read a text table.

    Raises:
        ManifestError: with file and line, where it is absent or malformed, or lies beside manifests that were
            not all written.
    """
    path = Path(path)
    lines = table_lines(path, COLUMNS, "texts", _REBUILD)
    return TextTable(*map(tuple, zip(*_rows(path, lines)))) if lines else TextTable((), (), ())


def _rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    for i, line in enumerate(lines):
        cells = line.split("\t")
        if len(cells) != len(COLUMNS) or cells[0] != str(i) or not cells[1] or not cells[2].isdecimal():
            raise ManifestError(
                f"{path}:{i + 2}: must be {i}, a text, how many records have it and their splits, but is "
                f"{line!r}. {_REBUILD}"
            )
        yield cells[1], int(cells[2]), tuple(cells[3].split(","))


def text_ids(manifest: Manifest, n_texts: int, named_by: str) -> np.ndarray:
    """The text of each segment, (N,) int64.

    Raises:
        ManifestError: a target is no row of the `n_texts` that `named_by` has; names the line.
    """
    found = np.empty(len(manifest), np.int64)
    for i, target in enumerate(manifest.targets):
        if not is_text(target, n_texts):
            raise ManifestError(
                f"{manifest.path}:{i + 2}: target must be a text_id of the {n_texts:,} in {named_by}, but is "
                f"{target!r}. Make the manifests with manifests/ecg_text.py"
            )
        found[i] = int(target)
    return found


def is_text(target: str, n_texts: int) -> bool:
    """Whether a segment's target is a text of so many."""
    return target.isdecimal() and int(target) < n_texts


def require_vectors_of(texts: Sequence[str], folder: Path) -> None:
    """Refuse to write texts beside vectors of others, whose rows would be taken for theirs.

    Raises:
        ManifestError: the folder has a file of vectors, and not these texts.
    """
    vectors = folder / VECTORS_FILE
    if not vectors.exists():
        return
    with contextlib.suppress(ManifestError):  # what cannot be read cannot be compared
        if read_texts(folder / TEXTS_FILE).texts == tuple(texts):
            return
    raise ManifestError(
        f"{vectors}: its vectors are not of the texts that {folder / TEXTS_FILE} is to have. Move it away, "
        "make the manifests, then vectors of their texts; or choose another --dest"
    )


def read_vectors(path: str | os.PathLike[str], n_texts: int, width: int | None = None) -> np.ndarray:
    """Vectors of so many texts, (N, E) float32.

    Args:
        path: a `.npy` file of finite numbers.
        width: E, where it is known.

    Raises:
        ManifestError: it is absent, damaged, or of another shape.
    """
    try:
        require_file(Path(path))
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ManifestError(f"{path}: the vectors of texts cannot be read ({error})") from None
    expected = f"({n_texts}, {width or 'any width'})"
    good = vectors.ndim == 2 and len(vectors) == n_texts and vectors.shape[1] == (width or vectors.shape[1])
    if not good or vectors.dtype.kind not in "fiu" or not np.isfinite(vectors).all():
        raise ManifestError(
            f"{path}: must be finite numbers of shape {expected}, a row a text, but is {vectors.dtype} of "
            f"{vectors.shape}, or not finite"
        )
    return vectors.astype(np.float32)
