"""The old place of `load_model`, until 0.3; it is `from fairseq_signals import load_model` now."""

import warnings
from typing import Any

import fairseq_signals


def __getattr__(name: str) -> Any:
    if name != "load_model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{__name__}.load_model goes in 0.3: use `from fairseq_signals import load_model`",
        FutureWarning,
        stacklevel=2,
    )
    return fairseq_signals.load_model
