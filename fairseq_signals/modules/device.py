"""Whether PyTorch can compute on a device."""

from __future__ import annotations

from fairseq_signals.errors import ConfigError


def check_device(device: str) -> None:
    """Raise ConfigError unless PyTorch can compute on the device."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without CUDA asserts
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"--device {device}: PyTorch cannot use it ({reason}); try cpu") from None
