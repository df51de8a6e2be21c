"""The manifest layouts of the authors' scripts: one `.mat` file a segment, named `<record>_<k>.mat`.

They say nothing about patients; a record stands in for one, or in identification manifests the class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

Fields = Sequence[tuple[str, ...]]
Item = tuple[Any, ...]  #: the fields of `table.Row`, numbers as they are written

# a longer number is part of the record's name, as in code_15_438277.mat
_SEGMENT_SUFFIX = re.compile(r"(.+)_(\d{1,3})")


def split_mat_name(path: str) -> tuple[str, int]:
    """Record name and segment number of a file: `sub/A0001_1.mat` is segment 1 of `sub/A0001`."""
    stem = path[:-4] if path.lower().endswith(".mat") else path
    match = _SEGMENT_SUFFIX.fullmatch(stem)
    return (match[1], int(match[2])) if match else (stem, 0)


def file_items(rows: Fields, group: str) -> Iterator[Item]:
    """Of lines of `file, n_samples`, or of `file, n_samples, class`.

    Args:
        group: `train` or `valid`; classes are counted anew in each, and gallery and probe share theirs.
    """
    for path, n_samples, *target in rows:
        record, segment = split_mat_name(path)
        patient = f"{group}/{target[0]}" if target else record
        yield path, n_samples, record, patient, segment, "".join(target)


def cmsc_items(rows: Fields, extension: str) -> Iterator[Item]:
    """Of lines of `record, n_samples, lead, k,k`: segments of a line are a pair, whatever their numbers."""
    listed: Counter[str] = Counter()  # segments of a record so far: a record may have several lines
    for stem, n_samples, _lead, segments in rows:
        for place, number in enumerate(segments.split(","), start=listed[stem] + listed[stem] % 2):
            yield f"{stem}_{number}.{extension}", n_samples, stem, stem, place, ""
        listed[stem] = place + 1
