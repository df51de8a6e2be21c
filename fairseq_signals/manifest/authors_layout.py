"""The manifest layouts of the authors' scripts: one `.mat` file a segment, named `<record>_<k>.mat`.

They say nothing about patients; a record stands in for one, or in identification manifests the class.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

Fields = Sequence[tuple[str, ...]]
#: paths, n_samples, record_ids, patient_ids, segments, targets
Columns = tuple[list[str], list[int], list[str], list[str], list[int], list[str]]

# a longer number is part of the record's name, as in code_15_438277.mat
_SEGMENT_SUFFIX = re.compile(r"(.+)_(\d{1,3})")


def split_mat_name(path: str) -> tuple[str, int]:
    """Record name and segment number of a file: `sub/A0001_1.mat` is segment 1 of `sub/A0001`."""
    stem = path[:-4] if path.lower().endswith(".mat") else path
    match = _SEGMENT_SUFFIX.fullmatch(stem)
    return (match[1], int(match[2])) if match else (stem, 0)


def plain_columns(rows: Fields) -> Columns:
    """Lines of `file, n_samples`."""
    names = [split_mat_name(row[0]) for row in rows]
    records = [record for record, _ in names]
    segments = [segment for _, segment in names]
    return (
        [row[0] for row in rows],
        [int(row[1]) for row in rows],
        records,
        records,
        segments,
        [""] * len(rows),
    )


def identification_columns(rows: Fields, group: str) -> Columns:
    """Lines of `file, n_samples, class`.

    Args:
        group: `train` or `valid`; classes are counted anew in each, and gallery and probe share theirs.
    """
    paths, n_samples, records, _, segments, _ = plain_columns(rows)
    targets = [row[2] for row in rows]
    return paths, n_samples, records, [f"{group}/{target}" for target in targets], segments, targets


def cmsc_columns(rows: Fields, extension: str) -> Columns:
    """Lines of `record, n_samples, lead, k,k`: the segments of a line are a pair, whatever their numbers."""
    paths: list[str] = []
    records: list[str] = []
    lengths: list[int] = []
    positions: list[int] = []
    listed: dict[str, int] = defaultdict(int)  # segments of a record so far: a record may have several lines
    for stem, n_samples, _lead, segments in rows:
        numbers = segments.split(",")
        first = listed[stem] + listed[stem] % 2
        listed[stem] = first + len(numbers)
        paths += [f"{stem}_{number}.{extension}" for number in numbers]
        records += [stem] * len(numbers)
        lengths += [int(n_samples)] * len(numbers)
        positions += range(first, listed[stem])
    return paths, lengths, records, records, positions, [""] * len(paths)
