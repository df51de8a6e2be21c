"""Groups of a fine-tuned model's parameters, by depth, for learning rates of their own.

Stock fairseq's optimizer `composite` has an optimizer and a learning rate for each group, which the attribute
`param_group` of a parameter names; other optimizers do not look at it.
"""

import re
from typing import Any, Set

from torch import nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import whole_config

FRONT_END, LAYER, HEAD = "front_end", "layer_", "head"
_IN_LAYER = re.compile(r"encoder\.encoder\.layers\.(\d+)\.")


def name_groups(model: nn.Module) -> None:
    """Give each parameter of an encoder and head its group: front_end, layer_1 to layer_L, or head."""
    transformer: Any = model.encoder.encoder  # type: ignore[union-attr]
    for name, parameter in model.named_parameters():
        in_layer = _IN_LAYER.match(name)
        group = FRONT_END
        if in_layer:
            group = f"{LAYER}{int(in_layer[1]) + 1}"
        elif not name.startswith("encoder.") or name == "encoder.encoder.layer_mix":
            group = HEAD
        elif name.startswith("encoder.encoder.layer_norm.") and transformer.layer_norm_first:
            group = f"{LAYER}{len(transformer.layers)}"  # it comes after the last one
        parameter.param_group = group  # type: ignore[attr-defined]


def check_groups(model: nn.Module, cfg: Any) -> None:
    """Compare the groups of the optimizer, where that is `composite`, with those of what trains.

    Args:
        cfg: the model's section of the configuration.

    Raises:
        ConfigError: they differ, and names the groups; or fairseq would not keep them.
    """
    whole = whole_config(cfg)
    optimizer, common = whole.get("optimizer"), whole.get("common") or {}
    if optimizer is None or optimizer.get("_name") != "composite":
        return
    keeps_them = ("bf16", "fp16_no_flatten_grads", "memory_efficient_fp16")
    if common.get("fp16") and not any(map(common.get, keeps_them)):
        raise ConfigError(
            "with common.fp16 fairseq makes one parameter of all, which has no groups: set "
            "common.fp16_no_flatten_grads=true for optimizer composite"
        )
    given: Set[str] = set(optimizer.groups)
    wanted = {p.param_group for p in model.parameters() if p.requires_grad}  # type: ignore[attr-defined]
    if given != wanted:
        missing, idle = (
            ", ".join(sorted(groups, key=lambda group: (len(group), group))) or "none"
            for groups in (wanted - given, given - wanted)
        )
        raise ConfigError(
            f"optimizer.groups must be those of the parameters that train: missing {missing}; without "
            f"parameters {idle}. Write the groups of this encoder in a copy of the configuration."
        )
