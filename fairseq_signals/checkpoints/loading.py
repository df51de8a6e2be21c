"""Reading checkpoints, ours and the authors', without running what is in them and without fairseq."""

import logging
import math
import os
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from torch import Tensor

from fairseq_signals.checkpoints.adapters import without_adapters
from fairseq_signals.checkpoints.file import read_checkpoint_file
from fairseq_signals.checkpoints.saved_model import CONFIG, WEIGHTS, read_saved_model
from fairseq_signals.checkpoints.shapes import NoRandomFill, StateDict, encoder_state, shape_problems
from fairseq_signals.checkpoints.weights import require_trained
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError
from fairseq_signals.modules.encoder import ARCHITECTURE, ECGEncoder
from fairseq_signals.modules.encoder_config import ENCODER_RULES, EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier, PooledEncoder
from fairseq_signals.modules.lora import LORA_RULES
from fairseq_signals.safety.rules import check, text
from fairseq_signals.safety.text import visible

logger = logging.getLogger(__name__)

PRETRAINING_ONLY = (
    "quantizer.",
    "project_q.",
    "final_proj.",
    "input_quantizer.",
    "project_inp.",
    "target_glu.",
)
_WEIGHT_NORM = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}
_AUTHORS_OPTION = "saliency"  # a model option that only their configurations have
_HEADS = {"proj.weight": "classification", "kernel": "identification"}


@dataclass
class Checkpoint:
    """A checkpoint in our key names.

    Attributes:
        path: the file.
        kind: "pretraining", "classification" or "identification".
        state: parameters; the encoder's begin with "encoder.".
        config: the encoder's options, complete in what decides its shape.
        model_cfg, task_cfg: sections of the configuration as saved, plain containers.
        from_authors: the parameters had the authors' key names.
        cfg: all sections of the configuration, by name.
        task_state: what the task noted, such as its `labels`.
        progress: how far training was: `num_updates`, `epoch`, `best`, `val_loss`, as far as the file says.
        saved: `config.json` of a saved model, see `saved_model.py`; None for a training checkpoint.
    """

    path: Path
    kind: str
    state: StateDict
    config: EncoderConfig
    model_cfg: Dict[str, Any] = field(default_factory=dict)
    task_cfg: Dict[str, Any] = field(default_factory=dict)
    from_authors: bool = False
    cfg: Dict[str, Any] = field(default_factory=dict)
    task_state: Dict[str, Any] = field(default_factory=dict)
    progress: Dict[str, float] = field(default_factory=dict)
    saved: Optional[Dict[str, Any]] = None

    @property
    def encoder_state(self) -> StateDict:
        """The encoder's parameters without their prefix."""
        return encoder_state(self.state)


def load_checkpoint(path: Any, follow_origin: bool = True, origin: Any = None) -> Checkpoint:
    """Read a checkpoint of ours or of the authors' code, or a saved model's folder; key names mapped to ours.

    The encoder's options come from the saved configuration and are checked against the parameters' shapes.
    A fine-tuned checkpoint of the authors' code does not hold its encoder's options: they are then read from
    the pre-trained checkpoint that it names, at that place or beside it (if `follow_origin`).

    Args:
        path: the file, or a folder that `ECGModel.save` wrote.
        follow_origin: look for the pre-trained checkpoint where it is needed.
        origin: where that is, if neither where the file says nor beside it.

    Raises:
        CheckpointError: see `read_checkpoint_file`; or parameters that are not an ECG encoder's.
    """
    path = Path(path)
    if path.is_dir():
        return _of_saved_model(path)
    raw = read_checkpoint_file(path)
    state, from_authors = _our_names(raw["model"], path)
    cfg = {name: section for name, section in _plain(raw.get("cfg")).items() if isinstance(section, dict)}
    model_cfg, task_cfg = (_plain(cfg.get(part)) for part in ("model", "task"))
    rules = {**ENCODER_RULES, "model_path": text(), "lora_alpha": LORA_RULES["lora_alpha"]}
    check(model_cfg, rules, f"{path}: model.", CheckpointError)
    state = without_adapters(state, model_cfg, path)
    config = encoder_config(model_cfg)
    kind = next((kind for key, kind in _HEADS.items() if key in state), "pretraining")
    origin = origin or model_cfg.get("model_path")
    hint = ""
    if follow_origin and origin and (_AUTHORS_OPTION in model_cfg or shape_problems(config, state)):
        hint = _adopt_origin(config, path, Path(origin))
    problems = shape_problems(config, state)
    if problems:
        raise CheckpointError(
            f"{path}: its configuration does not describe its parameters ({'; '.join(problems)})"
            + (f". {hint}" if hint else "")
        )
    require_trained({key: value for key, value in state.items() if _is_used(key)}, path)
    if hint:
        logger.warning("%s: %s; heads, strides and the order of norms are now only its own word", path, hint)
    return Checkpoint(
        path=path,
        kind=kind,
        state=state,
        config=config,
        model_cfg=model_cfg,
        task_cfg=task_cfg,
        from_authors=from_authors,
        cfg=cfg,
        task_state=_plain(raw.get("task_state")),
        progress=_progress(raw),
    )


def _of_saved_model(folder: Path) -> Checkpoint:
    saved, state = read_saved_model(folder)
    config = encoder_config(saved["encoder"])
    problems = shape_problems(config, state)
    if problems:
        raise CheckpointError(f"{folder}: {CONFIG} does not describe {WEIGHTS} ({'; '.join(problems)})")
    require_trained(state, folder / WEIGHTS)
    provenance = saved.get("provenance") or {}
    cfg = provenance.get("training") or {}
    task_cfg = {
        **(cfg.get("task") or {}),
        "sample_rate": saved["fs"],
        "leads_to_load": list(saved["leads"]),
        "enable_padding_leads": list(saved["leads"]) == list(LEADS),
        "normalize": saved["normalize"],
        "max_sample_size": saved.get("max_samples"),
    }
    return Checkpoint(
        path=folder,
        kind=saved["kind"],
        state=state,
        config=config,
        model_cfg=cfg.get("model") or {},
        task_cfg=task_cfg,
        cfg=cfg,
        progress=provenance.get("progress") or {},
        saved=saved,
    )


def _progress(raw: Dict[str, Any]) -> Dict[str, float]:
    """How far the training of a checkpoint's raw contents was; what is not a number there is left out."""
    history, extra = raw.get("optimizer_history"), _plain(raw.get("extra_state"))
    found = {
        "num_updates": history[-1].get("num_updates")
        if isinstance(history, list) and history and isinstance(history[-1], dict)
        else None,
        "epoch": _plain(extra.get("train_iterator")).get("epoch"),
        "best": extra.get("best"),
        "val_loss": extra.get("val_loss"),
    }
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, (int, float)) and abs(value) < math.inf
    }


def _adopt_origin(config: EncoderConfig, path: Path, origin: Path) -> str:
    """Take the encoder's options from the pre-trained checkpoint; what to do where it is gone, else ""."""
    for place in (origin, path.parent / origin.name):
        if os.path.isfile(place) and place.resolve() != path.resolve():
            source = load_checkpoint(place, follow_origin=False).config
            for name in ARCHITECTURE:
                setattr(config, name, getattr(source, name))
            return ""
    return (
        f"Put the pre-trained checkpoint {visible(origin.name)} beside it: a fine-tuned checkpoint of the "
        "authors' code takes its encoder's options from there"
    )


def load_model(path: Any, device: str = "cpu") -> Tuple[PooledEncoder, Checkpoint]:
    """A fine-tuned model in evaluation mode, and its checkpoint.

    Returns:
        `ECGClassifier` (gives logits) or `ECGIdentifier` (gives L2-normalised embeddings).

    Raises:
        CheckpointError: the checkpoint is of pre-training, or its parameters do not fit.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.kind == "pretraining":
        raise CheckpointError(f"{path}: a pre-trained model has no task yet; fine-tune it first")
    return build_model(checkpoint, device), checkpoint


def build_model(checkpoint: Checkpoint, device: str = "cpu") -> PooledEncoder:
    """The model of a checkpoint in evaluation mode.

    Returns:
        `ECGClassifier`, `ECGIdentifier`, or, of pre-training, a `PooledEncoder` without a head.

    Raises:
        CheckpointError: the parameters do not fit.
    """
    path, state = checkpoint.path, checkpoint.state
    config = replace(checkpoint.config, apply_mask="encoder.mask_emb" in state)
    for key in (key for key, kind in _HEADS.items() if kind == checkpoint.kind):
        if state[key].dim() != 2 or state[key].shape[1] != config.encoder_embed_dim:
            raise CheckpointError(
                f"{path}: its head does not fit its encoder: {key} is {tuple(state[key].shape)}, but the "
                f"encoder's width is {config.encoder_embed_dim}"
            )
    with NoRandomFill():
        encoder = ECGEncoder(config)
        if checkpoint.kind == "classification":
            model: PooledEncoder = ECGClassifier(encoder, len(state["proj.weight"]))
        elif checkpoint.kind == "identification":
            model = ECGIdentifier(encoder, len(state["kernel"]))
        else:
            model = PooledEncoder(encoder)
            state = {key: value for key, value in state.items() if key.startswith("encoder.")}
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its head does not fit its encoder: {error}") from error
    unknown = [key for key in result.unexpected_keys if not key.startswith(PRETRAINING_ONLY)]
    if result.missing_keys or unknown:
        raise CheckpointError(
            f"{path}: missing parameters {result.missing_keys or 'none'}, unknown {unknown or 'none'}"
        )
    return model.to(device).eval()


def encoder_config(model_cfg: Dict[str, Any]) -> EncoderConfig:
    """The encoder's options out of a saved model configuration; what it does not say has its default."""
    known = {f.name for f in fields(EncoderConfig)}
    return EncoderConfig(
        **{key: value for key, value in model_cfg.items() if key in known and value is not None}
    )


def _is_used(key: str) -> bool:
    """Whether a parameter is the encoder's or a head's, and not one of those that only training needs."""
    return key.startswith("encoder.") or key in _HEADS


def _our_names(state: Dict[str, Any], path: Path) -> Tuple[StateDict, bool]:
    """Parameters under our key names, and whether they had the authors'."""
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    for old, new in _WEIGHT_NORM.items():
        tensors = {
            re.sub(rf"(pos_conv\.\d+)\.{old}$", rf"\1.{new}", key): value for key, value in tensors.items()
        }
    if "encoder.feature_extractor.conv_layers.0.0.weight" in tensors:
        return tensors, False
    if "feature_extractor.conv_layers.0.0.weight" not in tensors:
        raise CheckpointError(
            f"{path}: not an ECG encoder of this project or of the authors' code (parameters such as "
            f"{next(iter(tensors), 'none')})"
        )
    ours = {
        key if key.startswith(PRETRAINING_ONLY) else f"encoder.{key}": value for key, value in tensors.items()
    }
    return ours, True


def _plain(node: Any) -> Dict[str, Any]:
    return dict(node) if isinstance(node, dict) else {}
