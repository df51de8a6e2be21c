"""Where a model comes from: its file, its training, and what it was saved with. Plain containers."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairseq_signals import __version__
from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.checkpoints.loading import Checkpoint
from fairseq_signals.checkpoints.origin import FINE_TUNED_FROM, fine_tuned_from
from fairseq_signals.checkpoints.presets import Preset
from fairseq_signals.checkpoints.saved_model import SECTIONS
from fairseq_signals.ecg.normalize import NONE, SEGMENT
from fairseq_signals.files import sha256_of


def provenance_of(checkpoint: Checkpoint, preset: Preset | None = None) -> dict[str, Any]:
    """What `config.json` tells of a model's origin; of a saved model, what it told before."""
    origin = fine_tuned_from(checkpoint)
    # weights that were trained further are no more those of a preset, which then is their input only
    known = {"preset": preset.describe()} if preset is not None and origin is None else {}
    if checkpoint.saved is not None:
        told = dict(checkpoint.saved.get("provenance") or {})
        named = {name: value for name, value in (told.get("checkpoint") or {}).items() if name != "path"}
        return {**told, **({"checkpoint": named} if named else {}), **known}
    stat = checkpoint.path.stat()
    return {
        "checkpoint": {
            "name": checkpoint.path.name,
            "path": str(checkpoint.path.absolute()),
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
        },
        "authors_code": checkpoint.from_authors,
        **known,
        **({} if origin is None else {FINE_TUNED_FROM: origin}),
        "progress": dict(checkpoint.progress),
        "best_metric": shareable((checkpoint.cfg.get("checkpoint") or {}).get("best_checkpoint_metric")),
        "training": {name: shareable(checkpoint.cfg[name]) for name in SECTIONS if name in checkpoint.cfg},
    }


def to_share(provenance: dict[str, Any]) -> dict[str, Any]:
    """The provenance as it is saved: the checkpoint by name and SHA-256, and the software that saves it."""
    software = {
        "fairseq_signals": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    file = provenance.get("checkpoint") or {}
    if "path" not in file:
        return {**provenance, "saved_with": software}
    kept = {"name": file["name"], "sha256": _digest_if_unchanged(file)}
    return {**provenance, "checkpoint": kept, "saved_with": software}


def shareable(value: Any) -> Any:
    """A configuration value as JSON can hold it; of absolute paths the last part, the rest is private."""
    if isinstance(value, dict):
        return {str(key): shareable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [shareable(entry) for entry in value]
    if isinstance(value, str) and "/" in value and Path(value).is_absolute():
        return Path(value).name
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def fingerprint(state: Mapping[str, Tensor], form: InputFormat) -> str:
    """32 hexadecimal digits that tell a model's tensors and its segments apart from all others."""
    given = (float(form.fs), tuple(form.leads), form.segment_samples, _normalizes(form))
    told = repr(given)
    plain = InputFormat(form.fs, form.leads, form.normalize, form.max_samples, form.segment_s)
    if form != plain:  # what came later: of a model without it, the digits are as they were
        told += repr(form)
    digest = hashlib.blake2b(told.encode(), digest_size=16)
    for name, value in sorted(state.items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _normalizes(form: InputFormat) -> bool | str:
    """Whether segments are normalised, or over what else."""
    return {NONE: False, SEGMENT: True}.get(form.normalize, form.normalize)


def _digest_if_unchanged(file: dict[str, Any]) -> str | None:
    """SHA-256 of the checkpoint, unless it is gone or was written again since it was loaded."""
    path = Path(file["path"])
    try:
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) != (file["size"], file["mtime_ns"]):
            return None
        return sha256_of(path)
    except OSError:
        return None
