"""`.mat` files of the authors' preprocessing scripts: `feats` (12 leads, samples) in mV, one file a segment.

Segment k of a record is `<record>_<k>.mat`, numbered from 0; the segments follow each other without a gap. In
files that are normalised the `mean` and `std` of each lead lie beside them; that is undone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.leads import LEADS, N_LEADS
from fairseq_signals.ecg.record import Record, Subject, parse_patient, plausible_age
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel, assemble
from fairseq_signals.formats.common import (
    SEGMENT_NAME,
    damage_refused,
    of_another_format,
    read_bytes,
    segment_files,
)
from fairseq_signals.formats.mat5 import OtherArraysError, load_mat5
from fairseq_signals.formats.options import DEFAULTS, ReadOptions

#: What stands for the classes of a label of 26, in the order of the challenge's weights.csv, which the
#: scripts read: the first code of each in manifests/labels/cinc2021.csv.
CINC2021_CODES = (
    "164889003", "164890007", "6374002", "426627000", "733534002", "713427006", "270492004", "713426002",
    "39732003", "445118002", "164947007", "251146004", "111975006", "698252002", "426783006", "284470004",
    "10370003", "365413008", "427172004", "164917005", "47665007", "427393009", "426177001", "427084000",
    "164934002", "59931005",
)  # fmt: skip

# Steps of the ADCs behind the corpora, in mV: with one of them the values are whole numbers again.
_STEPS_MV = (1e-3, 5e-4, 1 / 4880, 4.88e-3, 5e-3)
_LARGEST_MV = 50.0  # whole numbers above it are ADC units
_SEX: dict[float | None, str] = {0.0: "male", 1.0: "female"}


def read_authors_mat(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """A record whose first segment, or all of which, is in a `.mat` file.

    Where it is segment 0, the segments that follow are put behind it, and the default name has no number.
    """
    match = SEGMENT_NAME.fullmatch(path.name)
    is_first = match is not None and int(match[2]) == 0
    if record_id is None:
        record_id = match[1] if match is not None and is_first else path.stem
    paths = segment_files(path)
    segments = [_load(segment, record_id) for segment in paths]
    rates = {_rate(segment, record_id, file) for segment, file in zip(segments, paths)}
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise SignalError(
            f"record {record_id}: its segments have different sampling rates ({listed} Hz). "
            f"Preprocess it again.",
            kind="malformed",
        )
    signal_mv = np.concatenate(
        [_signal_mv(segment, record_id, file) for segment, file in zip(segments, paths)], axis=1
    )
    finite = signal_mv[np.isfinite(signal_mv)]
    if len(finite) and np.abs(finite).max() > _LARGEST_MV and (finite == np.rint(finite)).all():
        raise SignalError(
            f"record {record_id}: the samples are whole numbers of up to {np.abs(finite).max():g}, so they "
            f"are ADC units of unknown gain, as an early version of the scripts wrote them. Preprocess the "
            f"original files instead.",
            kind="of an unsupported kind",
        )
    channels = [_channel(lead, mv) for lead, mv in zip(LEADS, signal_mv)]
    (fs,) = rates
    notes = [f"joined from {len(paths)} files, one a segment"] * (len(paths) > 1)
    subject, report = _subject(segments[0]), _text(segments[0].get("text"))
    return assemble(record_id, fs, channels, subject, report, notes, options)


def _load(path: Path, record_id: str) -> dict[str, Any]:
    data = read_bytes(record_id, path)
    with damage_refused(record_id, f"{path.name} is damaged", "Copy it again."):
        try:
            content = _arrays(record_id, path, data)
        except OtherArraysError as error:
            raise of_another_format(record_id, path, f"a file of the authors' scripts ({error})") from error
    if "val" in content and "feats" not in content:
        raise SignalError(
            f"record {record_id}: {path.name}, a MATLAB {_version(data)} file, holds the signal of a WFDB "
            f"record (`val`, as PhysioNet's challenges have it). Gain, rate and leads are in "
            f"{path.with_suffix('.hea').name}: put that beside it.",
            kind="without a header",
        )
    if "feats" not in content:
        raise of_another_format(record_id, path, "a file of the authors' scripts (it has no 'feats')")
    return content


def _arrays(record_id: str, path: Path, data: bytes) -> dict[str, Any]:
    """The arrays of a file, by name."""
    if _version(data) == "7.3":
        from fairseq_signals.formats.mat73 import load_mat73

        return load_mat73(path)
    if not data.startswith(b"MATLAB"):
        raise of_another_format(record_id, path, "a MATLAB file of version 5 or 7.3, as the scripts write")
    return load_mat5(data)


def _version(data: bytes) -> str:
    return "7.3" if data.startswith(b"MATLAB 7.3") else "5"


def _rate(content: dict[str, Any], record_id: str, path: Path) -> float:
    value = np.asarray(content.get("curr_sample_rate", np.nan)).reshape(-1)
    if value.dtype.kind not in "iuf" or len(value) != 1 or not np.isfinite(value[0]):
        raise SignalError(
            f"record {record_id}: {path.name} gives no sampling rate (curr_sample_rate). "
            f"Preprocess it again.",
            kind="malformed",
        )
    return float(value[0])


def _signal_mv(content: dict[str, Any], record_id: str, path: Path) -> np.ndarray:
    """The leads of one file, (12, T) float64 mV."""
    signal = np.asarray(content["feats"])
    if signal.dtype.kind not in "iuf" or signal.ndim != 2 or len(signal) != N_LEADS:
        raise SignalError(
            f"record {record_id}: feats of {path.name} are {signal.dtype} of shape {signal.shape}, but must "
            f"be numbers of shape ({N_LEADS}, samples): which leads they are is not known otherwise. "
            f"Preprocess the original files instead.",
            kind="of an unsupported kind",
        )
    signal = signal.astype(np.float64)
    if "mean" in content and "std" in content:
        mean, std = (np.asarray(content[name], dtype=np.float64).reshape(-1) for name in ("mean", "std"))
        if len(mean) != N_LEADS or len(std) != N_LEADS:
            raise SignalError(
                f"record {record_id}: mean and std of {path.name} are not one number a lead, so the "
                f"normalisation cannot be undone. Preprocess the original files instead.",
                kind="malformed",
            )
        signal = signal * std[:, None] + mean[:, None]
    return signal


def _channel(lead: str, mv: np.ndarray) -> Channel:
    if (np.abs(mv) < _LARGEST_MV).all():
        for step in _STEPS_MV:
            units = np.rint(mv / step)
            if np.abs(units).max(initial=0) < 2**15 and np.abs(mv / step - units).max(initial=0) < 1e-3:
                return Channel(lead, units.astype(np.int16), step)
    return Channel(lead, mv, 1.0)


def _subject(content: dict[str, Any]) -> Subject:
    """What a file says of the person and the diagnosis.

    Where the age is 0, neither age nor sex is known: versions of the scripts wrote 0 and 1 for everybody.
    """
    age = plausible_age(_number(content.get("age")) or None)
    sex = _SEX.get(_number(content.get("sex"))) if age is not None else None
    diagnoses = np.asarray(content.get("diagnoses", ())).reshape(-1)
    codes = tuple(str(code).strip() for code in diagnoses)
    other: tuple[tuple[str, str], ...] = ()
    patient_id = parse_patient(_text(content.get("patient_id")) or "")
    label = np.asarray(content.get("label", ())).reshape(-1)
    if label.size and label.dtype.kind in "iufb":
        positive = np.flatnonzero(label).tolist()
        other = (("label", " ".join(map(str, positive))),)
        if not codes and len(label) == len(CINC2021_CODES):
            codes = tuple(CINC2021_CODES[k] for k in positive)
    return Subject(age=age, sex=sex, codes=codes, patient_id=patient_id, other=other)


def _number(value: Any) -> float | None:
    array = np.asarray(value if value is not None else ()).reshape(-1)
    return float(array[0]) if len(array) == 1 and array.dtype.kind in "iufb" else None


def _text(value: Any) -> str | None:
    array = np.asarray(value if value is not None else ()).reshape(-1)
    return str(array[0]).strip() or None if len(array) else None
