"""A gallery of enrolled recordings, and whose recording another one is most similar to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fairseq_signals.ecg.record import known
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.files import whole_file
from fairseq_signals.inference.results import Match
from fairseq_signals.metrics.identification import l2_normalize, nearest_by_patient
from fairseq_signals.metrics.verification import false_match_threshold
from fairseq_signals.safety.rules import Array, read_arrays

_BLOCK_PAIRS = 2**23  # similarities computed at a time
_ARRAYS = {
    "embeddings": Array("f", "GD"),
    "patient_ids": Array("iuU", "G"),
    "record_ids": Array("U", "G"),
    "model": Array("U"),
    "threshold": Array("fiu", "", -1, 1, nan=True),
}


@dataclass(frozen=True, eq=False)
class Gallery:
    """Enrolled recordings: their embeddings and whose they are. A patient may have several.

    Attributes:
        embeddings: (G, D) float64, of length 1.
        patient_ids: (G,) whose recording each is.
        record_ids: (G,) what each recording is called.
        model: fingerprint of the model that made them: embeddings of another one cannot be compared.
        threshold: similarity from which a match is accepted; None: not decided.
    """

    embeddings: np.ndarray
    patient_ids: np.ndarray
    record_ids: tuple[str, ...]
    model: str
    threshold: float | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def n_patients(self) -> int:
        """How many people are enrolled."""
        return len(np.unique(self.patient_ids))

    def with_threshold(self, threshold: float | None) -> Gallery:
        """The same gallery with another acceptance threshold."""
        if threshold is not None and not -1 <= threshold <= 1:
            raise ConfigError(f"threshold is a cosine, from -1 to 1, but is {threshold}")
        return replace(self, threshold=threshold)

    def match(self, embeddings: ArrayLike, record_ids: Sequence[str], top: int = 5) -> list[Match]:
        """The most similar patients of each recording: one with several recordings counts by the nearest.

        Similarities are rounded as in `metrics.identification`; of equals, the one that was enrolled first is
        ahead.

        Args:
            embeddings: (P, D), of any length.
            record_ids: (P,) what the recordings are called.
            top: how many patients are ranked.
        """
        if not len(record_ids):
            return []
        patients, whose = np.unique(self.patient_ids, return_inverse=True)
        probes = l2_normalize(embeddings, "recording", row_names=np.asarray(record_ids, dtype=object))
        found, step = [], self._rows_a_block
        for start in range(0, len(probes), step):
            similarity = probes[start : start + step] @ self.embeddings.T
            nearest, entry = nearest_by_patient(similarity, whose.reshape(-1))  # (P, K)
            for record_id, values, entries in zip(record_ids[start:], nearest, entry):
                # By similarity, then by who was enrolled first. `patients` are in the order of their names,
                # on which a tie must not depend: one recording under two ids, or embeddings that collapsed.
                best = np.lexsort((entries, -values))[: max(top, 1)]
                ranked = tuple((patients[i].item(), float(values[i])) for i in best)
                patient, value = ranked[0]
                accepted = None if self.threshold is None else value >= self.threshold
                found.append(Match(record_id, patient, value, accepted, ranked))
        return found

    def false_match_threshold(self, rate: float) -> float:
        """The similarity that at most this share of pairs of recordings of different patients reaches.

        Taken over all such pairs of the gallery: recordings that were not enrolled may do otherwise.

        Raises:
            ConfigError: the rate is not between 0 and 1, or the gallery has too few pairs to measure it.
        """
        sizes = np.unique(self.patient_ids, return_counts=True)[1].tolist()
        n_pairs = (len(self) ** 2 - sum(size**2 for size in sizes)) // 2
        needed = int(rate * n_pairs + 1) + 1 if 0 < rate < 1 else 1
        highest, step = np.zeros(0), self._rows_a_block
        for start in range(0, len(self), step):
            rows = np.arange(start, min(start + step, len(self)))[:, None]
            others = self.patient_ids[rows] != self.patient_ids[start:]
            once = others & (rows < np.arange(start, len(self)))
            found = (self.embeddings[rows[:, 0]] @ self.embeddings[start:].T)[once]
            highest = np.concatenate([highest, found])
            if len(highest) > needed:
                highest = np.partition(highest, -needed)[-needed:]
        try:
            return false_match_threshold(highest, rate, n_pairs)
        except ValueError as error:
            raise ConfigError(f"{error}; enroll more patients, or choose a larger rate") from None

    @property
    def _rows_a_block(self) -> int:
        return max(1, _BLOCK_PAIRS // len(self))

    def save(self, path: str | Path) -> None:
        """Write the gallery to an `.npz` file, atomically."""
        threshold = np.nan if self.threshold is None else self.threshold
        with whole_file(Path(path)) as partial, partial.open("wb") as file:
            np.savez(file, **{**vars(self), "threshold": threshold})

    @classmethod
    def load(cls, path: str | Path) -> Gallery:
        """A gallery that `save` wrote.

        Raises:
            CheckpointError: the file is not one, or a damaged one.
        """
        try:
            arrays = read_arrays(Path(path), _ARRAYS, CheckpointError, "a gallery")
        except FileNotFoundError:
            raise CheckpointError(f"{path}: there is no such file") from None
        lengths = np.linalg.norm(arrays["embeddings"], axis=1)
        worst = np.abs(lengths - 1).argmax()
        if abs(lengths[worst] - 1) > 1e-5:
            raise CheckpointError(
                f"{path}: embeddings must be of length 1, but row {worst} is of length {lengths[worst]:g}"
            )
        limit = None if np.isnan(arrays["threshold"]) else float(arrays["threshold"])
        names = tuple(arrays["record_ids"].tolist())
        return cls(arrays["embeddings"], arrays["patient_ids"], names, str(arrays["model"]), limit)


def listed_ids(patient_ids: Any) -> Any:
    """Patient ids of any container, such as a pandas column, in a list; anything else as it is.

    Raises:
        ConfigError: there are others than texts and integers, such as blank cells of a table, or "NA".
    """
    ids = np.asarray(patient_ids, dtype=object).tolist()
    if isinstance(ids, list) and not all(map(_is_id, ids)):
        raise ConfigError("patient ids must be texts or integers, one a recording, and none may be missing")
    return ids


def _is_id(value: Any) -> bool:
    return known(value) is not None if isinstance(value, str) else isinstance(value, (int, np.integer))


def enrolled(
    embeddings: ArrayLike, patient_ids: Sequence[Any], record_ids: Sequence[str], model: str
) -> Gallery:
    """A gallery of embeddings (G, D).

    Raises:
        ConfigError: not one id a recording, or ids that are neither all integers nor all texts.
    """
    ids, embeddings = np.asarray(patient_ids), np.asarray(embeddings)
    if ids.shape != (len(embeddings),) or not len(embeddings):
        raise ConfigError(f"{len(embeddings)} recordings need one patient id each, but there are {ids.shape}")
    if ids.dtype.kind not in "iuU":
        raise ConfigError(f"patient ids must be texts or integers, but are {ids.dtype}")
    names = tuple(record_ids)
    rows = l2_normalize(embeddings, "recording", row_names=np.asarray(names, dtype=object))
    return Gallery(rows, ids, names, model)
