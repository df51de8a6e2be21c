"""A multiplex group of a DICOM waveform object: its channels, their names, samples and times.

Attributes are those of the Waveform module, DICOM PS3.3 C.10.9; pydicom parses the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.leads import LEADS, lead_of
from fairseq_signals.ecg.units import millivolt_per
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel
from fairseq_signals.formats.common import malformed, truncated
from fairseq_signals.formats.parts import Part

# Leads by code: CID 3001 of PS3.16 (MDC) and the codes of SCP-ECG, of which these are the last number.
_LEAD_OF_CODE = {
    **{number: lead for number, lead in zip((1, 2, 61, 62, 63, 64), LEADS[:6])},
    **{number: lead for number, lead in zip(range(3, 9), LEADS[6:])},
    65: "-aVR",
}
#: Where a code is one of these: in the scheme of that name, "" where the file names none. Some write the
#: number alone, or that of MDC with its partition in the upper 16 bits.
_CODE = {
    "MDC": re.compile(r"(?:2:)?(\d+)"),
    "": re.compile(r"2:(\d+)"),
    "SCPECG": re.compile(r"(?:5\.6\.3-9-)?(\d+)"),
}
_MDC_PARTITION = 2
_NEGATED = re.compile(r"neg|inv|minus|-", re.IGNORECASE)
#: numpy's type by bits allocated and sample interpretation.
_TYPES = {
    **{(8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2"},
    **{(32, "SL"): "i4", (32, "UL"): "u4", (64, "SV"): "i8", (64, "UV"): "u8"},
}
_COMPANDED = {"MB": " (mu-law)", "AB": " (A-law)"}
_FIELDS = (
    "ChannelDefinitionSequence",
    "NumberOfWaveformSamples",
    "SamplingFrequency",
    "WaveformBitsAllocated",
    "WaveformData",
)


class Group:
    """A multiplex group.

    Args:
        label: what it is called in messages.
        item: of the waveform sequence.
        is_big_endian: how the file stores numbers; pydicom leaves those of waveforms as they are.
        record_id, path: for messages.
        notes: takes what is to be said of its samples, a sentence each.
    """

    def __init__(
        self, label: str, item: Any, is_big_endian: bool, record_id: str, path: Path, notes: list[str]
    ) -> None:
        self.label, self.item, self.record_id, self.path, self.notes = label, item, record_id, path, notes
        self.order = ">" if is_big_endian else "<"
        self.definitions: list[Any] = list(item.get("ChannelDefinitionSequence") or ())
        if self.definitions:
            undefined = int(item.get("NumberOfWaveformChannels") or 0) - len(self.definitions)
            self.definitions += [{}] * undefined
        self.fs = float(item.get("SamplingFrequency") or 0.0)

    def parts(self) -> list[Part]:
        """Its channels by when they begin: a group of its own for each number of samples of skew."""
        at: dict[int, list[int]] = {}
        for position, definition in enumerate(self.definitions):
            at.setdefault(self._skew(definition), []).append(position)
        names = [_lead_name(one, n) for n, one in enumerate(self.definitions, 1)]
        n_samples = int(self.item.get("NumberOfWaveformSamples") or 0)
        offset_ms = self.item.get("MultiplexGroupTimeOffset")
        original = self.item.get("WaveformOriginality") != "DERIVED"
        parts = []
        for skew, positions in at.items():
            is_told = offset_ms is not None or len(at) > 1
            start_s = float(offset_ms or 0) / 1000 + (skew / self.fs if skew else 0.0) if is_told else None
            read = partial(self._channels, positions, names)
            here = [names[position] for position in positions]
            parts.append(Part(self.label, here, self.fs, n_samples, read, start_s, original))
        return parts

    def _skew(self, definition: Any) -> int:
        """By how many samples a channel begins after its group."""
        seconds = definition.get("ChannelTimeSkew")
        samples = float(definition.get("ChannelSampleSkew") or 0.0)
        return round(samples if seconds is None else float(seconds) * self.fs) if self.fs else 0

    def _channels(self, positions: Sequence[int], names: Sequence[str]) -> list[Channel]:
        return [self._channel(position, names[position]) for position in positions]

    def _channel(self, position: int, name: str) -> Channel:
        definition = self.definitions[position]
        values = self._signed(name, self.samples[:, position], int(definition.get("WaveformBitsStored") or 0))
        if float(definition.get("ChannelOffset") or 0.0):
            self.notes.append(f"{name}: its ChannelOffset of {definition.ChannelOffset} is not applied")
        codes = definition.get("ChannelSensitivityUnitsSequence")
        units = [str(codes[0].get(key, "")) for key in ("CodeValue", "CodeMeaning")] if codes else [""]
        unit = next(filter(millivolt_per, units), units[0])
        step = definition.get("ChannelSensitivity")
        if step is not None:
            correction = definition.get("ChannelSensitivityCorrectionFactor")
            step = float(step) * (1.0 if correction is None else float(correction))
        offset = float(definition.get("ChannelBaseline") or 0.0)
        channel = Channel.in_unit(name, values, step, unit, offset)
        return channel._replace(missing=self._padding())

    @cached_property
    def samples(self) -> np.ndarray:
        """As they are stored, (samples, channels)."""
        missing = [name for name in _FIELDS if name not in self.item]
        if missing:
            raise malformed(self.record_id, self.path, f"{self.label} has no {', '.join(missing)}")
        n_samples, n_defined = int(self.item.NumberOfWaveformSamples), len(self.definitions)
        n_channels = int(self.item.get("NumberOfWaveformChannels") or n_defined)
        if n_channels < n_defined:
            what = f"{self.label} defines {n_defined} channels, but has {n_channels}"
            raise malformed(self.record_id, self.path, what)
        values = self._array(self.item.WaveformData, self.item["WaveformData"].VR)
        available = len(values) // n_channels
        if available < n_samples or n_samples == 0:
            raise truncated(self.record_id, self.path, n_samples, available)
        return values[: n_samples * n_channels].reshape(n_samples, n_channels)

    @cached_property
    def _type(self) -> np.dtype:
        bits, kind = int(self.item.WaveformBitsAllocated), str(self.item.get("WaveformSampleInterpretation"))
        if (bits, kind) not in _TYPES:
            raise SignalError(
                f"record {self.record_id}: samples of {bits} bits in {kind}{_COMPANDED.get(kind, '')} cannot "
                f"be read. Export it as 16-bit integers.",
                kind="of an unsupported kind",
            )
        return np.dtype(self.order + _TYPES[bits, kind])

    def _array(self, data: bytes, vr: str) -> np.ndarray:
        """The numbers in the bytes of an element, in the order of this machine."""
        stored = self._type
        if stored.itemsize == 1 and vr == "OW" and self.order == ">":  # bytes of words
            data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
        values = np.frombuffer(data[: len(data) // stored.itemsize * stored.itemsize], stored)
        return values.astype(stored.newbyteorder("="), copy=False)

    def _padding(self) -> int | None:
        """The value that stands where there is no sample, if the file names one."""
        padding = self.item.get("WaveformPaddingValue")
        if isinstance(padding, bytes):
            values = self._array(padding, self.item["WaveformPaddingValue"].VR)
            return int(values[0]) if len(values) else None
        return padding if isinstance(padding, int) else None

    def _signed(self, name: str, values: np.ndarray, n_bits: int) -> np.ndarray:
        """The samples of a channel; some writers do not repeat the sign of fewer bits in those above."""
        if values.dtype.kind != "i" or not 1 < n_bits < 8 * values.dtype.itemsize:
            return values
        half = 2 ** (n_bits - 1)
        if values.min() < 0 or not half <= values.max() < 2 * half:
            return values
        signed = (values + half) % (2 * half) - half
        if np.ptp(signed) >= np.ptp(values):
            return values  # around the middle of its range, which is its 0
        self.notes.append(f"{name}: the sign of its {n_bits}-bit samples is taken from the highest of them")
        return signed


def _lead_name(definition: Any, number: int) -> str:
    """The name of a channel: from its code where that is known, else from what says a lead."""
    said: list[str] = []
    for source in definition.get("ChannelSourceSequence") or ():
        scheme, value = (str(source.get(key, "")).strip() for key in ("CodingSchemeDesignator", "CodeValue"))
        pattern = _CODE.get(scheme.upper())
        code = pattern.fullmatch(value) if pattern else None
        partition, last = divmod(int(code[1]), 2**16) if code else (0, 0)
        if partition in (0, _MDC_PARTITION) and last in _LEAD_OF_CODE:
            return _LEAD_OF_CODE[last]
        meaning = str(source.get("CodeMeaning", ""))
        plain = re.split(r"[(,]", meaning)[0].strip()  # "Lead I (Einthoven)", "aVR, augmented voltage, right"
        said += [meaning, *([] if _NEGATED.search(meaning[len(plain) :]) else [plain]), value]
    said.insert(1, str(definition.get("ChannelLabel") or ""))
    return next(filter(lead_of, said), None) or next(filter(str.strip, said), f"channel {number}")
