"""MFER recordings (ISO 22077-1, Part 3-1 and 3-2 of MFER), read with ecgdatakit.

Tags with lengths and values in any byte order: sampling interval and resolution, channels with codes of their
leads, and frames of samples in blocks. Compressed frames are not read.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from fairseq_signals.ecg.record import Record
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.common import file_name, of_another_format, read_bytes
from fairseq_signals.formats.limits import require_size
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parsed import parse, parser, record_of

_MFER: Any = parser("mfer", "MFERParser", "MFER")
_FILE_BYTES = 2**30  # which the library reads at once, and makes 64 bits of each sample
_DOMINANT_BEAT = 9  # type of waveform
_CUT = re.compile("shorter than the frame|no waveform data")


def read_mfer(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of an MFER file; frames that follow each other are joined, dominant beats not read."""
    record_id = file_name(path) if record_id is None else record_id
    if not _MFER.can_parse(path, read_bytes(record_id, path, 4096)):
        raise of_another_format(record_id, path, "an MFER file")
    require_size(record_id, path.name, path.stat().st_size, _FILE_BYTES)
    parsed, notes = parse(_MFER, path, record_id)
    cut = next(filter(_CUT.search, notes), None)
    if cut is not None:
        raise SignalError(
            f"record {record_id}: {path.name} is truncated ({cut}). Export or download it again.",
            kind="truncated",
        )
    if not parsed.leads:
        raise SignalError(
            f"record {record_id}: {path.name} holds dominant beats alone. Export it with the recording.",
            kind="without a waveform",
        )
    _require_continuous(parsed.raw_metadata["frames"], record_id, path)
    rates = parsed.raw_metadata["sampling_rates"]
    for lead, rate in zip(parsed.leads, rates):
        lead.sampling_rate = rate  # which the library rounds to whole numbers
    return record_of(parsed, float(max(rates)), record_id, options, notes)


def _require_continuous(frames: list[dict[str, Any]], record_id: str, path: Path) -> None:
    """Refuse frames of a recording between which time is missing, as their pointers say."""
    rhythm = [frame for frame in frames if frame["waveform_type"] != _DOMINANT_BEAT]
    for before, after in pairwise(rhythm):
        end = before["pointer"] + before["samples"]
        if after["pointer"] != end:
            raise SignalError(
                f"record {record_id}: {path.name} is discontinuous: a frame begins at sample "
                f"{after['pointer']} where the one before it ends at {end}. Export its stretches as files of "
                f"their own.",
                kind="of an unsupported kind",
            )
