"""Whether PyTorch can compute on a device."""

from __future__ import annotations

from fairseq_signals.errors import ConfigError


def check_device(device: str) -> None:
    """Raise ConfigError unless PyTorch can compute on the device."""
    import torch

    try:
        torch.zeros(1, device=device).item()  # the device "meta" has shapes alone
    except (
        RuntimeError,
        AssertionError,
        ImportError,
    ) as error:  # built without it, PyTorch asserts or imports
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"--device {device}: PyTorch cannot use it ({reason}); try cpu") from None
