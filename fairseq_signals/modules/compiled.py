"""`torch.compile` where it works, and the module as it is where it does not."""

import logging
from typing import Any

import torch
from torch import nn

logger = logging.getLogger(__name__)


def compile_in_place(module: nn.Module) -> None:
    """Compile a module's forward at its first call; its parameters keep their names.

    Without a compiler, or where compilation fails, the module runs eagerly, with a warning.
    """
    eager = module.forward
    try:
        compiled = torch.compile(eager)
    except RuntimeError as error:  # this torch does not compile on this Python or system
        _warn(module, error)
        return
    failed = False

    def forward(*args: Any, **kwargs: Any) -> Any:
        nonlocal failed
        if not failed:
            try:
                return compiled(*args, **kwargs)
            except torch._dynamo.exc.TorchDynamoException as error:
                _warn(module, error)
                failed = True
        return eager(*args, **kwargs)

    module.forward = forward  # type: ignore[method-assign]


def _warn(module: nn.Module, error: Exception) -> None:
    reason = str(error).strip().partition("\n")[0]
    logger.warning("model.compile: %s runs without it (%s)", type(module).__name__, reason)
