"""The configuration in a checkpoint, as several versions of fairseq and of the authors' code write it."""

import re
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from fairseq_signals.checkpoints.input_format import TASK_RULES
from fairseq_signals.errors import CheckpointError
from fairseq_signals.modules.encoder_config import ARCHITECTURE, ENCODER_RULES
from fairseq_signals.safety.rules import check, text

Section = Dict[str, Any]
#: Under which a fine-tuned model of the authors' code names the checkpoint of its pre-training.
_ORIGIN = ("model_path", "w2v_path")
#: Options that only models of the authors' code have.
_AUTHORS = ("saliency", "args", "w2v_args")
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_MISSING = "???"


def sections(found: Any) -> Dict[str, Section]:
    """The sections of a configuration by name, plain containers.

    Args:
        found: sections, as fairseq has written them since 2020, or one list of all options, as before.
    """
    if not isinstance(found, dict):
        return {}
    if "model" not in found and any(key in found for key in ARCHITECTURE):
        task = {key: found[key] for key in TASK_RULES if key in found}
        criterion = {key: found[key] for key in ("threshold",) if key in found}
        return {"model": dict(found), "task": task, "criterion": criterion}
    return {name: _resolved(section, found) for name, section in found.items() if isinstance(section, dict)}


def _resolved(value: Any, cfg: Section) -> Any:
    """The same with references such as "${task.data}" replaced; None where there is no value."""
    if isinstance(value, dict):
        return {key: _resolved(entry, cfg) for key, entry in value.items()}
    if not isinstance(value, str):
        return value
    reference = _REFERENCE.fullmatch(value)
    if reference is None:
        return None if value == _MISSING else value
    found: Any = cfg
    for name in reference.group(1).split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return None if isinstance(found, dict) or (isinstance(found, str) and "${" in found) else found


def encoder_options(model: Section, path: Path) -> Tuple[Section, bool]:
    """The options of the encoder in a model's section, and whether they are its pre-training's own.

    A fine-tuned model of the authors' code takes its encoder as it was pre-trained, whatever its own section
    says of that; some versions keep the configuration of the pre-training within it.

    Raises:
        CheckpointError: one is not as it must be; names the file and the key.
    """
    check(model, {**ENCODER_RULES, **dict.fromkeys(_ORIGIN, text())}, f"{path}: model.", CheckpointError)
    for name, nested in model.items():
        inner = sections(nested).get("model", {})
        carried = {key: inner[key] for key in ARCHITECTURE if key in inner}
        if carried:
            check(inner, ENCODER_RULES, f"{path}: model.{name}.model.", CheckpointError)
            return {
                **{key: value for key, value in model.items() if key not in ARCHITECTURE},
                **carried,
            }, True
    return model, False


def origin_of(model: Section) -> Optional[str]:
    """The pre-trained checkpoint that a model's section names."""
    return next((model[key] for key in _ORIGIN if model.get(key)), None)


def is_of_authors(model: Section) -> bool:
    """Whether a model's section is of the authors' code."""
    return any(key in model for key in _AUTHORS)
