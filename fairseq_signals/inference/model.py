"""`ECGModel`: a trained model with all that it takes to use it on recordings of any kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.checkpoints.saved_model import as_numbers, write_saved_model
from fairseq_signals.ecg.resample import resampled_length
from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.encoded import Encoded
from fairseq_signals.inference.gallery import Gallery, enrolled
from fairseq_signals.inference.patients import listed_ids
from fairseq_signals.inference.results import Estimate, Prediction
from fairseq_signals.inference.sources import is_one
from fairseq_signals.inference.streaming import BATCH_SIZE, Streaming
from fairseq_signals.inference.windows import cut, frame_starts
from fairseq_signals.metrics.outlier import Outlier


class ECGModel(Streaming):
    """A trained model: recordings in, embeddings, probabilities or identities out.

    Recordings are given as arrays in mV (leads, samples), as paths (WFDB records, and files of every format
    that preprocessing reads), as rows of a record store, or as a batch of them: see `Opener.read`. They are
    resampled to the model's rate, leads are put in its order by name, absent leads are zeros, and the whole
    is cut into segments as in `inference/windows.py`, over which results are averaged.

    Attributes:
        gallery: the recordings last enrolled; None before.
    """

    gallery: Gallery | None = None

    def embed(
        self,
        records: Any,
        fs: float | None = None,
        leads: Any = None,
        *,
        lead_names: Any = None,
        frames: bool = False,
        layer: int | str | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """The representation of each recording.

        An embedding is the mean over the recording's segments, weighted by their new samples; that of an
        identification model is of length 1, and its segments are before they are averaged.

        Args:
            records: a recording or a batch of them, see the class.
            fs: sampling rate of arrays, Hz.
            leads: which lead each row of an array is: names, or a lead set such as "12" or "2"; all twelve by
                default. Of files, which leads to use; all by default.
            lead_names: of files, which leads channels are that they call otherwise, such as {"ECG": "II"}.
            frames: give the local representations in place of the global one.
            layer: of this layer of the encoder, from 0, the Transformer's input, to its last; by default that
                one, or of a model fine-tuned with `model.layer_mix` the mix that it has learnt, "mix".
            batch_size: segments a forward pass.

        Returns:
            (D,) float32 of one recording, (N, D) of a batch. With `frames`, (F, D), see `frame_times`, and a
            list of them for a batch.

        Raises:
            FairseqSignalsError: a recording that cannot be read or used.
            ConfigError: there is no such layer.
        """
        wanted = "frames" if frames else "embedding"
        found = self._each(records, fs, leads, lead_names, (wanted,), batch_size, layer)
        rows = [getattr(done, wanted) for done in found]
        if is_one(records):
            return rows[0]
        if frames:
            return rows
        return np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)

    def predict_proba(
        self,
        records: Any,
        fs: float | None = None,
        leads: Any = None,
        *,
        lead_names: Any = None,
        aggregate: str | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        """The probability of each class, (C,) float64 of one recording, (N, C) of a batch.

        Args:
            records, fs, leads, lead_names, batch_size: as for `embed`.
            aggregate: of the segments' probabilities: "mean", weighted by their new samples, or "max"; by
                default as `form` says of each class, which is the mean but for presets.
        """
        self._require_classes()
        aggregates = aggregate or self.aggregates
        found = [
            done.probabilities(aggregates)
            for done in self._each(records, fs, leads, lead_names, ("logit",), batch_size)
        ]
        if is_one(records):
            return found[0]
        return np.stack(found) if found else np.zeros((0, len(self.labels)))

    def predict(
        self,
        records: Any,
        fs: float | None = None,
        leads: Any = None,
        *,
        lead_names: Any = None,
        aggregate: str | None = None,
        gallery: Gallery | None = None,
        top: int = 5,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """What the model says of each recording: a `Prediction`, an `Estimate` of numbers, or a `Match`.

        For a batch, a list of them.

        Args:
            records, fs, leads, lead_names, batch_size: as for `embed`.
            aggregate: of a classifier, see `predict_proba`; the numbers of a regression are averaged.
            gallery: compare with these recordings in place of those last enrolled; of any kind of model.
            top: how many patients of the gallery are ranked.

        Raises:
            CheckpointError: a pre-trained model says nothing; or the gallery is another model's.
            ConfigError: an identification model without a gallery.
        """
        if self.kind == "identification" or gallery is not None:
            gallery = self._require_gallery(self.gallery if gallery is None else gallery)
            found = list(self._each(records, fs, leads, lead_names, ("embedding",), batch_size))
            matches = gallery.match(
                [done.embedding for done in found], [done.record_id for done in found], top
            )
            return matches[0] if is_one(records) else matches
        say = self._saying(aggregate)
        wanted = self.predicted_from
        predictions = [say(done) for done in self._each(records, fs, leads, lead_names, wanted, batch_size)]
        return predictions[0] if is_one(records) else predictions

    def _saying(self, aggregate: str | None) -> Callable[[Encoded], Prediction | Estimate]:
        """What makes an `Estimate` or a `Prediction` of what the network gave for a recording."""
        targets = self.targets
        if targets is not None:
            if aggregate is not None:
                raise ConfigError("aggregate is of probabilities; a regression's numbers are averaged")
            return lambda done: Estimate(
                done.record_id, targets, targets.in_units(done.logit), self._outlier(done)
            )
        classes, aggregates = self._require_classes(), aggregate or self.aggregates
        return lambda done: Prediction(
            done.record_id, classes, done.probabilities(aggregates), self._outlier(done)
        )

    @property
    def predicted_from(self) -> tuple[str, ...]:
        """The outputs that a `Prediction` or an `Estimate` is made of."""
        return ("logit",) if self.outlier is None else ("logit", "middle")

    def _outlier(self, done: Encoded) -> Outlier | None:
        return None if self.outlier is None else self.outlier.of(done.middle)

    def enroll(
        self,
        records: Any,
        patient_ids: Sequence[Any],
        fs: float | None = None,
        leads: Any = None,
        *,
        lead_names: Any = None,
        batch_size: int = BATCH_SIZE,
    ) -> Gallery:
        """A gallery of recordings whose patients are known, which `predict` then compares with.

        Args:
            records, fs, leads, lead_names, batch_size: as for `embed`.
            patient_ids: whose recording each is: texts or integers.
        """
        if is_one(records):
            records = [records]
            patient_ids = [patient_ids] if isinstance(patient_ids, (str, int)) else patient_ids
        patient_ids = listed_ids(patient_ids)
        found = list(self._each(records, fs, leads, lead_names, ("embedding",), batch_size))
        rows = [done.embedding for done in found]
        self.gallery = enrolled(rows, patient_ids, [done.record_id for done in found], self.fingerprint)
        return self.gallery

    def verify(
        self,
        records: Any,
        patient_ids: Any,
        fs: float | None = None,
        leads: Any = None,
        *,
        lead_names: Any = None,
        gallery: Gallery | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """Whether a recording is of the patient it is said to be of: a `Verification`, of a batch a list.

        Args:
            records, fs, leads, lead_names, gallery, batch_size: as for `predict`.
            patient_ids: whom each is said to be of.
        """
        gallery = self._require_gallery(self.gallery if gallery is None else gallery)
        found = list(self._each(records, fs, leads, lead_names, ("embedding",), batch_size))
        claimed, names = [patient_ids] if is_one(records) else patient_ids, [done.record_id for done in found]
        verified = gallery.verify([done.embedding for done in found], claimed, names)
        return verified[0] if is_one(records) else verified

    def frame_times(self, n_samples: int, fs: float | None = None) -> np.ndarray:
        """When each frame of `embed(..., frames=True)` begins, (F,) seconds.

        Args:
            n_samples: length of the recording.
            fs: its sampling rate; the model's by default.
        """
        n_resampled = resampled_length(n_samples, fs or self.fs, self.fs, self.form.resampler)
        windows = cut(n_resampled, self.form.segment_samples, self.form.last_segment)
        encoder = self.network.encoder
        counts = [encoder.n_frames(window.stop - window.start) for window in windows]
        return frame_starts(windows, counts, encoder.stride) / self.fs

    def save(self, folder: str | Path, *, overwrite: bool = False, dtype: str = "float32") -> None:
        """Write the model for others: `model.safetensors`, `config.json` and a card, `README.md`.

        `load` gives the same parameters and the same outputs from the folder, of float16 nearly the same.

        Args:
            folder: where to; it appears when it is complete.
            overwrite: replace the model in a folder that has one.
            dtype: as what numbers the encoder's parameters are written, "float32", or "float16" in half the
                space; they are used as float32.
        """
        from fairseq_signals.inference.saving import config_of, model_card

        config = config_of(self)
        state = as_numbers(self.state(), dtype)
        write_saved_model(Path(folder), state, config, model_card(config), overwrite)

    def export(self, path: str | Path, format: str | None = None, **options: Any) -> None:
        """Write the network as a program that runs without this package; see `inference/export.py`."""
        from fairseq_signals.inference.export import export_model

        export_model(self, Path(path), format, **options)

    def __sklearn_clone__(self) -> ECGModel:
        """Itself: scikit-learn copies what estimators are made with, and use does not change a model."""
        return self
