"""One recording on its way into a model: checked arrays in mV, whatever it was read from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Union

import numpy as np

from fairseq_signals.ecg.amplitude import odd_amplitude
from fairseq_signals.ecg.leads import LEADS, N_LEADS, parse_leads, signed_leads
from fairseq_signals.ecg.record import MAX_FS, MIN_FS, NOBODY, LeadNote, Record, Subject
from fairseq_signals.ecg.units import not_finite
from fairseq_signals.errors import LeadError, SignalError, SignalWarning

#: What a recording is made of.
Samples = Union[np.ndarray, Record]


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording in millivolt: what `read_recording` gives, or an array that brings its own facts.

    Attributes:
        samples: (L, T) floats in mV, or a record, of which a day fits into memory.
        fs: sampling rate, Hz.
        leads: canonical names of the rows of `signal_mv`; no lead twice.
        record_id: name for messages and results.
        subject: age, sex, codes, patient_id and what else the file tells of the person.
        report: statements about the recording; None: the file has none.
        faults: leads of the twelve that were left out, each with the reason.
        ignored: channels that are not one of the twelve leads.
        damaged: leads that are kept although their samples disagree with the checksum in the header.
        notes: what was chosen, converted, filled in or kept, a sentence each.
    """

    samples: Samples
    fs: float
    leads: tuple[str, ...]
    record_id: str = ""
    subject: Subject = NOBODY
    report: str | None = None
    faults: tuple[LeadNote, ...] = ()
    ignored: tuple[LeadNote, ...] = ()
    damaged: tuple[LeadNote, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def signal_mv(self) -> np.ndarray:
        """The leads in mV, (L, T) floats; of a record made anew each time, see `stretch`."""
        return self.samples if isinstance(self.samples, np.ndarray) else self.samples.signal_mv()

    @property
    def n_samples(self) -> int:
        return int(self.samples.shape[1]) if isinstance(self.samples, np.ndarray) else self.samples.n_samples

    def stretch(self, start: int, stop: int, rows: Sequence[int] | None = None) -> np.ndarray:
        """The samples from `start` to before `stop` in mV, (L, n); only some rows where these are named."""
        if isinstance(self.samples, np.ndarray):
            return self.samples[slice(None) if rows is None else rows, start:stop]
        return self.samples.signal_mv(start, stop, rows)


def from_array(signal: Any, fs: float | None, leads: Any = None, record_id: str = "array") -> Recording:
    """A recording from an array in mV.

    Rows that are constant but not zero are leads that were not connected: they are left out, with a warning.
    Rows of zeros are leads, flat ones.

    Args:
        signal: (L, T) numbers, or (T,) of one lead; numpy array, torch tensor or nested lists.
        fs: sampling rate, Hz.
        leads: which lead each row is, as `signed_leads` takes it; by default all twelve in canonical order.
        record_id: name for messages and results.

    Raises:
        SignalError: no sampling rate, a shape or type that is no recording, values that are not finite.
        LeadError: unknown or repeated leads, or not as many as rows.
    """
    array = _as_array(signal, record_id)
    if fs is None:
        raise SignalError(
            f"record {record_id}: an array does not say its sampling rate; pass it in Hz, such as fs=500"
        )
    rate = checked_rate(fs, record_id)
    rows = signed_leads(leads)
    named = tuple(LEADS[i] for i, _ in rows)
    if array.ndim == 1 and len(named) == 1:
        array = array[None]
    if array.ndim != 2 or len(array) != len(named):
        raise _wrong_shape(array.shape, named, leads is not None, record_id)
    if not array.shape[1]:
        raise SignalError(f"record {record_id}: the array has no samples", kind="too short")
    if any(sign < 0 for _, sign in rows):
        array = array * np.array([sign for _, sign in rows], array.dtype)[:, None]
    samples, named = _connected(array, named, record_id)
    return Recording(samples, rate, named, record_id)


def from_record(record: Record, leads: Any = None) -> Recording:
    """A recording from what a reader or a record store gives.

    Args:
        leads: use these leads only, as `parse_leads` takes it; by default all that there are.

    Raises:
        LeadError: unknown leads, or the record has none of them.
    """
    recording = Recording(
        record,
        record.fs,
        record.leads,
        record.record_id,
        record.subject,
        record.report,
        record.faults,
        record.ignored,
        record.damaged,
        tuple(_notes(record)),
    )
    return select_leads(recording, leads)


def _notes(record: Record) -> Iterator[str]:
    yield from record.notes
    if record.amplitude_factor != 1:
        yield f"samples are multiplied by {record.amplitude_factor:g}"
    if record.derived:
        yield f"{', '.join(record.derived)}: not in the file, computed from I and II"
    if record.requantised:
        yield "samples that do not fit 16 bits were rounded to 1/32767 of the largest of their lead"
    for lead, reason in record.damaged:
        yield f"{lead}: kept, but {reason}"


def checked(recording: Recording, leads: Any = None) -> Recording:
    """A recording as a model may take it, see `from_array`.

    What the reader left out or found damaged is warned about.

    Raises:
        SignalError, LeadError: see `from_array` and `from_record`.
    """
    for notes, what in ((recording.faults, "left out"), (recording.damaged, "damaged")):
        if notes:
            listed = "; ".join(f"{note.lead} ({note.reason})" for note in notes)
            _warn(f"record {recording.record_id}: {what}: {listed}")
    chosen = select_leads(recording, leads)
    if isinstance(chosen.samples, Record):  # of which no lead is constant or has samples that are not finite
        odd = odd_amplitude(chosen.samples.signal, chosen.samples.scale[:, None], chosen.leads)
        if odd is not None:
            _warn(f"record {chosen.record_id}: {odd}")
        return chosen
    taken = from_array(chosen.samples, chosen.fs, chosen.leads, chosen.record_id)
    return replace(chosen, samples=taken.samples, fs=taken.fs, leads=taken.leads)


def select_leads(recording: Recording, leads: Any) -> Recording:
    """The recording with those of its leads that are asked for; all where `leads` is None.

    Raises:
        LeadError: unknown leads, or the recording has none of them.
    """
    if leads is None:
        return recording
    wanted = [LEADS[i] for i in parse_leads(leads)]
    rows = [row for row, lead in enumerate(recording.leads) if lead in wanted]
    if not rows:
        raise LeadError(
            f"record {recording.record_id} has the leads {', '.join(recording.leads)}, none of which is "
            f"among the leads asked for: {', '.join(wanted)}"
        )
    named = tuple(recording.leads[row] for row in rows)
    samples = recording.samples
    kept = samples[rows] if isinstance(samples, np.ndarray) else samples.of_rows(rows)
    return replace(recording, samples=kept, leads=named)


def _as_array(signal: Any, record_id: str) -> np.ndarray:
    if hasattr(signal, "detach"):  # a torch tensor
        signal = signal.detach().cpu().numpy()
    if isinstance(signal, np.ma.MaskedArray):
        n_masked = int(np.ma.getmaskarray(signal).sum())
        if n_masked:
            raise SignalError(
                f"record {record_id}: {n_masked} samples are masked. Interpolate them, or leave their leads "
                "out: absent leads are zeros."
            )
        signal = signal.data
    array = signal if isinstance(signal, np.ndarray) else _to_array(signal, record_id)
    if array.dtype.kind not in "iuf":
        raise SignalError(
            f"record {record_id}: samples must be numbers in mV, but the array is of {array.dtype}"
        )
    return array


def _to_array(signal: Any, record_id: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy before 1.24 only warns of ragged lists
            return np.asarray(signal)
    except (ValueError, Warning) as error:
        raise SignalError(
            f"record {record_id}: not an array of one shape ({error}); pass recordings of different lengths "
            "as a list of arrays"
        ) from None


def checked_rate(fs: Any, record_id: str) -> float:
    """A sampling rate in Hz.

    Raises:
        SignalError: it is no number, or one that no ECG has.
    """
    try:
        rate = float(fs)
    except (TypeError, ValueError):
        raise SignalError(f"record {record_id}: fs must be a number (Hz), but is {fs!r}") from None
    if not MIN_FS <= rate <= MAX_FS:
        raise SignalError(
            f"record {record_id}: fs is {rate:g} Hz, outside {MIN_FS:g}-{MAX_FS:g} Hz",
            kind="with an unexpected sampling rate",
        )
    return rate


def _wrong_shape(
    shape: tuple[int, ...], named: tuple[str, ...], given: bool, record_id: str
) -> LeadError | SignalError:
    what = f"record {record_id}: the array has the shape {shape}"
    if len(shape) != 2:
        return SignalError(f"{what}; a recording is (leads, samples), a batch of them (B, leads, samples)")
    if shape[1] == len(named):
        return LeadError(f"{what}, which looks like (samples, leads); pass its transpose")
    if given:
        return LeadError(f"{what}, but {len(named)} leads are named: {', '.join(named)}")
    return LeadError(
        f"{what}; say which leads its {shape[0]} rows are, such as leads=['I', 'II'] "
        f"(only {N_LEADS} rows are taken as the twelve leads in their usual order)"
    )


def _connected(
    signal: np.ndarray, leads: tuple[str, ...], record_id: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The signal (L, T) and its leads, less those that are constant but not zero.

    Raises:
        SignalError: samples that are not finite, or no lead that is not constant.
    """
    low, high = signal.min(axis=1), signal.max(axis=1)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        bad = {name: int((~np.isfinite(row)).sum()) for name, row in zip(leads, signal)}
        listed = ", ".join(f"{name} {n}" for name, n in bad.items() if n)
        raise SignalError(
            f"record {record_id}: samples that are not finite ({not_finite(signal)}): {listed}, of "
            f"{signal.shape[1]} each. "
            "Interpolate them, or leave the lead out: absent leads are zeros."
        )
    flat = low == high
    if flat.all():
        shown = f"all {len(leads)} leads are" if len(leads) > 1 else f"its only lead {leads[0]} is"
        raise SignalError(
            f"record {record_id} is flat: {shown} constant, nothing was recorded; leave it out",
            kind="without a usable lead",
        )
    unconnected = flat & (low != 0)
    if unconnected.any():
        listed = ", ".join(f"{leads[i]} ({low[i]:g} mV)" for i in np.flatnonzero(unconnected))
        _warn(f"record {record_id}: constant leads are taken as absent: {listed}")
        signal, leads = signal[~unconnected], tuple(np.array(leads)[~unconnected].tolist())
    odd = odd_amplitude(signal, leads=leads)
    if odd is not None:
        _warn(f"record {record_id}: {odd}")
    return signal, leads


def _warn(message: str) -> None:
    warnings.warn(message, SignalWarning, stacklevel=2)
