"""Checks of the parameters that `task.perturbation_params` gives a transform."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, Dict, Tuple

from fairseq_signals.errors import ConfigError

KEY = "task.perturbation_params"
_KINDS: Dict[type, Tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (numbers.Integral, "an integer"),
    float: (numbers.Real, "a number"),
    str: (str, "a word"),
}


def parameters_of(transform: Any) -> Dict[str, Field]:
    """The parameters of a transform class: its dataclass fields that have a default, by name."""
    return {field.name: field for field in fields(transform) if field.default is not MISSING}


def check_types(transform: Any) -> None:
    """Raise ConfigError where a parameter is not of its default's type, or not finite."""
    for name, field in parameters_of(transform).items():
        kind = type(field.default)
        value: Any = getattr(transform, name)
        accepted, wanted = _KINDS[kind]
        mistaken = isinstance(value, bool) and kind is not bool  # a bool is an integer to Python
        if not isinstance(value, accepted) or mistaken or (kind is float and not math.isfinite(value)):
            raise out_of_range(transform, name, wanted)


def check_between(transform: Any, name: str, lowest: float, highest: float = math.inf) -> None:
    """Raise ConfigError unless a parameter is in [lowest, highest]."""
    if not lowest <= getattr(transform, name) <= highest:
        bounds = f"at least {lowest:g}" if highest == math.inf else f"in [{lowest:g}, {highest:g}]"
        raise out_of_range(transform, name, bounds)


def check_choice(transform: Any, name: str, choices: Sequence[str]) -> None:
    """Raise ConfigError unless a parameter is one of the choices."""
    if getattr(transform, name) not in choices:
        raise out_of_range(transform, name, f"one of {', '.join(choices)}")


def check_range(transform: Any, low: str, high: str, lowest: float = 0.0, highest: float = math.inf) -> None:
    """Raise ConfigError unless two parameters are a range within [lowest, highest]."""
    check_between(transform, low, lowest, highest)
    check_between(transform, high, lowest, highest)
    if getattr(transform, low) > getattr(transform, high):
        raise out_of_range(transform, low, f"at most {high} = {getattr(transform, high)}")


def out_of_range(transform: Any, name: str, wanted: str) -> ConfigError:
    """The error about a parameter's value."""
    value = getattr(transform, name)
    return ConfigError(f"{KEY}.{transform.name}.{name} must be {wanted}, but is {value!r} instead")
