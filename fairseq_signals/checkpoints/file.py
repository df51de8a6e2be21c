"""The raw contents of checkpoint files, read without running what is in them, and without damage."""

import _codecs
import argparse
import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import torch

from fairseq_signals.checkpoints.inert import Inert, inside, may_be_inert, plain
from fairseq_signals.checkpoints.weights import require_tensors
from fairseq_signals.errors import CheckpointError
from fairseq_signals.safety.rules import too_nested

LARGEST_PICKLE = 1 << 24  # bytes of the configuration and all names: those of fairseq are a hundredth of that
_BLOCK = 1 << 22
#: Parts whose values are looked into; the state of an optimizer is not.
_LOOKED_INTO = ("cfg", "args", "task_state", "extra_state", "optimizer_history")


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

    Tensors stay on the disk until they are used, so that what does not fit its configuration takes no memory.
    Options that were saved as objects of argparse or omegaconf are given as dictionaries and lists.

    Raises:
        CheckpointError: no such file, not a checkpoint, damaged, or one that holds anything else; it is not
            executed.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        allowed, mapped = _harmless_globals(), is_archive(path)
        if mapped:
            _check_archive(path)
            named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            allowed += [(Inert, name) for name in named if may_be_inert(name)]
        with torch.serialization.safe_globals(allowed):
            raw = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        if not isinstance(raw, dict) or not isinstance(raw.get("model"), dict) or not raw["model"]:
            raise CheckpointError(f"{path}: not a fairseq checkpoint: it has no 'model' with parameters")
        require_tensors(raw["model"], path)
        for part in _LOOKED_INTO:
            problem = too_nested(raw.get(part), inside)
            if problem:
                raise CheckpointError(f"{path}: its '{part}' {problem}; no checkpoint of fairseq does")
            if part in raw:
                raw[part] = plain(raw[part])
    except CheckpointError:
        raise
    except Exception as error:  # random bytes can raise nearly anything, but nothing is executed
        raise CheckpointError(f"{path}: {_why_unreadable(error, path)}") from error
    return raw


def is_archive(path: Path) -> bool:
    """Whether a checkpoint is a zip file, as PyTorch writes them since 1.6; these are mapped, not read."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def _check_archive(path: Path) -> None:
    """Compare sizes and check sums of what is in a checkpoint, which `torch.load` does not.

    Raises:
        CheckpointError, zipfile.BadZipFile: they differ, or it is packed: PyTorch never does, and what comes
            out may be a thousand times as large.
    """
    with zipfile.ZipFile(path) as archive:
        members, size = archive.infolist(), path.stat().st_size
        claimed = sum(member.file_size for member in members)
        if claimed > size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise CheckpointError(
                f"{path}: takes {claimed:,} bytes out of {size:,} in the file, but a checkpoint is never "
                "compressed; do not trust the file"
            )
        for member in members:
            if member.filename.endswith("/data.pkl") and member.file_size > LARGEST_PICKLE:
                raise CheckpointError(
                    f"{path}: {member.filename} is {member.file_size:,} bytes, but at most "
                    f"{LARGEST_PICKLE:,} are read; it is no checkpoint of fairseq"
                )
        if not any(member.CRC for member in members):
            return  # written without check sums: torch.serialization.set_crc32_options(False)
        for member in members:
            with archive.open(member) as content:
                while content.read(_BLOCK):
                    pass


def _left_by_download(path: Path) -> Optional[str]:
    """What lies in place of the weights where a download went wrong, and what to do."""
    with path.open("rb") as file:
        beginning = file.read(64).lstrip().lower()
    if beginning.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS in place of the weights: run `git lfs pull`, or download the file itself"
    if beginning.startswith((b"<!doctype", b"<html")):
        return "a web page in place of the weights: download the file itself"
    if is_archive(path) and not zipfile.is_zipfile(path):
        return f"its end is missing after {path.stat().st_size:,} bytes: download or copy it again"
    return None


def _why_unreadable(error: Exception, path: Path) -> str:
    """What PyTorch's refusal to load a file means."""
    refused = re.search(r"(?:unsupported GLOBAL|global: GLOBAL|Unsupported class) ([\w.]+)", str(error))
    if refused is None:
        foreign = isinstance(error, pickle.UnpicklingError)
        detail = "not only tensors and plain containers" if foreign else str(error)[:120]
        told = _left_by_download(path) or f"{type(error).__name__}: {detail}"
        return f"not a checkpoint, or a damaged one ({told}); nothing was executed"
    name = refused.group(1)
    return (
        f"names {name}, which is not a tensor or plain container, so the file was not loaded. A checkpoint "
        "of fairseq or of the authors' code never needs this; do not trust the file"
    )


def progress_of(raw: Dict[str, Any]) -> Dict[str, float]:
    """How far the training of a checkpoint's raw contents was; what is not a number there is left out."""
    history, extra = raw.get("optimizer_history"), section_of(raw.get("extra_state"))
    iterator = section_of(extra.get("train_iterator"))
    epoch = iterator.get("epoch")
    if isinstance(epoch, int) and iterator.get("iterations_in_epoch") == 0:
        epoch -= 1  # that is the next one, which has not begun
    found = {
        "num_updates": history[-1].get("num_updates")
        if isinstance(history, list) and history and isinstance(history[-1], dict)
        else None,
        "epoch": epoch,
        "best": extra.get("best"),
        "valid": extra.get("val_loss"),  # so fairseq calls the value of whatever metric decides
    }
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, (int, float)) and abs(value) < math.inf
    }


def section_of(node: Any) -> Dict[str, Any]:
    """A part of a checkpoint that is a dictionary; an empty one in place of anything else."""
    return dict(node) if isinstance(node, dict) else {}
