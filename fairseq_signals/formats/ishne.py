"""ISHNE Holter recordings, read with ecgdatakit.

Layout: F. Badilini, "The ISHNE Holter Standard Output File Format", Ann Noninvasive Electrocardiol 3(3),
1998. A header of 522 bytes, a block of comments, then 16-bit samples of 1 to 12 leads in turn, each lead with
a code and a resolution in nV. -32768 stands for a lead fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq_signals.ecg.record import Record
from fairseq_signals.formats.common import file_name, of_another_format, read_bytes, truncated
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parsed import parse, parser, record_of

_ISHNE: Any = parser("ishne_holter", "ISHNEHolterParser", "ISHNE Holter")
_LEAD_FAULT = -32768


def read_ishne(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of an ISHNE Holter file.

    Leads of the codes "unknown" and "generic bipolar" are called "Lead 1" and so on by their place.
    """
    record_id = file_name(path) if record_id is None else record_id
    if not _ISHNE.can_parse(path, read_bytes(record_id, path, 8)):
        raise of_another_format(record_id, path, "an ISHNE Holter file")
    parsed, notes = parse(_ISHNE, path, record_id)
    announced, available = parsed.raw_metadata["ecg_size"], parsed.raw_metadata["samples_per_lead"]
    if announced > available and announced != available * len(parsed.leads):  # some count all leads
        raise truncated(record_id, path, announced, available)
    if announced != available:
        notes.append(f"its header announces {announced} samples, it holds {available} of each lead")
    return record_of(parsed, float(parsed.leads[0].sampling_rate), record_id, options, notes, _LEAD_FAULT)
