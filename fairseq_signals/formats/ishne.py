"""ISHNE Holter recordings: the header read with ecgdatakit, the samples, which may be of days, in place.

Layout: F. Badilini, "The ISHNE Holter Standard Output File Format", Ann Noninvasive Electrocardiol 3(3),
1998. A header of 522 bytes, a block of comments, then 16-bit samples of 1 to 12 leads in turn, each lead with
a code and a resolution in nV. -32768 stands for a lead fault.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.record import Record
from fairseq_signals.formats.common import file_name, of_another_format, read_bytes, truncated
from fairseq_signals.formats.limits import HEADER_BYTES, require_length, require_size
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parsed import parse, parser, record_of

_ISHNE: Any = parser("ishne_holter", "ISHNEHolterParser", "ISHNE Holter")
_HEADER = 522  # bytes
_COMMENTS, _N_LEADS = slice(10, 14), slice(156, 158)  # of the header: size of the comments, number of leads
_LEAD_FAULT = -32768


def read_ishne(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of an ISHNE Holter file.

    Leads of the codes "unknown" and "generic bipolar" are called "Lead 1" and so on by their place.
    """
    record_id = file_name(path) if record_id is None else record_id
    head = read_bytes(record_id, path, _HEADER)
    if not _ISHNE.can_parse(path, head):
        raise of_another_format(record_id, path, "an ISHNE Holter file")
    parsed, notes, begin = _parse_header(head, path, record_id)
    n_leads = len(parsed.leads)
    fs, n_samples = float(parsed.leads[0].sampling_rate), (path.stat().st_size - begin) // 2
    require_length(record_id, n_samples, fs, options)
    samples = np.fromfile(path, "<i2", offset=begin)
    announced, available = parsed.raw_metadata["ecg_size"], len(samples) // n_leads
    if announced > available and announced != available * n_leads:  # some count the samples of all leads
        raise truncated(record_id, path, announced, available)
    if announced != available:
        notes.append(f"its header announces {announced} samples, it holds {available} of each lead")
    for lead, row in zip(parsed.leads, samples[: available * n_leads].reshape(available, n_leads).T):
        lead.samples = row
    return record_of(parsed, fs, record_id, options, notes, _LEAD_FAULT)


def _parse_header(head: bytes, path: Path, record_id: str) -> tuple[Any, list[str], int]:
    """What the library finds in a file of one sample, what it leaves out, and where the samples begin."""
    n_comments, n_leads = (
        int.from_bytes(head[place], "little", signed=True) for place in (_COMMENTS, _N_LEADS)
    )
    begin = _HEADER + max(n_comments, 0)
    require_size(record_id, f"the block of comments of {path.name}", begin, HEADER_BYTES)
    with tempfile.TemporaryDirectory() as folder:  # the library takes files, and makes 64 bits of 16
        short = Path(folder, path.name)
        short.write_bytes(read_bytes(record_id, path, begin + 2 * max(n_leads, 0)))
        parsed, notes = parse(_ISHNE, short, record_id)
    return parsed, notes, begin
