"""Recordings as arrays: checked as a whole before anything is written, and as rows of a store."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.resample import resample
from fairseq_signals.ecg.units import offsets, quantise
from fairseq_signals.errors import SignalError, SignalWarning
from fairseq_signals.inference.recording import Recording, from_array
from fairseq_signals.safety.text import counted
from fairseq_signals.store.conversion import BuildOptions
from fairseq_signals.store.shards import StoreRow
from fairseq_signals.training.targets import CLASSIFICATION, Targets

SOURCE = "arrays"  #: name of the corpus


class GivenArrays:
    """Recordings, one after the other.

    Args:
        x: arrays (L, T) in mV, with `len` and indices.
        fs: of all, Hz.
        leads: of their rows, as `from_array` takes it.
        targets: what a model is to learn of each.
        patients: whose each is; None where that is not known.
    """

    def __init__(
        self,
        x: Any,
        fs: float,
        leads: Any,
        targets: Targets,
        patients: Sequence[str | None],
    ):
        self.x, self.fs, self.leads = x, fs, leads
        self.targets, self.patients = targets, patients
        if not len(x):
            raise SignalError("x has no recording")

    def check(self, segment_s: float, n_segments: int) -> str:
        """Look at every recording, and warn of what is odd; gives a digest of all that is known of them.

        Args:
            segment_s: length of a segment in seconds.
            n_segments: which a recording needs to be of use.

        Raises:
            SignalError, LeadError: one of them is no recording, see `from_array`, or all are too short.
        """
        digest, lengths, notes = hashlib.blake2b(digest_size=16), [], []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SignalWarning)
            for i, patient in enumerate(self.patients):
                recording = self._recording(i)
                samples = recording.samples
                assert isinstance(samples, np.ndarray)
                form = recording.fs, recording.leads, samples.shape, samples.dtype.str
                digest.update(repr((*form, self.targets.of(i), patient)).encode())
                digest.update(np.ascontiguousarray(samples).data)
                lengths.append(samples.shape[1] / recording.fs)
                notes += [str(caught[0].message)] if caught else []
                caught.clear()
        if notes:
            warnings.warn(f"{counted(len(notes), 'recording')}: {notes[0]}", SignalWarning, stacklevel=3)
        n_short = sum(length < n_segments * segment_s for length in lengths)
        if n_short:
            what = (
                f"{n_short:,} of {len(lengths):,} recordings are shorter than {n_segments} x {segment_s:g} s"
            )
            if n_short == len(lengths):
                raise SignalError(f"{what}, which one needs at least; see segment_s", "too short")
            warnings.warn(f"{what}: they are of little or no use", SignalWarning, stacklevel=3)
        return digest.hexdigest()

    def rows(self, options: BuildOptions) -> Iterator[StoreRow]:
        """As a store keeps them: at its rate, in 16 bits, leads of zeros absent.

        Args:
            options: rate and resampler of the store.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SignalWarning)  # `check` has told them
            for i, patient in enumerate(self.patients):
                codes = self.targets.of(i) if self.targets.task == CLASSIFICATION else ()
                yield self._row(self._recording(i), options, codes, patient)

    def name(self, i: int) -> str:
        """The id of recording `i`: its number, so that names sort as numbers do."""
        width = len(str(len(self.x) - 1))
        return f"{i:0{width}d}"

    def _recording(self, i: int) -> Recording:
        return from_array(self.x[i], self.fs, self.leads, self.name(i))

    def _row(
        self, recording: Recording, options: BuildOptions, codes: tuple[str, ...], patient: str | None
    ) -> StoreRow:
        samples = recording.samples
        assert isinstance(samples, np.ndarray)
        row_of = {lead: row for row, lead in enumerate(recording.leads) if samples[row].any()}
        leads = [lead for lead in LEADS if lead in row_of]
        mv = resample(samples[[row_of[lead] for lead in leads]], recording.fs, options.fs, options.resampler)
        stored = [quantise(lead, 0.0) for lead in mv]
        return StoreRow(
            record_id=recording.record_id,
            source=SOURCE,
            fs=options.fs,
            leads=leads,
            scale=np.array([lead.scale for lead in stored]),
            signal=np.stack([lead.values for lead in stored]),
            offset=offsets(stored),
            patient_id=patient,
            codes=codes,
        )
