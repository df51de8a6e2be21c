"""A gallery of enrolled recordings: whose another recording is, or whether it is of whom it is said to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.files import whole_file
from fairseq_signals.inference.patients import listed_ids
from fairseq_signals.inference.results import Match, Verification
from fairseq_signals.metrics.identification import (
    AS_NORM_TOP,
    TIE_DECIMALS,
    as_norm,
    l2_normalize,
    nearest_by_patient,
)
from fairseq_signals.metrics.verification import ClaimErrors, false_match_threshold
from fairseq_signals.safety.rules import Array, read_arrays

_BLOCK_PAIRS = 2**23  # similarities computed at a time
_ARRAYS = {
    "embeddings": Array("f", "GD"),
    "patient_ids": Array("iuU", "G"),
    "record_ids": Array("U", "G"),
    "model": Array("U"),
    "threshold": Array("fiu", "", nan=True),
    "cohort": Array("f", "CD", required=False),
    "cohort_top": Array("iu", "", low=2, required=False),
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
        cohort: (C, D) float64 of length 1, other people by whom similarities are normalised, see `as_norm`.
        cohort_top: how many of them count.
    """

    embeddings: np.ndarray
    patient_ids: np.ndarray
    record_ids: tuple[str, ...]
    model: str
    threshold: float | None = None
    cohort: np.ndarray | None = None
    cohort_top: int = AS_NORM_TOP

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def n_patients(self) -> int:
        """How many people are enrolled."""
        return len(self._patients)

    def with_threshold(self, threshold: float | None) -> Gallery:
        """The same gallery with another acceptance threshold."""
        if threshold is not None and self.cohort is None and not -1 <= threshold <= 1:
            raise ConfigError(f"threshold is a cosine, from -1 to 1, but is {threshold}")
        return replace(self, threshold=threshold)

    def with_cohort(self, embeddings: ArrayLike, top: int = AS_NORM_TOP) -> Gallery:
        """The same gallery with similarities normalised by those with other people; its threshold is gone.

        Args:
            embeddings: (C, D), one a person who is not enrolled, by the same model.
            top: how many of the highest similarities count, see `metrics.identification.as_norm`.

        Raises:
            ConfigError: too few people, or such that tell nothing.
        """
        cohort = l2_normalize(embeddings, "cohort")
        changed = replace(self, threshold=None, cohort=cohort, cohort_top=top)
        try:
            _ = changed._sides
        except ValueError as error:
            raise ConfigError(f"AS-norm: {error}") from None
        return changed

    def match(self, embeddings: ArrayLike, record_ids: Sequence[str], top: int = 5) -> list[Match]:
        """The most similar patients of each recording: one with several recordings counts by the nearest.

        Similarities are rounded as in `metrics.identification`; of equals, the one that was enrolled first is
        ahead.

        Args:
            embeddings: (P, D), of any length.
            record_ids: (P,) what the recordings are called.
            top: how many patients are ranked.
        """
        found = []
        for record_id, (_, nearest, order) in zip(record_ids, self._compared(embeddings, record_ids)):
            best = order[: max(top, 1)]
            ranked = tuple((self._patients[i].item(), float(nearest[i])) for i in best)
            patient, value = ranked[0]
            accepted = None if self.threshold is None else value >= self.threshold
            found.append(Match(record_id, patient, value, accepted, ranked))
        return found

    def verify(
        self,
        embeddings: ArrayLike,
        patient_ids: Sequence[Any],
        record_ids: Sequence[str],
        enrolled_as: Sequence[int] | None = None,
    ) -> list[Verification]:
        """Whether each recording is of the patient it is said to be of, by this patient's recordings alone.

        Args:
            embeddings: (P, D), of any length.
            patient_ids: (P,) whom each is said to be of; of somebody who is not enrolled nothing is decided.
            record_ids: (P,) what the recordings are called.
            enrolled_as: (P,) which recording of the gallery it is itself, with which it is not compared; -1:
                none.

        Raises:
            ConfigError: not one patient a recording, or texts where the gallery has integers, or the reverse.
        """
        claimed = np.asarray(listed_ids(patient_ids)) if len(record_ids) else self.patient_ids[:0]
        if claimed.shape != (len(record_ids),):
            raise ConfigError(
                f"{len(record_ids)} recordings take a patient each, but there are {claimed.size} patients"
            )
        if (claimed.dtype.kind == "U") != (self.patient_ids.dtype.kind == "U"):
            raise ConfigError(
                f"patients are {self.patient_ids.dtype} in the gallery, but {claimed.dtype} in the claims"
            )
        skip = None if enrolled_as is None else np.asarray(enrolled_as)
        found = []
        compared = self._compared(embeddings, record_ids, skip)
        for record_id, patient, (similarity, nearest, order) in zip(record_ids, claimed, compared):
            own = np.round(similarity[self.patient_ids == patient], TIE_DECIMALS)
            own = own[np.isfinite(own)]
            highest, mean = (float(own.max()), float(own.mean())) if len(own) else (np.nan, np.nan)
            accepted = None if self.threshold is None or not len(own) else highest >= self.threshold
            first = self._patients[order[0]].item(), float(nearest[order[0]])
            found.append(Verification(record_id, patient.item(), len(own), highest, mean, accepted, *first))
        return found

    def claim_errors(self) -> ClaimErrors:
        """How often claims are decided wrongly: the gallery's own recordings tell, each against the others.

        Raises:
            ConfigError: the gallery has no threshold.
        """
        if self.threshold is None:
            raise ConfigError(
                "claims are decided by a threshold, but the gallery has none; see with_threshold"
            )
        n_accepted = n_impostor = n_rejected = n_genuine = 0
        itself = np.arange(len(self))
        for own, (_, nearest, _) in zip(self._whose, self._compared(self.embeddings, itself, itself)):
            accepted, has_others = nearest >= self.threshold, bool(np.isfinite(nearest[own]))
            n_accepted += int(accepted.sum() - accepted[own])
            n_impostor += len(nearest) - 1
            n_rejected += int(has_others and not accepted[own])
            n_genuine += has_others
        return ClaimErrors(n_accepted, n_impostor, n_rejected, n_genuine)

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
        as_gallery, as_probe = self._sides
        for start in range(0, len(self), step):
            rows = np.arange(start, min(start + step, len(self)))[:, None]
            others = self.patient_ids[rows] != self.patient_ids[start:]
            once = others & (rows < np.arange(start, len(self)))
            found = (as_probe[rows[:, 0]] @ as_gallery[start:].T)[once]
            highest = np.concatenate([highest, np.round(found, TIE_DECIMALS)])
            if len(highest) > needed:
                highest = np.partition(highest, -needed)[-needed:]
        try:
            return false_match_threshold(highest, rate, n_pairs)
        except ValueError as error:
            raise ConfigError(f"{error}; enroll more patients, or choose a larger rate") from None

    def _compared(
        self, embeddings: ArrayLike, record_ids: Sequence[Any] | np.ndarray, skip: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Of each recording its similarities (G,), each patient's nearest (K,), and their order by it (K,).

        `skip` (P,) are entries that it is not compared with, where they are not negative.
        """
        if not len(record_ids):
            return
        probes = l2_normalize(embeddings, "recording", row_names=np.asarray(record_ids, dtype=object))
        if self.cohort is not None:
            probes = as_norm(probes, self.cohort, self.cohort_top)[1]
        for start in range(0, len(probes), self._rows_a_block):
            block = slice(start, start + self._rows_a_block)
            similarity = probes[block] @ self._sides[0].T
            if skip is not None:
                rows = np.flatnonzero(skip[block] >= 0)
                similarity[rows, skip[block][rows]] = -np.inf
            nearest, entry = nearest_by_patient(similarity, self._whose)  # (P, K)
            # By similarity, then by who was enrolled first. `patients` are in the order of their names,
            # on which a tie must not depend: one recording under two ids, or embeddings that collapsed.
            yield from zip(similarity, nearest, np.lexsort((entry, -nearest)))

    @cached_property
    def _sides(self) -> tuple[np.ndarray, np.ndarray]:
        """The embeddings as gallery entries, and as probes."""
        if self.cohort is None:
            return self.embeddings, self.embeddings
        return as_norm(self.embeddings, self.cohort, self.cohort_top)

    @cached_property
    def _patients(self) -> np.ndarray:
        return np.unique(self.patient_ids)

    @cached_property
    def _whose(self) -> np.ndarray:
        return np.searchsorted(self._patients, self.patient_ids)

    @property
    def _rows_a_block(self) -> int:
        return max(1, _BLOCK_PAIRS // len(self))

    def save(self, path: str | Path) -> None:
        """Write the gallery to an `.npz` file, atomically."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays["threshold"] = np.nan if self.threshold is None else self.threshold
        if self.cohort is None:
            del arrays["cohort"], arrays["cohort_top"]
        with whole_file(Path(path)) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

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
        for name in ("embeddings", "cohort"):
            lengths = np.linalg.norm(arrays.get(name, np.ones((1, 1))), axis=1)
            worst = np.abs(lengths - 1).argmax()
            if abs(lengths[worst] - 1) > 1e-5:
                raise CheckpointError(
                    f"{path}: {name} must be of length 1, but row {worst} is of length {lengths[worst]:g}"
                )
        limit = None if np.isnan(arrays["threshold"]) else float(arrays["threshold"])
        names = tuple(arrays["record_ids"].tolist())
        cohort, top = arrays.get("cohort"), int(arrays.get("cohort_top", AS_NORM_TOP))
        gallery = cls(
            arrays["embeddings"], arrays["patient_ids"], names, str(arrays["model"]), None, cohort, top
        )
        try:
            return gallery.with_threshold(limit)
        except ConfigError as error:
            raise CheckpointError(f"{path}: {error}") from None


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
