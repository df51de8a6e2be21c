"""Files in a folder that can be recordings, told from those of the same suffix that are something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fairseq_signals.ecg.leads import leads_of
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.apple_watch import find_header
from fairseq_signals.formats.compressed import first_bytes, inner_path
from fairseq_signals.formats.detect import SUFFIXES, SUFFIXES_OF, is_recording
from fairseq_signals.formats.folder import FoundRecord, iter_records
from fairseq_signals.formats.text_layout import find_layout, first_lines, to_utf8

_HEAD = 2**16
_ABOUT_RECORDS = "record"  #: column of the tables that embed and predict write


def iter_candidates(root: Path) -> Iterator[FoundRecord]:
    """Every file below a folder that can be a recording, whatever its format; see `iter_records`."""
    return (found for found in iter_records(root, SUFFIXES, is_recording) if may_hold_samples(found.path))


def may_hold_samples(path: Path) -> bool:
    """Whether a file that a folder holds can be a recording.

    Of texts (CSV, TXT) those are that begin with a table of numbers; a table whose first column is text and
    that names no lead, notes and lists are not. Of arrays all but results of this package. Files of other
    suffixes are recordings, or reading them tells why not.
    """
    suffix = inner_path(path).suffix.lower()
    try:
        if suffix in SUFFIXES_OF["number_table"]:
            return _is_table(first_bytes(path, _HEAD))
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            return _ABOUT_RECORDS not in pq.read_schema(path).names
    except (OSError, ValueError, SignalError):  # reading it tells why
        return True
    return suffix != ".npy" or not path.with_name(f"{path.name}.records.csv").is_file()


def _is_table(head: bytes) -> bool:
    lines = first_lines(to_utf8(head))
    if find_header(lines) is not None:
        return True
    layout = find_layout(lines)
    if layout is None:
        return False
    of_numbers = layout.by_rows or "text" not in layout.kinds
    return of_numbers or any(leads_of(layout.names))
