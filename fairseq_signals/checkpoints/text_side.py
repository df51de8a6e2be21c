"""The text side of a checkpoint: its options, and the tokenizer that makes pieces of texts.

The bytes of the tokenizer are a tensor beside the parameters, in a saved model's `model.safetensors` too.
"""

from pathlib import Path
from typing import Any, Dict, Optional

import torch
from torch import Tensor

from fairseq_signals.errors import CheckpointError
from fairseq_signals.modules.text_encoder import TEXT_RULES, TextConfig
from fairseq_signals.safety.rules import check

TOKENIZER = "tokenizer"
#: What its parameters are called.
TEXT_SIDE = ("text.", "joint.")
#: What those are called that see both.
_FUSION = "fusion."
#: Options that are the length of an axis: of which parameter, which axis.
_AXES = {
    "vocab_size": ("text.embedding.weight", 0),
    "text_vector_dim": ("text.0.weight", 1),
    "joint_dim": ("joint.ecg.weight", 0),
}


def text_options(told: Dict[str, Any], state: Dict[str, Tensor], where: str) -> Optional[TextConfig]:
    """The options of the text side; None where there is none.

    Args:
        told: what is said of them, among others.
        state: parameters.
        where: they are said, for messages.

    Raises:
        CheckpointError: one is not as it must be, or does not describe the parameters.
    """
    if "joint.log_scale" not in state:
        return None
    found = {name: told[name] for name in TEXT_RULES if told.get(name) is not None}
    check(found, TEXT_RULES, where, CheckpointError)
    options = TextConfig(**found)
    for name, (key, axis) in _AXES.items():  # before anything as large as the options say is made
        held = state[key].shape[axis] if key in state and state[key].dim() == 2 else 0
        if getattr(options, name) != held:
            raise CheckpointError(
                f"{where}{name} is {getattr(options, name)}, but by the parameter {key} it is {held}; the "
                "file is damaged: get it again"
            )
    return options


def noted_tokenizer(task_state: Dict[str, Any]) -> Dict[str, Tensor]:
    """The tokenizer that a task noted, as a model holds it; empty where it noted none."""
    model = task_state.get(TOKENIZER)
    if not isinstance(model, bytes) or not model:
        return {}
    return {TOKENIZER: torch.frombuffer(bytearray(model), dtype=torch.uint8)}


def take_tokenizer(state: Dict[str, Tensor], path: Path) -> Dict[str, Tensor]:
    """The tokenizer, taken out of the tensors of a file; empty where there is none.

    Raises:
        CheckpointError: it is not bytes.
    """
    if TOKENIZER not in state:
        return {}
    found = state.pop(TOKENIZER)
    if found.dtype != torch.uint8 or found.dim() != 1 or not len(found):
        raise CheckpointError(
            f"{path}: {TOKENIZER} must be bytes, but is {found.dtype} of {tuple(found.shape)}; the file is "
            "damaged: get it again"
        )
    return {TOKENIZER: found}


def fusion_of(checkpoint: Any) -> Dict[str, Tensor]:
    """Text side, tokenizer and layers that see both, by name; empty where there are no such layers."""
    state = checkpoint.state
    if not any(key.startswith(_FUSION) for key in state):
        return {}
    return {key: state[key] for key in state if key.startswith((*TEXT_SIDE, _FUSION, TOKENIZER))}
