"""Recordings of the Kardia API of AliveCor (JSON of KardiaMobile and KardiaMobile 6L), read with ecgdatakit.

`data.raw` and `data.enhanced` hold the signal without and with AliveCor's filter: `frequency` in Hz,
`amplitudeResolution` in nV, and `samples` by lead (https://developers.kardia.com).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq_signals.ecg.record import Record
from fairseq_signals.formats.common import file_name, of_another_format, read_bytes
from fairseq_signals.formats.limits import HEADER_BYTES, require_size
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parsed import parse, parser, record_of
from fairseq_signals.formats.signatures import HEAD, format_of

_KARDIA: Any = parser("alivecor_kardia", "AliveCorKardiaParser", "Kardia JSON")


def read_kardia_json(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the unfiltered signal; what AliveCor's algorithm determined is the report."""
    record_id = file_name(path) if record_id is None else record_id
    found = format_of(read_bytes(record_id, path, HEAD))
    if found is None or found.reader != "kardia_json":
        raise of_another_format(record_id, path, "a Kardia JSON file")
    require_size(
        record_id, path.name, path.stat().st_size, HEADER_BYTES
    )  # 16 MiB: of minutes, whatever its leads
    parsed, notes = parse(_KARDIA, path, record_id)
    if parsed.leads_enhanced:
        notes.append("read is the unfiltered signal (raw), not the filtered one (enhanced)")
    return record_of(parsed, float(parsed.leads[0].sampling_rate), record_id, options, notes)
