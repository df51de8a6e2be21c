"""Reading checkpoints, ours and the authors', without running what is in them and without fairseq."""

import _codecs
import argparse
import contextlib
import logging
import pickle
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.modules.encoder import ARCHITECTURE, ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier

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
# torch 2.6 is the first that reads allow-listed globals by their old and new names
CAN_ALLOW_GLOBALS = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6)
_AUTHORS_OPTION = "saliency"  # a model option that only their configurations have
_HEADS = {"proj.weight": "classification", "kernel": "identification"}
StateDict = Dict[str, Tensor]


@dataclass
class Checkpoint:
    """A checkpoint in our key names.

    Attributes:
        path: the file.
        kind: "pretraining", "classification" or "identification".
        state: parameters; the encoder's begin with "encoder.".
        config: the encoder's options, complete in what decides its shape.
        model_cfg, task_cfg: the configuration as saved, plain containers.
        from_authors: the parameters had the authors' key names.
    """

    path: Path
    kind: str
    state: StateDict
    config: EncoderConfig
    model_cfg: Dict[str, Any] = field(default_factory=dict)
    task_cfg: Dict[str, Any] = field(default_factory=dict)
    from_authors: bool = False

    @property
    def encoder_state(self) -> StateDict:
        """The encoder's parameters without their prefix."""
        return {
            key[len("encoder.") :]: value for key, value in self.state.items() if key.startswith("encoder.")
        }


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
    try:
        with allowed:
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
    if name.startswith("numpy.") and not CAN_ALLOW_GLOBALS:
        advice = "Load it with torch >= 2.6, which can read numpy's types safely"
    else:
        advice = "A checkpoint of fairseq or of the authors' code never needs this; do not trust the file"
    return f"names {name}, which is not a tensor or plain container, so the file was not loaded. {advice}"


def load_checkpoint(path: Any, follow_origin: bool = True) -> Checkpoint:
    """Read a checkpoint of ours or of the authors' code, key names mapped to ours.

    The encoder's options come from the saved configuration and are checked against the parameters' shapes.
    A fine-tuned checkpoint of the authors' code does not hold its encoder's options: they are then read from
    the pre-trained checkpoint that it names, at that place or beside it (if `follow_origin`).

    Raises:
        CheckpointError: see `read_checkpoint_file`; or parameters that are not an ECG encoder's.
    """
    path = Path(path)
    raw = read_checkpoint_file(path)
    state, from_authors = _our_names(raw["model"], path)
    cfg = _plain(raw.get("cfg"))
    model_cfg, task_cfg = (_plain(cfg.get(part)) for part in ("model", "task"))
    config = encoder_config(model_cfg)
    kind = next((kind for key, kind in _HEADS.items() if key in state), "pretraining")
    hint = ""
    if (
        follow_origin
        and model_cfg.get("model_path")
        and (_AUTHORS_OPTION in model_cfg or shape_problems(config, state))
    ):
        hint = _adopt_origin(config, path, Path(model_cfg["model_path"]))
    problems = shape_problems(config, state)
    if problems:
        raise CheckpointError(
            f"{path}: its configuration does not describe its parameters ({'; '.join(problems)})"
            + (f". {hint}" if hint else "")
        )
    if hint:
        logger.warning("%s: %s; heads, strides and the order of norms are now only its own word", path, hint)
    return Checkpoint(path, kind, state, config, model_cfg, task_cfg, from_authors)


def _adopt_origin(config: EncoderConfig, path: Path, origin: Path) -> str:
    """Take the encoder's options from the pre-trained checkpoint; what to do where it is gone, else ""."""
    for place in (origin, path.parent / origin.name):
        if place.is_file() and place.resolve() != path.resolve():
            source = load_checkpoint(place, follow_origin=False).config
            for name in ARCHITECTURE:
                setattr(config, name, getattr(source, name))
            return ""
    return (
        f"Put the pre-trained checkpoint {origin.name} beside it: a fine-tuned checkpoint of the authors' "
        "code takes its encoder's options from there"
    )


def load_model(path: Any, device: str = "cpu") -> Tuple[nn.Module, Checkpoint]:
    """A fine-tuned model in evaluation mode, and its checkpoint.

    Returns:
        `ECGClassifier` (gives logits) or `ECGIdentifier` (gives L2-normalised embeddings).

    Raises:
        CheckpointError: the checkpoint is of pre-training, or its parameters do not fit.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.kind == "pretraining":
        raise CheckpointError(f"{path}: a pre-trained model has no task yet; fine-tune it first")
    config = replace(checkpoint.config, apply_mask="encoder.mask_emb" in checkpoint.state)
    with _NoRandomFill():
        encoder = ECGEncoder(config)
        if checkpoint.kind == "classification":
            model: nn.Module = ECGClassifier(encoder, len(checkpoint.state["proj.weight"]))
        else:
            model = ECGIdentifier(encoder, len(checkpoint.state["kernel"]))
    try:
        result = model.load_state_dict(checkpoint.state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its head does not fit its encoder: {error}") from error
    unknown = [key for key in result.unexpected_keys if not key.startswith(PRETRAINING_ONLY)]
    if result.missing_keys or unknown:
        raise CheckpointError(
            f"{path}: missing parameters {result.missing_keys or 'none'}, unknown {unknown or 'none'}"
        )
    return model.to(device).eval(), checkpoint


def encoder_config(model_cfg: Dict[str, Any]) -> EncoderConfig:
    """The encoder's options out of a saved model configuration; what it does not say has its default."""
    known = {f.name for f in fields(EncoderConfig)}
    return EncoderConfig(
        **{key: value for key, value in model_cfg.items() if key in known and value is not None}
    )


def shape_problems(config: EncoderConfig, state: StateDict) -> List[str]:
    """Where the encoder that `config` describes differs from the encoder in `state`, in words."""
    expected_keys = dict(_skeleton(config))
    found = {key[len("encoder.") :]: value for key, value in state.items() if key.startswith("encoder.")}
    problems = []
    for key in sorted(set(expected_keys) | set(found)):
        if key == "mask_emb":
            continue
        have = tuple(found[key].shape) if key in found else None
        want = expected_keys.get(key)
        if have != want:
            problems.append(f"{key} is {have or 'absent'} in the file and {want or 'absent'} by its options")
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return [problem + (more if i == 2 else "") for i, problem in enumerate(problems[:3])]


class _NoRandomFill(TorchFunctionMode):
    """Within it parameters keep whatever is in memory: what follows loads them, and filling takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, Tensor.uniform_) or getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _skeleton(config: EncoderConfig) -> Dict[str, Tuple[int, ...]]:
    try:
        with _NoRandomFill():
            encoder = ECGEncoder(config)
    except (ConfigError, ValueError, TypeError, RuntimeError, NotImplementedError):
        return {}
    return {key: tuple(value.shape) for key, value in encoder.state_dict().items()}


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
