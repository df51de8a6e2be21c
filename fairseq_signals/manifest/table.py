"""Manifests: TSV files that name the segments a model sees. The format is specified in `manifests/README.md`.

Line 1 is the root, each further line one segment. Three layouts of the authors' preprocessing (one `.mat`
file a segment) are read as well, so that their data can be used without preprocessing them again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.errors import ManifestError
from fairseq_signals.files import open_text
from fairseq_signals.manifest.authors_layout import cmsc_items, file_items
from fairseq_signals.manifest.info import require_complete
from fairseq_signals.manifest.people import patient_key
from fairseq_signals.manifest.places import PlacesInStores
from fairseq_signals.safety.text import visible

# layouts: ours, and the three of the authors' scripts
STORE = "store"
MAT = "mat"
MAT_IDENTIFICATION = "mat_identification"
MAT_CMSC = "mat_cmsc"

_REBUILD = "Rebuild it with the scripts in manifests/."
_TEXT, _COUNT, _INDEX = r"[^\t\n\r\ud800-\udfff]+", r"[1-9]\d{0,17}", r"\d{1,18}"
_INDICES = rf"(?:{_INDEX}(?:,{_INDEX})*)"
_NUMBER = r"-?\d{1,18}(?:\.\d{1,22})?(?:e[+-]?\d{1,3})?"
_NUMBERS = rf"(?:{_NUMBER}(?:,{_NUMBER})*)"

# per layout and column: (name, pattern, what a value must be)
_FILE, _LENGTH = ("path", _TEXT, "a file name"), ("n_samples", _COUNT, "a positive integer")
_FIELDS = {
    STORE: (
        ("path", _TEXT + r"#\d{1,18}:\d{1,18}", "`<shard>#<row>:<start>`"),
        _LENGTH,
        ("record_id", _TEXT, "a name"),
        ("patient_id", _TEXT, "a name"),
        ("segment", _INDEX, "an integer from 0"),
        ("target", f"{_NUMBERS}?", "empty, or class indices (or numbers) joined with commas"),
    ),
    MAT: (_FILE, _LENGTH),
    MAT_IDENTIFICATION: (_FILE, _LENGTH, ("class", _INDEX, "an integer from 0")),
    MAT_CMSC: (
        ("stem", _TEXT, "a file name without its segment number"),
        _LENGTH,
        ("lead", _INDEX, "an integer from 0"),
        ("segments", _INDICES, "segment numbers joined with commas"),
    ),
}
_LAYOUT_OF_WIDTH = {len(fields): layout for layout, fields in _FIELDS.items()}
_LINE = {
    layout: re.compile("^" + r"\t".join(f"({pattern})" for _, pattern, _ in fields) + "$", re.MULTILINE)
    for layout, fields in _FIELDS.items()
}


class Row(NamedTuple):
    """One line of a manifest.

    Args:
        path: `<shard>#<row>:<start>` relative to the root, or a `.mat` file of the authors' preprocessing.
        n_samples: length of the segment, in samples per lead.
        record_id: `<source>/<record>`; for `.mat` files their path without segment number and suffix.
        patient_id: `<source>/<patient>`, or `<source>/record/<record>` where the corpus names no patients.
        segment: 0-based index of the segment within its record; 2k and 2k + 1 are a CMSC pair.
        target: class indices, or the numbers of a regression, joined with commas; empty where there are none.
    """

    path: str
    n_samples: int
    record_id: str
    patient_id: str
    segment: int
    target: str = ""


@dataclass(frozen=True)
class Manifest:
    """The columns of one manifest file; see `Row` for their meaning.

    Args:
        path: the manifest file.
        root: the folder that the paths are relative to, absolute.
        layout: "store", or "mat", "mat_identification", "mat_cmsc" for the authors' formats.
    """

    path: Path
    root: Path
    layout: str = STORE
    paths: list[str] = field(default_factory=list)
    n_samples: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    record_ids: list[str] = field(default_factory=list)
    patient_ids: list[str] = field(default_factory=list)
    segments: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    targets: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self) -> Iterator[Row]:
        """The manifest line by line."""
        columns = (self.paths, self.n_samples.tolist(), self.record_ids, self.patient_ids)
        return map(Row, *columns, self.segments.tolist(), self.targets)

    def counts(self) -> dict[str, int]:
        """How many segments, records and patients are listed."""
        names = {"records": self.record_ids, "patients": self.patient_ids}
        return {"segments": len(self), **{what: len(set(column)) for what, column in names.items()}}

    def patient_of(self) -> dict[str, str]:
        """The patient of each record; in the authors' plain and CMSC formats, the record stands in."""
        if self.layout in (MAT, MAT_CMSC):
            return {record: patient_key("", record, None) for record in self.record_ids}
        return dict(zip(self.record_ids, self.patient_ids))

    def shards(self) -> list[str]:
        """The distinct shards of a store manifest, or the `.mat` files of the authors' formats, in order."""
        if self.layout != STORE:
            return list(dict.fromkeys(self.paths))
        return list(dict.fromkeys(path[: path.rindex("#")] for path in self.paths))


def concatenate(*manifests: Manifest) -> Manifest:
    """One manifest with the items of several of one layout and root, in order.

    Raises:
        ManifestError: where layouts or roots differ.
    """
    first = manifests[0]
    for other in manifests[1:]:
        if (other.layout, other.root) != (first.layout, first.root):
            raise ManifestError(
                f"{other.path}: layout {other.layout!r} under {other.root} cannot be read together with "
                f"{first.path}: {first.layout!r} under {first.root}. {_REBUILD}"
            )
    return Manifest(
        first.path,
        first.root,
        first.layout,
        [path for m in manifests for path in m.paths],
        np.concatenate([m.n_samples for m in manifests]),
        [record for m in manifests for record in m.record_ids],
        [patient for m in manifests for patient in m.patient_ids],
        np.concatenate([m.segments for m in manifests]),
        [target for m in manifests for target in m.targets],
    )


def read_manifest(path: str | os.PathLike[str], check_files: bool = True) -> Manifest:
    """Read a manifest of ours or of the authors' scripts.

    Args:
        path: the `.tsv` file.
        check_files: also require the root and every shard (of `.mat` files: the first one) to exist, and
            every record to be where the manifest says.

    Raises:
        ManifestError: with file and line, where the file is absent, malformed, or names what does not exist;
            or the manifests of its folder were not all written.
        StoreError: a store cannot be read.
    """
    path = Path(path)
    text = _read_text(path)
    require_complete(path.parent)
    if not text.strip():
        raise ManifestError(f"{path}:1: the file is empty; line 1 must name the root folder. {_REBUILD}")
    first, _, body = text.rstrip("\n").partition("\n")
    root = Path(os.path.normpath(path.absolute().parent / first.strip()))
    if not first.strip() or visible(first) != first:
        raise ManifestError(f"{path}:1: the first line must be the root folder, but is {first!r}. {_REBUILD}")
    if check_files and not root.is_dir():
        raise ManifestError(
            f"{path}:1: the root folder {root} does not exist. If the data have moved, name it there."
        )
    layout, extension, body, first_line = _detect_layout(path, body)
    rows = _LINE[layout].findall(body)
    if len(rows) != (body.count("\n") + 1 if body else 0):
        lines = enumerate(body.split("\n"), start=first_line)
        number, line = next((n, line) for n, line in lines if not _LINE[layout].fullmatch(line))
        raise ManifestError(f"{path}:{number}: {_fault(layout, line)}. {_REBUILD}")
    if layout == MAT_CMSC:
        rows = list(cmsc_items(rows, extension))
    elif layout != STORE:
        rows = list(file_items(rows, group=path.stem.split("_")[0]))
    paths, n_samples, records, patients, segments, targets = map(list, zip(*rows)) if rows else [[]] * 6
    lengths, numbers = (np.array(list(map(int, column)), np.int64) for column in (n_samples, segments))
    manifest = Manifest(path, root, layout, paths, lengths, records, patients, numbers, targets)
    if check_files:
        _require_files(manifest)
        if layout == STORE:
            _require_records(manifest)
    return manifest


def format_manifest(root: str | os.PathLike[str], rows: Iterable[Row]) -> Iterator[str]:
    """The lines of a manifest file, each with its newline.

    Raises:
        ManifestError: where a value would break the format, such as a tab in a record's name.
    """
    if visible(os.fspath(root)) != os.fspath(root):
        raise ManifestError(f"cannot write the folder {str(root)!r} to a manifest; rename it")
    yield f"{os.fspath(root)}\n"
    fits = _LINE[STORE].fullmatch
    for row in rows:
        line = f"{row[0]}\t{row[1]}\t{row[2]}\t{row[3]}\t{row[4]}\t{row[5]}"
        if not fits(line):
            raise ManifestError(f"cannot write record {row.record_id!r} to a manifest: {_fault(STORE, line)}")
        yield line + "\n"


def _read_text(path: Path) -> str:
    try:
        with open_text(path) as file:
            return file.read()
    except FileNotFoundError:
        present = sorted(file.name for file in path.parent.glob("*.tsv")) if path.parent.is_dir() else []
        there = (
            f"The folder has: {', '.join(present)}." if present else "Make it with the scripts in manifests/."
        )
        raise ManifestError(f"{path}: there is no such manifest. {there}") from None
    except NotADirectoryError:
        raise ManifestError(f"{path.parent} is a file; name the folder of the manifests") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise ManifestError(f"{path}: not a text file ({error}). {_REBUILD}") from None
    except OSError as error:
        raise ManifestError(f"{path}: the manifest cannot be read ({error.strerror})") from error


def _detect_layout(path: Path, body: str) -> tuple[str, str, str, int]:
    """Layout, extension (CMSC only), the item lines, and the number of the first item line."""
    line, _, rest = body.partition("\n")
    width = line.count("\t") + 1
    if not body:
        return STORE, "", "", 2
    # the authors' CMSC manifests name the extension of the files in a line of its own
    if line.strip().lower().lstrip(".") == "mat":
        return MAT_CMSC, line.strip().lstrip("."), rest, 3
    if width not in (len(_FIELDS[STORE]), 2, 3):
        raise ManifestError(f"{path}:2: {_width_fault(STORE, width)}. {_REBUILD}")
    return _LAYOUT_OF_WIDTH[width], "", body, 2


def _width_fault(layout: str, width: int) -> str:
    names = [name for name, _, _ in _FIELDS[layout]]
    return f"expected {len(names)} tab-separated fields ({', '.join(names)}), found {width}"


def _fault(layout: str, line: str) -> str:
    """What is wrong with a line that does not fit its layout."""
    values = line.split("\t")
    if len(values) != len(_FIELDS[layout]):
        return _width_fault(layout, len(values))
    for value, (name, pattern, must_be) in zip(values, _FIELDS[layout]):
        if not re.fullmatch(pattern, value):
            return f"{name} must be {must_be}, but is {value!r} instead"
    raise AssertionError(f"no fault in {line!r}")


def _require_files(manifest: Manifest) -> None:
    names = manifest.shards()
    for name in names if manifest.layout == STORE else names[:1]:
        if not (manifest.root / name).is_file():
            offset = next(i for i, path in enumerate(manifest.paths) if path.startswith(name))
            line = offset + 2 if manifest.layout != MAT_CMSC else 3
            raise ManifestError(
                f"{manifest.path}:{line}: {manifest.root / name} does not exist. If the data have moved, "
                "change the root in line 1; else rebuild the manifest from the store as it is now."
            )


def _require_records(manifest: Manifest) -> None:
    """Refuse a manifest of a store that was built anew since: its rows would be of other records."""
    found, _ = PlacesInStores().find(manifest.root, manifest.paths)
    same = pc.fill_null(pc.equal(found, pa.array(manifest.record_ids, pa.string())), False)
    wrong = np.flatnonzero(~same.to_numpy())
    if len(wrong):
        i = int(wrong[0])
        there, n = found[i].as_py() or "no record", f"{len(wrong):,} of {len(manifest):,}"
        raise ManifestError(
            f"{manifest.path}:{i + 2}: {manifest.paths[i]} is {there} in the store, but "
            f"{manifest.record_ids[i]} in the manifest ({n} rows differ). The store was built anew since: "
            "make the manifests from it again."
        )
