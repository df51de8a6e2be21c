"""Checkpoints of models that were fine-tuned with adapters, as models without."""

from pathlib import Path
from typing import Any, Dict

from torch import Tensor

from fairseq_signals.errors import CheckpointError
from fairseq_signals.modules.lora import LORA_RULES, fold_adapters, has_adapters
from fairseq_signals.safety.rules import check


def without_adapters(state: Dict[str, Tensor], model_cfg: Dict[str, Any], path: Path) -> Dict[str, Tensor]:
    """The parameters with their adapters folded into the weights; as they are where there are none.

    Args:
        model_cfg: the model's section of the configuration, whose `lora_alpha` the adapters count by.

    Raises:
        CheckpointError: it does not say, or an adapter fits no weight.
    """
    if not has_adapters(state):
        return state
    check(model_cfg, {"lora_alpha": LORA_RULES["lora_alpha"]}, f"{path}: model.", CheckpointError)
    if model_cfg.get("lora_alpha") is None:
        raise CheckpointError(
            f"{path}: its parameters have LoRA adapters, but its configuration lacks model.lora_alpha, by "
            "which they count; use the checkpoint as it was trained"
        )
    try:
        return fold_adapters(state, model_cfg["lora_alpha"])
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; the file is damaged: get it again") from error
