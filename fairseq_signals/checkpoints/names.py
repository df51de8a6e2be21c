"""Names of parameters, ours and those of several versions of the authors' code."""

import re
from pathlib import Path
from typing import Any, Dict, Tuple

from torch import Tensor

from fairseq_signals.checkpoints.shapes import StateDict
from fairseq_signals.errors import CheckpointError

PRETRAINING_ONLY = (
    "quantizer.",
    "project_q.",
    "final_proj.",
    "input_quantizer.",
    "project_inp.",
    "target_glu.",
    "distill_head.",
    "predictor.",
    "centre.",
    "teacher.",
    "label_encoder.",
    "adversary.",
    "tokenizer.",
    "text.",
    "joint.",
)
_TEACHERS = "teacher.encoder."
#: What every front end is called.
_FRONT_END = "feature_extractor."
#: What only our encoders' parameters are called.
_OUR_LAYERS = "encoder.encoder.layers.0."
#: What else was called otherwise: the position convolution was part of the Transformer, and PyTorch keeps
#: the two factors of its normed weight elsewhere.
_RENAMED = (
    (r"^encoder\.encoder\.pos_conv\.", "encoder.conv_pos.pos_conv."),
    (r"(pos_conv\.\d+)\.weight_g$", r"\1.parametrizations.weight.original0"),
    (r"(pos_conv\.\d+)\.weight_v$", r"\1.parametrizations.weight.original1"),
)


def our_names(state: Dict[str, Any], path: Path) -> Tuple[StateDict, bool]:
    """Parameters under our names, and whether they had others.

    Ours have the prefix "encoder." if they are an encoder's. Of the authors' a pre-trained encoder's have
    none, and a fine-tuned one's "encoder." or, at first, "w2v_encoder.w2v_model.", with the head beside it.
    """
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    prefixes = {
        key[: key.index(_FRONT_END)]
        for key in tensors
        if f".{_FRONT_END}" in f".{key}" and not key.startswith(PRETRAINING_ONLY)
    }
    if not prefixes and any(key.startswith(_OUR_LAYERS) for key in tensors):
        prefixes = {"encoder."}  # the front end has no parameters
    if len(prefixes) != 1:
        raise CheckpointError(
            f"{path}: not an ECG encoder of this project or of the authors' code (parameters such as "
            f"{next(iter(tensors), 'none')})"
        )
    prefix = prefixes.pop()
    return {_ours(key, prefix): value for key, value in tensors.items()}, prefix != "encoder."


def _ours(key: str, prefix: str) -> str:
    """The name of one; `prefix` is the encoder's in its file, and the head is beside the encoder."""
    inner = key.removeprefix(prefix)
    if key.startswith(prefix) and not inner.startswith(PRETRAINING_ONLY):
        inner = f"encoder.{inner}"
        for old, new in _RENAMED:
            inner = re.sub(old, new, inner)
        return inner
    return inner if key.startswith(prefix) else key.removeprefix(prefix[: prefix.rfind(".", 0, -1) + 1])


def with_encoder_of_teacher(state: StateDict, path: Path) -> StateDict:
    """Parameters whose encoder is the teacher's; CheckpointError where there is no teacher."""
    found = {key.removeprefix("teacher."): value for key, value in state.items() if key.startswith(_TEACHERS)}
    if not found:
        raise CheckpointError(f"{path}: has no encoder of a teacher; set model.pretrained_part to student")
    others = {key: value for key, value in state.items() if not key.startswith(("encoder.", _TEACHERS))}
    return {**others, **found}
