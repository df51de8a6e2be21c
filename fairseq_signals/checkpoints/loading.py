"""Reading checkpoints, ours and the authors', without running what is in them and without fairseq."""

import logging
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import numpy as np
import torch

from fairseq_signals.checkpoints.adapters import without_adapters
from fairseq_signals.checkpoints.configuration import encoder_options, is_of_authors, origin_of, sections
from fairseq_signals.checkpoints.file import is_archive, progress_of, read_checkpoint_file, section_of
from fairseq_signals.checkpoints.input_format import INPUT_RULES, TASK_KEYS
from fairseq_signals.checkpoints.names import PRETRAINING_ONLY, our_names, with_encoder_of_teacher
from fairseq_signals.checkpoints.outlier import take_outlier
from fairseq_signals.checkpoints.presets import recognised
from fairseq_signals.checkpoints.saved_model import CONFIG, WEIGHTS, read_saved_model
from fairseq_signals.checkpoints.shapes import NoRandomFill, StateDict, encoder_state, shape_problems
from fairseq_signals.checkpoints.shipped import model_place
from fairseq_signals.checkpoints.text_side import (
    TEXT_SIDE,
    TOKENIZER,
    noted_tokenizer,
    take_tokenizer,
    text_options,
)
from fairseq_signals.checkpoints.weights import trained
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError
from fairseq_signals.modules.ecg_text import ECGText
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import ARCHITECTURE, EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier, PooledEncoder
from fairseq_signals.modules.text_encoder import TextConfig
from fairseq_signals.safety.text import visible

logger = logging.getLogger(__name__)

#: What the fine-tuned models of DeepECG-SSL come with, whatever it was called when they were trained.
_DEEPECG_ORIGIN = "base_ssl.pt"
SOFTMAX_CRITERION = "cross_entropy_with_logits"
_HEAD_OF = {"classification": "proj.weight", "regression": "proj.weight", "identification": "kernel"}
_REGRESSION_TASK, _TARGETS = "ecg_regression", "targets"


@dataclass
class Checkpoint:
    """A checkpoint in our key names.

    Attributes:
        path: the file.
        kind: "pretraining", "classification", "regression" or "identification".
        state: parameters; the encoder's begin with "encoder.".
        config: the encoder's options, complete in what decides its shape.
        model_cfg, task_cfg: sections of the configuration as saved, plain containers.
        from_authors: the parameters had the authors' key names.
        cfg: all sections of the configuration, by name.
        task_state: what the task noted, such as its `labels`, or the `targets` of a regression.
        progress: how far training was, as far as the file says: `num_updates`, `epoch`, and of the metric
            that the best checkpoint goes by the `best` value and that of this one, `valid`.
        saved: `config.json` of a saved model, see `saved_model.py`; None for a training checkpoint.
        outlier: the arrays of a saved model's outlier score, see `outlier.py`; empty without one.
        pooling: of which statistics a saved model's representation is, see `FrameStatistics`; none: the mean.
        text: the options of a model of ECGs and texts; None of others.
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
    outlier: Dict[str, np.ndarray] = field(default_factory=dict)
    pooling: Tuple[str, ...] = ()
    text: Optional[TextConfig] = None

    @property
    def encoder_state(self) -> StateDict:
        """The encoder's parameters without their prefix."""
        return encoder_state(self.state)

    @property
    def exclusive(self) -> bool:
        """Whether a classifier's classes exclude each other: its probabilities are a softmax."""
        if self.saved is not None:
            return bool(self.saved.get("exclusive"))
        return (self.cfg.get("criterion") or {}).get("_name") == SOFTMAX_CRITERION


def load_checkpoint(path: Any, origin: Any = None, teacher: bool = False) -> Checkpoint:
    """Read a checkpoint of ours or of the authors' code, or a saved model's folder; key names mapped to ours.

    The encoder's options come from the saved configuration and are checked against the parameters' shapes.
    A fine-tuned checkpoint of the authors' code need not hold its encoder's options: they are then read from
    the pre-trained checkpoint that it names, at that place or beside it.

    Args:
        path: the file, or a folder that `ECGModel.save` wrote; or the name of weights of the package.
        origin: where the pre-trained checkpoint is, if neither where the file says nor beside it.
        teacher: take the encoder of the teacher in place of its student's.

    Raises:
        CheckpointError: see `read_checkpoint_file`; or parameters that are not an ECG encoder's; or there is
            no teacher.
    """
    path = model_place(path)
    checkpoint, certain = (_of_saved_model(path), True) if path.is_dir() else _as_it_says(path)
    if teacher:
        checkpoint.state = with_encoder_of_teacher(checkpoint.state, path)
    if checkpoint.saved is not None:
        return checkpoint
    config, state, hint = checkpoint.config, checkpoint.state, ""
    origin = origin or origin_of(checkpoint.model_cfg)
    if origin and (not certain or shape_problems(config, state)):
        hint = _adopt_origin(config, path, Path(origin))
    problems = shape_problems(config, state)
    if problems:
        raise CheckpointError(
            f"{path}: its configuration does not describe its parameters ({'; '.join(problems)})"
            + (f". {hint}" if hint else "")
        )
    used = {
        key: value
        for key, value in state.items()
        if key.startswith(("encoder.", *TEXT_SIDE)) or key in _HEAD_OF.values()
    }
    state.update(trained(used, path, mapped=is_archive(path)))
    if hint and recognised(checkpoint) is None:
        logger.warning("%s: %s; heads, strides and the order of norms are now only its own word", path, hint)
    return checkpoint


def _as_it_says(path: Path) -> Tuple[Checkpoint, bool]:
    """A checkpoint by its own word, parameters still in the file; whether that word is its encoder's own."""
    raw = read_checkpoint_file(path)
    state, renamed = our_names(raw["model"], path)
    cfg = sections(raw.get("cfg") or raw.get("args"))
    model = cfg.get("model", {})
    options, carried = encoder_options(model, path)
    state = without_adapters(state, model, path)
    from_authors = renamed or is_of_authors(model)
    task_state = section_of(raw.get("task_state"))
    text = text_options(model, state, f"{path}: model.")
    state.update(noted_tokenizer(task_state) if text is not None else {})
    kind = next((kind for kind, key in _HEAD_OF.items() if key in state), "pretraining")
    if kind == "classification" and (
        _TARGETS in task_state or cfg.get("task", {}).get("_name") == _REGRESSION_TASK
    ):
        kind = "regression"
    checkpoint = Checkpoint(
        path=path,
        kind=kind,
        state=state,
        config=encoder_config(options),
        model_cfg=model,
        task_cfg=cfg.get("task", {}),
        from_authors=from_authors,
        cfg=cfg,
        task_state=task_state,
        progress=progress_of(raw),
        text=text,
    )
    return checkpoint, carried or not from_authors


def _of_saved_model(folder: Path) -> Checkpoint:
    saved, state = read_saved_model(folder)
    config = encoder_config(saved["encoder"])
    outlier = take_outlier(state, config.encoder_embed_dim, folder / WEIGHTS)
    problems = shape_problems(config, state)
    if problems:
        raise CheckpointError(f"{folder}: {CONFIG} does not describe {WEIGHTS} ({'; '.join(problems)})")
    text = text_options(saved.get("text") or {}, state, f"{folder / CONFIG}: text.")
    tokenizer = take_tokenizer(state, folder / WEIGHTS)
    state = {**trained(state, folder / WEIGHTS, mapped=True), **tokenizer}
    provenance = saved.get("provenance") or {}
    cfg = provenance.get("training") or {}
    task_cfg = {
        **(cfg.get("task") or {}),
        "leads_to_load": list(saved["leads"]),
        "enable_padding_leads": list(saved["leads"]) == list(LEADS),
        **{TASK_KEYS.get(name, name): saved[name] for name in INPUT_RULES if saved.get(name) is not None},
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
        task_state={_TARGETS: saved.get(_TARGETS)},
        progress=provenance.get("progress") or {},
        saved=saved,
        outlier=outlier,
        pooling=tuple(saved.get("pooling") or ()),
        text=text,
    )


def _adopt_origin(config: EncoderConfig, path: Path, origin: Path) -> str:
    """Take the encoder's options from the pre-trained checkpoint; what to do where it is gone, else ""."""
    for place in (origin, path.parent / origin.name, path.parent / _DEEPECG_ORIGIN):
        if os.path.isfile(place) and place.resolve() != path.resolve():
            source = _as_it_says(place)[0].config
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
        `ECGClassifier`, `ECGIdentifier`; of pre-training `ECGText`, or a `PooledEncoder` without a head.

    Raises:
        CheckpointError: the parameters do not fit.
    """
    path, state = checkpoint.path, checkpoint.state
    config = replace(checkpoint.config, apply_mask="encoder.mask_emb" in state)
    head, pooling = _HEAD_OF.get(checkpoint.kind), checkpoint.pooling
    width = config.encoder_embed_dim * (len(pooling) or 1)
    if head is not None and (state[head].dim() != 2 or state[head].shape[1] != width):
        raise CheckpointError(
            f"{path}: its head does not fit its encoder: {head} is {tuple(state[head].shape)}, but the "
            f"encoder's width is {width}"
        )
    with NoRandomFill():
        encoder = ECGEncoder(config)
        if head == "proj.weight":
            model: PooledEncoder = ECGClassifier(encoder, len(state[head]), pooling=pooling)
        elif head is not None:
            model = ECGIdentifier(encoder, len(state[head]))
        elif checkpoint.text is not None:
            model = ECGText(encoder, checkpoint.text, state.get(TOKENIZER))
            both = ("encoder.", *TEXT_SIDE, TOKENIZER)
            state = {key: value for key, value in state.items() if key.startswith(both)}
        else:
            model = PooledEncoder(encoder, pooling=pooling)
            state = {
                key: value for key, value in state.items() if key.startswith(("encoder.", "statistics."))
            }
    dtype = torch.get_default_dtype()
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    try:
        result = model.load_state_dict(state, strict=False, assign=True)
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
