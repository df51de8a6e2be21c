"""The raw contents of checkpoint files, read without running what is in them."""

import _codecs
import argparse
import pickle
import re
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch

from fairseq_signals.errors import CheckpointError


def _harmless_globals() -> List[Any]:
    """What a checkpoint may name beyond PyTorch's own types: numpy scalars and arrays, old argument lists."""
    core = getattr(np, "_core", None) or np.core
    multiarray = core.multiarray
    allowed: List[Any] = [np.dtype, np.ndarray, argparse.Namespace]
    for name in ("scalar", "_reconstruct"):
        function = getattr(multiarray, name)
        allowed += [(function, f"numpy.{module}.multiarray.{name}") for module in ("core", "_core")]
    allowed += [type(np.dtype(code)) for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u8", "?")]
    return [*allowed, _codecs.encode]  # numpy stores the bytes of a scalar as encoded text


def read_checkpoint_file(path: Path) -> Dict[str, Any]:
    """The raw contents of a checkpoint file: tensors and plain containers only.

    Raises:
        CheckpointError: no such file, not a checkpoint, or one that holds anything else; it is not executed.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        with torch.serialization.safe_globals(_harmless_globals()):
            raw = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # random bytes can raise nearly anything, but nothing is executed
        raise CheckpointError(f"{path}: {_why_unreadable(error)}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("model"), dict) or not raw["model"]:
        raise CheckpointError(f"{path}: not a fairseq checkpoint: it has no 'model' with parameters")
    return raw


def _why_unreadable(error: Exception) -> str:
    """What PyTorch's refusal to load a file means."""
    refused = re.search(r"(?:unsupported GLOBAL|global: GLOBAL|Unsupported class) ([\w.]+)", str(error))
    if refused is None:
        foreign = isinstance(error, pickle.UnpicklingError)
        detail = "not only tensors and plain containers" if foreign else str(error)[:120]
        return f"not a checkpoint, or a damaged one ({type(error).__name__}: {detail}); nothing was executed"
    name = refused.group(1)
    return (
        f"names {name}, which is not a tensor or plain container, so the file was not loaded. A checkpoint "
        "of fairseq or of the authors' code never needs this; do not trust the file"
    )
