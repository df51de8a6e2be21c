"""AliveCor ATC files (KardiaMobile, KardiaMobile 6L, 12 leads), as their maker describes them.

Layout: "ATC File Format Specification 1.7", https://github.com/alivecor/ATCpy. After a signature and a
version follow blocks: a name of four letters, the length of the data, the data, and a checksum of all three;
little endian. `fmt ` gives sampling rate and resolution, `ecg ` and `ecg2` to `ecgc` are leads of 16 bits.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.record import LeadNote, Record
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel, assemble
from fairseq_signals.formats.common import file_name, malformed, of_another_format, read_bytes
from fairseq_signals.formats.limits import TEXT_BYTES
from fairseq_signals.formats.options import DEFAULTS, ReadOptions

_SIGNATURE = b"ALIVE\0\0\0"
_BEGIN = 12  # signature and version
_LEAD_OF = dict(zip((b"ecg ", *(b"ecg" + bytes([letter]) for letter in b"23456789abc")), LEADS))
_INT16 = 1  # the only format of samples
_MV_PER_NV = 1e-6


class _Block(NamedTuple):
    name: bytes
    data: bytes
    is_whole: bool


def read_atc(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of an ATC file; its averaged beats, annotations and acceleration are not read."""
    record_id = file_name(path) if record_id is None else record_id
    data = read_bytes(record_id, path, at_most=TEXT_BYTES)
    if not data.startswith(_SIGNATURE):
        raise of_another_format(record_id, path, "an AliveCor ATC file")
    blocks = list(_blocks(data, record_id, path))
    formats = [block.data for block in blocks if block.name == b"fmt "]
    if not formats or len(formats[0]) < 6:
        raise malformed(record_id, path, "it has no format block (fmt), which gives rate and resolution")
    kind, fs, resolution_nv = struct.unpack_from("<BHH", formats[0])
    if kind != _INT16:
        raise SignalError(
            f"record {record_id}: {path.name} has samples of format {kind}; only 1 (16 bits) is known.",
            kind="of an unsupported kind",
        )
    channels, damaged = [], []
    for block in blocks:
        lead = _LEAD_OF.get(block.name)
        if lead is None:
            continue
        values = np.frombuffer(block.data[: len(block.data) // 2 * 2], "<i2")
        channels.append(Channel(lead, values, resolution_nv * _MV_PER_NV))
        if not block.is_whole:
            damaged.append(lead)
    record = assemble(record_id, float(fs), channels, options=options)
    wrong = "the checksum of its block does not agree"
    return replace(record, damaged=tuple(LeadNote(lead, wrong) for lead in damaged if lead in record.leads))


def _blocks(data: bytes, record_id: str, path: Path) -> Iterator[_Block]:
    position = _BEGIN
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise SignalError(
                f"record {record_id}: {path.name} is truncated: its block {name.decode('latin-1')!r} has "
                f"{length} bytes, of which {max(len(data) - position - 8, 0)} are there. Download it again.",
                kind="truncated",
            )
        checksum = struct.unpack_from("<I", data, end)[0]
        yield _Block(name, data[position + 8 : end], checksum in _checksums(data[position:end]))
        position = end + 4


def _checksums(block: bytes) -> tuple[int, int]:
    """That of the maker's software, the sum of all bytes, and that of its specification, CRC-32."""
    return sum(block) & 0xFFFFFFFF, zlib.crc32(block)
