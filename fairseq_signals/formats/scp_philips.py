"""SCP-ECG and Philips XML, read with ecgdatakit, which knows their compressions.

Of SCP-ECG (EN 1064, ISO 11073-91064) it reads the rhythm data of section 6: amplitudes, first and second
differences, the default and other Huffman tables, and the subtraction of reference beats. Data that were
decimated between beats ("bimodal") and long-term recordings (section 12) are not read.
"""

from __future__ import annotations

import base64
import struct
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.record import LeadNote, Record, parse_age
from fairseq_signals.formats.common import damage_refused, file_name, of_another_format, read_bytes
from fairseq_signals.formats.library_limits import require_scp, require_xli
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parsed import (
    channels_of,
    parse,
    parser,
    record_of,
    report_of,
    subject_of,
    with_checksum,
)
from fairseq_signals.formats.parts import Part, assemble_parts

_HEAD = 65536  # bytes, in which the section on the patient ends
_POINTERS, _SECTION_HEADER, _LAST_TAG = 22, 16, 255
_AGE_UNITS = {1: "years", 2: "months", 3: "weeks", 4: "days", 5: "hours"}
_SCP: Any = parser("scp_ecg", "SCPECGParser", "SCP-ECG")
_PHILIPS: Any = parser("sierra_xml", "SierraXMLParser", "Philips XML")


def read_scp(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the rhythm data of an SCP-ECG file."""
    record_id = file_name(path) if record_id is None else record_id
    head = read_bytes(record_id, path, _HEAD)
    if not _SCP.can_parse(path, head):
        raise of_another_format(record_id, path, "an SCP-ECG file")
    with damage_refused(record_id, f"{path.name} is damaged"):
        require_scp(read_bytes(record_id, path))
    parsed, notes = parse(_SCP, path, record_id)
    fs = float(np.round(1e6 / parsed.raw_metadata["rhythm_sample_interval_us"], 6))
    by_time: dict[tuple[float, int], list[Any]] = {}
    for lead in parsed.leads:
        start = int(lead.annotations.get("start_sample", 1)) - 1
        by_time.setdefault((start / fs, len(lead.samples)), []).append(lead)
    parts = []
    for (start_s, n_samples), leads in by_time.items():
        names = [lead.label for lead in leads]
        parts.append(Part(", ".join(names), names, fs, n_samples, partial(channels_of, leads, fs), start_s))
    subject, report = subject_of(parsed), report_of(parsed)
    record = assemble_parts(record_id, parts, "groups of leads", subject, report, notes, options)
    age = parse_age(_stated_age(head))
    if age is not None:
        record = replace(record, subject=replace(record.subject, age=age))
    return with_checksum(record, parsed)


def read_philips_xml(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of a Philips XML file (SierraECG 1.03, PhilipsECG 1.04), compressed or not.

    The calibration pulse that carts put at the end, the same in all leads, is cut off.
    """
    from fairseq_signals.formats.xml import parse_xml

    record_id = file_name(path) if record_id is None else record_id
    repairs: list[str] = []
    root = parse_xml(path, record_id, "restingecgdata", "a Philips XML file", repairs)
    with damage_refused(record_id, f"{path.name} is damaged"):
        require_xli(root)
        content = _tidy(root)
    with tempfile.TemporaryDirectory() as folder:  # the library takes files only, and none that are repaired
        whole = Path(folder, path.name)
        whole.write_bytes(content)
        parsed, notes = parse(_PHILIPS, whole, record_id)
    fs = float(max((lead.sampling_rate for lead in parsed.leads), default=0))
    _cut_calibration(parsed.leads, fs)
    record = record_of(parsed, fs, record_id, options, [*repairs, *notes])
    return replace(record, ignored=(*record.ignored, *_beyond(root, len(parsed.leads))))


def _tidy(root: Any) -> bytes:
    """A Philips file in UTF-8, its base64 in whole groups."""
    from fairseq_signals.formats.xml import decode_base64, to_bytes

    for element in root.iter("parsedwaveforms"):
        if element.get("dataencoding") == "Base64":
            with suppress(ValueError):  # the library says what is wrong
                element.text = base64.b64encode(decode_base64(element.text or "")).decode()
    return to_bytes(root)


def _beyond(root: Any, n_leads: int) -> list[LeadNote]:
    """What a Philips file holds besides the leads that it announces."""
    first, *others = root.iter("parsedwaveforms")
    names = (first.get("leadlabels") or "").split()[n_leads:]
    return [
        *(LeadNote(name, f"the file says it has {n_leads} leads") for name in names),
        *(
            LeadNote(one.get("leadlabels") or "", "in further waveforms, of which the first is read")
            for one in others
        ),
    ]


def _stated_age(head: bytes) -> str:
    """The age with its unit, such as "18 months", of which ecgdatakit keeps whole years; "" where none is.

    EN 1064: section 0 has pointers (id, length, position from 1) to the others, section 1 tags; 4 is the age.
    """
    try:
        pointers = struct.iter_unpack("<HII", head[_POINTERS : _POINTERS + 10 * 12])
        at = next(position for number, _, position in pointers if number == 1) - 1 + _SECTION_HEADER
        while head[at] != _LAST_TAG:
            tag, length = struct.unpack_from("<BH", head, at)
            if tag == 4:
                value, unit = struct.unpack_from("<HB", head, at + 3)
                return f"{value} {_AGE_UNITS[unit]}" if value else ""
            at += 3 + length
    except (struct.error, StopIteration, IndexError, KeyError):
        pass  # ecgdatakit tells what is wrong with the file
    return ""


def _cut_calibration(leads: list, fs: float) -> None:
    """Take off the end of the leads, in place, where at least 0.2 s of it are the same in at least three."""
    lengths = {len(lead.samples) for lead in leads}
    if len(leads) < 3 or len(lengths) > 1:
        return
    samples = np.stack([np.asarray(lead.samples) * lead.resolution for lead in leads])  # (L, T)
    differ = np.flatnonzero((samples != samples[0]).any(axis=0))
    n_kept = int(differ[-1]) + 1 if len(differ) else 0
    if n_kept and samples.shape[1] - n_kept >= 0.2 * fs:
        for lead in leads:
            lead.samples = lead.samples[:n_kept]
