"""Which public weights a checkpoint was fine-tuned from: noted in training, told by saved models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairseq_signals.checkpoints.presets import NO_PRESET, Preset, find_preset, recognised
from fairseq_signals.errors import CheckpointError
from fairseq_signals.files import sha256_of
from fairseq_signals.safety.rules import Rule, check, section, text

if TYPE_CHECKING:
    from fairseq_signals.checkpoints.loading import Checkpoint

#: The key in the task's state of a checkpoint, and in the provenance of a model.
FINE_TUNED_FROM = "fine_tuned_from"
#: What is told of public weights, as `Preset.describe` does, and of the file that they were read from.
WEIGHTS_RULES: dict[str, Rule] = dict.fromkeys(
    ("name", "title", "source", "licence", "file", "sha256"), text()
)


def preset_of_origin(source: Checkpoint, name: str | None) -> Preset | None:
    """The preset of weights that a training starts from: of the authors' code and so named, or recognised.

    Args:
        source: the pre-trained checkpoint.
        name: `task.preset`.
    """
    if name not in (None, NO_PRESET) and source.from_authors:
        return find_preset(name)
    return recognised(source)


def public_weights(source: Checkpoint, name: str | None = None) -> dict[str, Any] | None:
    """What a training that starts from a checkpoint notes of the public weights in it; None: it has none.

    Args:
        source, name: as of `preset_of_origin`.

    Raises:
        CheckpointError: what the checkpoint notes is not as it must be.
    """
    before = fine_tuned_from(source)
    if before is not None:
        return before
    if source.saved is not None:
        provenance = source.saved.get("provenance") or {}
        file = provenance.get("checkpoint") or {}
        told = {**(provenance.get("preset") or {}), "file": file.get("name"), "sha256": file.get("sha256")}
        known = {key: value for key, value in told.items() if value is not None}
        return known if "name" in known and "title" in known else None
    preset = preset_of_origin(source, name)
    if preset is None:
        return None
    return {**preset.describe(), "file": source.path.name, "sha256": sha256_of(source.path)}


def fine_tuned_from(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What the training of a checkpoint noted of the public weights that it started from; None: nothing.

    Raises:
        CheckpointError: it is not as it must be.
    """
    saved = checkpoint.saved
    noted = checkpoint.task_state if saved is None else saved.get("provenance") or {}
    rules = {FINE_TUNED_FROM: section(WEIGHTS_RULES)}
    check(noted, rules, f"{checkpoint.path}: ", CheckpointError)
    return noted.get(FINE_TUNED_FROM)
