"""The raw contents of checkpoint files, read without running what is in them."""

import _codecs
import argparse
import contextlib
import pickle
import re
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch

from fairseq_signals.errors import CheckpointError

# torch 2.6 is the first that reads allow-listed globals by their old and new names
_ZIP = b"PK\x03\x04"  # how the files begin that PyTorch reads as archives, and not as tar or pickle
CAN_ALLOW_GLOBALS = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6)


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
    allowed: Any = contextlib.nullcontext()
    if CAN_ALLOW_GLOBALS:
        allowed = torch.serialization.safe_globals(_harmless_globals())
    else:
        _require_archive(path)
    try:
        with allowed:
            raw = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # random bytes can raise nearly anything, but nothing is executed
        raise CheckpointError(f"{path}: {_why_unreadable(error)}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("model"), dict) or not raw["model"]:
        raise CheckpointError(f"{path}: not a fairseq checkpoint: it has no 'model' with parameters")
    return raw


def _require_archive(path: Path) -> None:
    """Raise CheckpointError for formats of which torch < 2.6 runs what is in them (CVE-2025-32434).

    By the first bytes, as torch.load decides: an archive further down does not count.
    """
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            raise CheckpointError(
                f"{path}: not a checkpoint, or a damaged one, or in the format of PyTorch before 1.6, which "
                f"torch {torch.__version__} cannot read safely; nothing was executed. Use torch >= 2.6"
            )


def _why_unreadable(error: Exception) -> str:
    """What PyTorch's refusal to load a file means."""
    refused = re.search(r"(?:unsupported GLOBAL|global: GLOBAL|Unsupported class) ([\w.]+)", str(error))
    if refused is None:
        foreign = isinstance(error, pickle.UnpicklingError)
        detail = "not only tensors and plain containers" if foreign else str(error)[:120]
        return f"not a checkpoint, or a damaged one ({type(error).__name__}: {detail}); nothing was executed"
    name = refused.group(1)
    if name.startswith("numpy.") and not CAN_ALLOW_GLOBALS:
        advice = "Load it with torch >= 2.6, which can read numpy's types safely"
    else:
        advice = "A checkpoint of fairseq or of the authors' code never needs this; do not trust the file"
    return f"names {name}, which is not a tensor or plain container, so the file was not loaded. {advice}"
