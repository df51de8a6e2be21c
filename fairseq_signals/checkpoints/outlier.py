"""The outlier score of a saved model: what the training data look like, beside the parameters.

`metrics/outlier.py` says what it is. In `model.safetensors` its arrays are called `outlier.mean` and so on.
"""

from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import torch
from torch import Tensor

from fairseq_signals.errors import CheckpointError

_PREFIX = "outlier."
#: Its arrays, and the axes of each: D features, N usual records.
_AXES: Dict[str, Tuple[str, ...]] = {"mean": ("D",), "whitening": ("D", "D"), "usual": ("N",)}


def outlier_state(arrays: Dict[str, np.ndarray]) -> Dict[str, Tensor]:
    """The arrays of a score as tensors with the names that they are saved by."""
    return {_PREFIX + name: torch.from_numpy(arrays[name]) for name in _AXES}


def take_outlier(state: Dict[str, Tensor], dim: int, path: Path) -> Dict[str, np.ndarray]:
    """The arrays of the score, taken out of what a file holds; empty where there is none.

    Args:
        state: all tensors of the file; those of the score are removed.
        dim: D, the width of the encoder.
        path: the file.

    Raises:
        CheckpointError: one is missing, of another shape, or not of finite float32, or the distances do not
            ascend from 0.
    """
    found = {key[len(_PREFIX) :]: state.pop(key) for key in list(state) if key.startswith(_PREFIX)}
    if not found:
        return {}
    lengths = {"D": dim, "N": found["usual"].numel() if "usual" in found else 0}
    if set(found) != set(_AXES):
        raise CheckpointError(
            f"{path}: of an outlier score it has {', '.join(sorted(found))}, not {', '.join(_AXES)}"
        )
    for name, axes in _AXES.items():
        value, shape = found[name], tuple(lengths[axis] for axis in axes)
        if (
            value.dtype != torch.float32
            or value.shape != shape
            or not (value.numel() and bool(value.isfinite().all()))
        ):
            raise CheckpointError(
                f"{path}: {_PREFIX}{name} must be finite float32 of shape {shape}, but is {value.dtype} of "
                f"{tuple(value.shape)} or not finite; the file is damaged: get it again"
            )
    usual = found["usual"]
    if bool((usual.diff(prepend=usual.new_zeros(1)) < 0).any()):
        raise CheckpointError(
            f"{path}: {_PREFIX}usual must ascend from 0 or more; the file is damaged: get it again"
        )
    return {name: value.numpy().copy() for name, value in found.items()}
