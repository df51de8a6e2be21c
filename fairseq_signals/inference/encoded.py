"""What a network gave for the segments of one recording, and what that makes of the recording."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.inference.windows import Window, frame_starts, join_frames, weighted_mean
from fairseq_signals.metrics.identification import l2_normalize

AGGREGATES = ("mean", "max")


@dataclass(eq=False)
class Encoded:
    """One recording as a model sees it.

    Attributes:
        record_id: the recording.
        n_samples: its length at the model's sampling rate.
        windows: its segments.
        stride: samples from one frame to the next.
        unit_length: embeddings are of length 1, as those of identification models.
        values: per output ("embedding", "frames", "logit") one array a segment, in the order of the windows.
    """

    record_id: str
    n_samples: int
    windows: list[Window]
    stride: int = 1
    unit_length: bool = False
    values: dict[str, list[np.ndarray]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all segments have been through the network."""
        return bool(self.values) and all(len(parts) == len(self.windows) for parts in self.values.values())

    @property
    def embedding(self) -> np.ndarray:
        """The global representation (D,) float32: mean over segments, weighted by their new samples.

        Embeddings of length 1 are so before and after they are averaged, as in `evaluate`.
        """
        rows = np.stack(self.values["embedding"])
        if len(rows) == 1:
            return rows[0]
        mean = weighted_mean(l2_normalize(rows) if self.unit_length else rows, self.windows)
        return (l2_normalize(mean[None])[0] if self.unit_length else mean).astype(np.float32)

    @property
    def frames(self) -> np.ndarray:
        """The local representations (F, D) float32; where segments overlap, those of the first."""
        return join_frames(self.values["frames"], self.windows, self.stride)

    @property
    def frame_starts(self) -> np.ndarray:
        """The sample, at the model's sampling rate, at which each of `frames` begins, (F,)."""
        return frame_starts(self.windows, [len(part) for part in self.values["frames"]], self.stride)

    def probabilities(self, aggregate: str = "mean") -> np.ndarray:
        """The probability of each class, (C,) float64.

        Args:
            aggregate: of the segments' probabilities: "mean", weighted by their new samples, or "max".
        """
        if aggregate not in AGGREGATES:
            raise ConfigError(f"aggregate must be one of {', '.join(AGGREGATES)}, but is {aggregate!r}")
        of_segments = expit(np.stack(self.values["logit"]).astype(np.float64))  # (W, C)
        return of_segments.max(axis=0) if aggregate == "max" else weighted_mean(of_segments, self.windows)

    def problem(self) -> CheckpointError | None:
        """The error of a recording for which an output is not finite; None for others."""
        for name, parts in self.values.items():
            if not all(np.isfinite(part).all() for part in parts):
                return CheckpointError(
                    f"record {self.record_id}: the model's {name} is not finite; check the training log for "
                    "overflow"
                )
        return None
