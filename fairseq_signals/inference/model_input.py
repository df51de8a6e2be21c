"""What a model takes of a recording: leads in its order, at its rate, scaled, a stretch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.normalize import RECORD, Moments, moments
from fairseq_signals.ecg.resample import resample_stretch, resampled_length
from fairseq_signals.errors import LeadError
from fairseq_signals.inference.recording import Recording

_SHORT = 2**18  # samples: of as many or fewer, the whole is made once, for its windows may overlap


class ModelInput:
    """A recording as a model wants it: leads in its order, at its rate, float32, a stretch at a time.

    Leads that the recording lacks are zeros; leads that the model does not take are not used.

    Attributes:
        n_samples: at the model's rate.

    Raises:
        LeadError: the model takes none of the recording's leads.
    """

    def __init__(self, recording: Recording, form: InputFormat) -> None:
        place = {LEADS[lead]: position for position, lead in enumerate(form.leads)}
        self.rows = [row for row, lead in enumerate(recording.leads) if lead in place]
        if not self.rows:
            raise LeadError(
                f"record {recording.record_id} has the leads {', '.join(recording.leads)}, but the model "
                f"takes only {', '.join(place)}"
            )
        self.places = [place[recording.leads[row]] for row in self.rows]
        self.recording, self.form = recording, form
        self.n_samples = resampled_length(recording.n_samples, recording.fs, form.fs, form.resampler)
        short = self.n_samples <= _SHORT
        self._whole_mv = self._resampled(0, self.n_samples) if short else None
        self._moments = self._of_record() if form.normalize == RECORD else None

    @property
    def lead_present(self) -> np.ndarray:
        """(leads,) bool, True for leads on the model's axis that the recording has."""
        present = np.zeros(len(self.form.leads), dtype=bool)
        present[self.places] = True
        return present

    def any(self) -> bool:
        """Whether a sample is not zero."""
        return any(row.any() for row in self._kept())

    def _kept(self) -> Iterator[np.ndarray]:
        """The used leads as the recording keeps them, (T,) each."""
        samples = self.recording.samples
        rows = samples if isinstance(samples, np.ndarray) else samples.signal
        return (rows[row] for row in self.rows)

    def _of_record(self) -> Moments:
        """The moments of the used leads; one that is constant stays so, though the low-pass has a ripple."""
        found = moments(self._mv, self.n_samples)
        constant = np.array([(row == row[:1]).all() for row in self._kept()])[:, None]
        return found._replace(deviation=np.where(constant, 0, found.deviation))

    def stretch(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The segment from `start` to before `stop` as the encoder gets it, (leads, n) float32."""
        mv = self._mv(start, self.n_samples if stop is None else stop)
        scaled = self.form.scaling.apply(mv, self._moments)
        out = np.zeros((len(self.form.leads), scaled.shape[1]), dtype=np.float32)
        out[self.places] = scaled
        return out

    def _mv(self, start: int, stop: int) -> np.ndarray:
        """The used leads at the model's rate in mV, (L, n)."""
        return self._resampled(start, stop) if self._whole_mv is None else self._whole_mv[:, start:stop]

    def _resampled(self, start: int, stop: int) -> np.ndarray:
        def read(first: int, last: int) -> np.ndarray:
            return self.recording.stretch(first, last, self.rows)

        rates = self.recording.fs, self.form.fs
        return resample_stretch(read, self.recording.n_samples, *rates, start, stop, how=self.form.resampler)
