"""What a network gave for the segments of one recording, and what that makes of the recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, softmax

from fairseq_signals.checkpoints.input_format import AGGREGATES, MAX, MEAN
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.inference.windows import Window, frame_starts, join_frames, weighted_mean
from fairseq_signals.metrics.identification import l2_normalize


@dataclass(eq=False)
class Encoded:
    """One recording as a model sees it.

    Attributes:
        record_id: the recording.
        n_samples: its length at the model's sampling rate.
        windows: its segments.
        stride: samples from one frame to the next.
        unit_length: embeddings are of length 1, as those of identification models.
        exclusive: a classifier's classes exclude each other.
        values: per output ("embedding", "frames", "logit", "joint", "middle") an array of the windows'
            values, (W, ...).
        n_done: of how many windows, the first ones, each output is there.
    """

    record_id: str
    n_samples: int
    windows: list[Window]
    stride: int = 1
    unit_length: bool = False
    exclusive: bool = False
    values: dict[str, np.ndarray] = field(default_factory=dict)
    n_done: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: np.ndarray) -> None:
        """An output of the next window; all windows of a recording are of one length."""
        if name not in self.values:
            # at once: small pieces among the network's memory would keep it from being freed
            self.values[name] = np.empty((len(self.windows), *value.shape), value.dtype)
            self.n_done[name] = 0
        self.values[name][self.n_done[name]] = value
        self.n_done[name] += 1

    @property
    def complete(self) -> bool:
        """Whether all segments have been through the network."""
        return bool(self.values) and all(n == len(self.windows) for n in self.n_done.values())

    @property
    def embedding(self) -> np.ndarray:
        """The global representation (D,) float32: mean over segments, weighted by their new samples.

        Embeddings of length 1 are so before and after they are averaged, as in `evaluate`.
        """
        rows = self.values["embedding"]
        if len(rows) == 1:
            return rows[0]
        mean = weighted_mean(l2_normalize(rows) if self.unit_length else rows, self.windows)
        return (l2_normalize(mean[None])[0] if self.unit_length else mean).astype(np.float32)

    @property
    def middle(self) -> np.ndarray:
        """The same of the middle layer (D,) float64, of which outlier scores are made."""
        return weighted_mean(self.values["middle"].astype(np.float64), self.windows)

    @property
    def joint(self) -> np.ndarray:
        """The vector (J,) float64 that is compared with those of texts: mean over segments, of length 1."""
        mean = weighted_mean(self.values["joint"].astype(np.float64), self.windows)
        return l2_normalize(mean[None])[0]

    @property
    def frames(self) -> np.ndarray:
        """The local representations (F, D) float32; where segments overlap, those of the first."""
        return join_frames(list(self.values["frames"]), self.windows, self.stride)

    @property
    def frame_starts(self) -> np.ndarray:
        """The sample, at the model's sampling rate, at which each of `frames` begins, (F,)."""
        return frame_starts(self.windows, [len(part) for part in self.values["frames"]], self.stride)

    @property
    def logit(self) -> np.ndarray:
        """What the head gives, (K,) float64: mean over segments, weighted by their new samples.

        Of a regression these are its standardised targets.
        """
        return weighted_mean(self.values["logit"].astype(np.float64), self.windows)

    def probabilities(self, aggregate: str | Sequence[str] = MEAN) -> np.ndarray:
        """The probability of each class, (C,) float64.

        Args:
            aggregate: of the segments' probabilities: "mean", weighted by their new samples, or "max"; for
                all classes, or one for each.

        Raises:
            ConfigError: it is neither of them.
        """
        asked = {aggregate} if isinstance(aggregate, str) else set(aggregate)
        if not asked <= set(AGGREGATES):
            raise ConfigError(f"aggregate must be one of {', '.join(AGGREGATES)}, but is {aggregate!r}")
        logits = self.values["logit"].astype(np.float64)  # (W, C)
        of_segments = softmax(logits, axis=1) if self.exclusive else expit(logits)
        largest = np.broadcast_to(np.asarray(aggregate) == MAX, of_segments.shape[1:])
        return np.where(largest, of_segments.max(axis=0), weighted_mean(of_segments, self.windows))

    def problem(self) -> CheckpointError | None:
        """The error of a recording for which an output is not finite; None for others."""
        for name, parts in self.values.items():
            if not np.isfinite(parts).all():
                return CheckpointError(
                    f"record {self.record_id}: the model's {name} is not finite; check the training log for "
                    "overflow"
                )
        return None
