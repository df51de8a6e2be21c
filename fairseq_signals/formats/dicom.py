"""DICOM waveforms (12-lead ECG, general ECG, ambulatory ECG), read with pydicom.

Attributes are those of the Waveform module, DICOM PS3.3 C.10.9. An object may hold several multiplex groups:
of those that were recorded, the one with the most leads is read, and with it groups of other leads over the
same time; median beats and other averages are not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.leads import LEADS, lead_of
from fairseq_signals.ecg.record import Record, Subject, parse_age, parse_patient, parse_sex
from fairseq_signals.errors import SignalError, optional_library
from fairseq_signals.formats.assemble import Channel, assemble, require_leads
from fairseq_signals.formats.common import (
    age_between,
    damage_refused,
    file_name,
    malformed,
    of_another_format,
    read_failed,
    truncated,
)
from fairseq_signals.formats.options import DEFAULTS, ReadOptions

pydicom: Any = optional_library("pydicom", "DICOM", "formats")

# Leads by code: CID 3001 of PS3.16 (MDC) and the codes of SCP-ECG, of which these are the last number.
_LEAD_OF_CODE = {
    **{number: lead for number, lead in zip((1, 2, 61, 62, 63, 64), LEADS[:6])},
    **{number: lead for number, lead in zip(range(3, 9), LEADS[6:])},
}
_CODE = {"MDC": re.compile(r"2:(\d+)"), "SCPECG": re.compile(r"5\.6\.3-9-(\d+)")}
_AVERAGE = re.compile(r"median|average|mean beat|representative|template", re.IGNORECASE)
_FIELDS = (
    "ChannelDefinitionSequence",
    "NumberOfWaveformSamples",
    "SamplingFrequency",
    "WaveformBitsAllocated",
    "WaveformData",
)


def read_dicom(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of a DICOM waveform object."""
    record_id = file_name(path) if record_id is None else record_id
    what = f"{path.name} is not a whole DICOM file"
    with damage_refused(record_id, what, is_cut=lambda error: isinstance(error, EOFError)):
        try:
            return _read(pydicom.dcmread(path), record_id, path, options)
        except pydicom.errors.InvalidDicomError:
            raise of_another_format(record_id, path, "a DICOM file") from None
        except OSError as error:
            raise read_failed(record_id, path, error) from error


def _read(dataset: Any, record_id: str, path: Path, options: ReadOptions) -> Record:
    groups = list(dataset.get("WaveformSequence") or ())
    if not groups:
        modality = dataset.get("Modality", "unknown")
        raise SignalError(
            f"record {record_id}: {path.name} has no waveform (modality {modality}). Leave it out.",
            kind="without a waveform",
        )
    chosen = _choose(groups, record_id, options)
    channels = []
    for index in chosen:
        values = _values(dataset, index, groups[index], record_id, path)
        definitions = groups[index].ChannelDefinitionSequence
        channels += [_channel(d, values[:, i], groups[index]) for i, d in enumerate(definitions)]
    fs = float(groups[chosen[0]].SamplingFrequency)
    notes = []
    if len(groups) > 1:
        labels = (str(groups[i].get("MultiplexGroupLabel") or "without a label") for i in chosen)
        notes.append(f"read are {len(chosen)} of its {len(groups)} multiplex groups: {', '.join(labels)}")
    return assemble(record_id, fs, channels, _subject(dataset), _report(dataset), notes, options)


def _choose(groups: Sequence[Any], record_id: str, options: ReadOptions) -> list[int]:
    """The positions of the multiplex groups that are the recording."""
    leads_of: dict[int, set[str]] = {}
    names: list[str] = []
    for position, group in enumerate(groups):
        lead_names = [_lead_name(definition) for definition in group.get("ChannelDefinitionSequence") or ()]
        names += lead_names
        leads = set(options.lead_names.find(lead_names))
        if leads and not _AVERAGE.search(str(group.get("MultiplexGroupLabel") or "")):
            leads_of[position] = leads
    require_leads(record_id, names, options)
    if not leads_of:
        raise SignalError(
            f"record {record_id}: it holds only averaged beats, no recording. Leave it out.",
            kind="without a waveform",
        )

    def rank(position: int) -> tuple[bool, int, int, int]:
        original = groups[position].get("WaveformOriginality") != "DERIVED"
        n_samples = int(groups[position].get("NumberOfWaveformSamples") or 0)
        return original, len(leads_of[position]), n_samples, -position

    chosen = [max(leads_of, key=rank)]
    for position, leads in leads_of.items():
        there = set().union(*(leads_of[other] for other in chosen))
        if _time(groups[position]) == _time(groups[chosen[0]]) and not leads & there:
            chosen.append(position)
    return chosen


def _time(group: Any) -> tuple[str, ...]:
    """When a multiplex group was recorded, and at what rate."""
    names = (
        "SamplingFrequency",
        "NumberOfWaveformSamples",
        "MultiplexGroupTimeOffset",
        "WaveformOriginality",
    )
    return tuple(str(group.get(name) or 0) for name in names)


def _lead_name(definition: Any) -> str:
    """The name of a channel: from its code where that is known, else its meaning or label."""
    meaning = ""
    for source in definition.get("ChannelSourceSequence") or ():
        pattern = _CODE.get(str(source.get("CodingSchemeDesignator", "")).upper())
        code = pattern.fullmatch(str(source.get("CodeValue", ""))) if pattern else None
        if code is not None and int(code[1]) in _LEAD_OF_CODE:
            return _LEAD_OF_CODE[int(code[1])]
        meaning = str(source.get("CodeMeaning", ""))
    label = str(definition.get("ChannelLabel") or "")
    plain = re.split(r"[(,]", meaning)[0].strip()  # "Lead I (Einthoven)", "aVR, augmented voltage, right"
    return next((name for name in (plain, label) if lead_of(name)), meaning or label)


def _values(dataset: Any, index: int, group: Any, record_id: str, path: Path) -> np.ndarray:
    """The samples of a multiplex group as they are stored, (samples, channels)."""
    missing = [name for name in _FIELDS if name not in group]
    if missing:
        raise SignalError(
            f"record {record_id}: {path.name} has no {', '.join(missing)}. Export it again.", kind="malformed"
        )
    n_samples, n_channels = int(group.NumberOfWaveformSamples), len(group.ChannelDefinitionSequence)
    width = n_channels * int(group.WaveformBitsAllocated) // 8
    available = len(group.WaveformData) // width if width else 0
    if available < n_samples or n_samples == 0:
        raise truncated(record_id, path, n_samples, available)
    try:
        values = pydicom.waveforms.multiplex_array(dataset, index, as_raw=True)
    except (KeyError, NotImplementedError) as error:
        raise SignalError(
            f"record {record_id}: samples of {group.WaveformBitsAllocated} bits in "
            f"{group.get('WaveformSampleInterpretation')} ({error}) cannot be read. "
            f"Export it as 16-bit integers.",
            kind="of an unsupported kind",
        ) from error
    except (AttributeError, ValueError) as error:
        raise malformed(record_id, path, str(error)) from error
    if values.shape[1] < n_channels:
        raise SignalError(
            f"record {record_id}: {path.name} defines {n_channels} channels, but has {values.shape[1]}. "
            f"Export it again.",
            kind="malformed",
        )
    return values


def _channel(definition: Any, values: np.ndarray, group: Any) -> Channel:
    units = next(
        (str(item.get("CodeValue", "")) for item in definition.get("ChannelSensitivityUnitsSequence") or ()),
        "",
    )
    step = definition.get("ChannelSensitivity")
    if step is not None:
        correction = definition.get("ChannelSensitivityCorrectionFactor")
        step = float(step) * (1.0 if correction is None else float(correction))
    offset = float(definition.get("ChannelBaseline") or 0.0)
    channel = Channel.in_unit(_lead_name(definition), values, step, units, offset)
    return channel._replace(missing=_padding(group, values.dtype))


def _padding(group: Any, dtype: np.dtype) -> int | None:
    """The value that stands where there is no sample, if the file names one."""
    padding = group.get("WaveformPaddingValue")
    if isinstance(padding, bytes) and len(padding) >= dtype.itemsize:
        return int(np.frombuffer(padding, dtype, 1)[0])
    return padding if isinstance(padding, int) else None


def _subject(dataset: Any) -> Subject:
    age = parse_age(str(dataset.get("PatientAge") or ""))
    if age is None:
        recorded = (
            dataset.get("AcquisitionDateTime") or dataset.get("AcquisitionDate") or dataset.get("StudyDate")
        )
        age = age_between(str(dataset.get("PatientBirthDate") or ""), str(recorded or ""))
    return Subject(
        age=age,
        sex=parse_sex(str(dataset.get("PatientSex") or "")),
        patient_id=parse_patient(str(dataset.get("PatientID") or "")),
    )


def _report(dataset: Any) -> str | None:
    """The statements in words among the annotations, one a line."""
    texts = (a.get("UnformattedTextValue") for a in dataset.get("WaveformAnnotationSequence") or ())
    lines = (" ".join(str(text or "").split()) for text in texts)
    return "\n".join(filter(None, lines)) or None
