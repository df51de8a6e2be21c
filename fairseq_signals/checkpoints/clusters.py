"""Files of clusters: what `fairseq-signals clusters` writes and `ecg_hubert` reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.errors import CheckpointError
from fairseq_signals.files import whole_file
from fairseq_signals.safety.rules import Array, read_arrays

STATISTICS = "statistics"  #: in place of a checkpoint: `modules.clusters.frame_statistics` of the samples
_RULES = {
    "centres": Array("f", "Kd", -1e12, 1e12),
    "mean": Array("f", "d", -1e12, 1e12),
    "deviation": Array("f", "d", 1e-12, 1e12),
    "stride": Array("iu", "", 1, 1 << 20),
    "layer": Array("iu", "", 0, 1 << 10),
    "source": Array("U", ""),
}


@dataclass(frozen=True)
class ClusterFile:
    """K clusters of features of d numbers.

    Attributes:
        centres: (K, d) float32, of standardised features.
        mean, deviation: (d,) float32 by which they are standardised.
        stride: samples from a frame to the next.
        source: "statistics", or the checkpoint whose frames they are.
        layer: of the checkpoint.
    """

    centres: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    stride: int
    source: str = STATISTICS
    layer: int = 0

    def write(self, path: Path) -> None:
        """Write the file; an old one stays until the new one is whole."""
        arrays: dict[str, Any] = {
            "centres": self.centres,
            "mean": self.mean,
            "deviation": self.deviation,
            "stride": np.array(self.stride),
            "layer": np.array(self.layer),
            "source": np.array(self.source),
        }
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> ClusterFile:
        """Read one.

        Raises:
            CheckpointError: not there, or not such a file.
        """
        try:
            found = read_arrays(path, _RULES, CheckpointError, "a file of clusters")
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{path}: no such file of clusters; write it with `fairseq-signals clusters`"
            ) from error
        return cls(
            found["centres"].astype(np.float32),
            found["mean"].astype(np.float32),
            found["deviation"].astype(np.float32),
            stride=int(found["stride"]),
            source=str(found["source"]),
            layer=int(found["layer"]),
        )
