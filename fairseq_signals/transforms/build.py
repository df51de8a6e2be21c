"""Transforms by their names in a configuration."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Callable, Dict

from fairseq_signals.errors import ConfigError, did_you_mean
from fairseq_signals.transforms.base import Compose, Sometimes, Transform
from fairseq_signals.transforms.baseline_shift import BaselineShift
from fairseq_signals.transforms.baseline_wander import BaselineWander
from fairseq_signals.transforms.emg_noise import EMGNoise
from fairseq_signals.transforms.params import KEY, parameters_of
from fairseq_signals.transforms.powerline_noise import PowerlineNoise
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask
from fairseq_signals.transforms.time_mask import TimeMask
from fairseq_signals.transforms.vcg_rotation import VCGRotation
from fairseq_signals.transforms.window_noise import WindowNoise

# Random lead masking's options are keys of the task, all with the names of the authors' YAML files.
RANDOM_LEAD_MASKING = "random_leads_masking"
RANDOM_LEAD_MASKING_KEYS = ("mask_leads_selection", "mask_leads_prob", "mask_leads_condition")
TRANSFORMS: Dict[str, Callable[..., Transform]] = {
    RANDOM_LEAD_MASKING: RandomLeadMask,
    PowerlineNoise.name: PowerlineNoise,
    EMGNoise.name: EMGNoise,
    BaselineWander.name: BaselineWander,
    BaselineShift.name: BaselineShift,
    VCGRotation.name: VCGRotation,
    TimeMask.name: TimeMask,
    WindowNoise.name: WindowNoise,
}


def build_transforms(cfg: Any) -> Compose:
    """The transforms that `perturbation_mode` lists, in its order, each with its probability in `p`.

    Raises:
        ConfigError: an unknown name or parameter, a value out of range, or another number of probabilities
            than of transforms.
    """
    names: Sequence[str] = list(cfg.perturbation_mode or [])
    probabilities = list(cfg.p)
    if len(probabilities) == 1:
        probabilities *= len(names)
    if len(probabilities) != len(names) and names:
        raise ConfigError(f"task.p has {len(probabilities)} numbers for {len(names)} transforms: {names}")
    for probability in probabilities:
        if not 0 <= probability <= 1:
            raise ConfigError(f"task.p must be in [0, 1], but is {probability} instead")
    for name in names:
        _check_name("task.perturbation_mode", name)
    parameters = _parameters(cfg.perturbation_params, names)
    parameters[RANDOM_LEAD_MASKING] = {key: getattr(cfg, key) for key in RANDOM_LEAD_MASKING_KEYS}
    transforms = [build_transform(name, float(cfg.sample_rate), parameters.get(name)) for name in names]
    return Compose([Sometimes(transform, p) for transform, p in zip(transforms, probabilities)])


def build_transform(name: str, fs: float, parameters: Mapping[str, Any] | None = None) -> Transform:
    """One transform by its name, with its defaults where `parameters` says nothing.

    Args:
        name: one of TRANSFORMS.
        fs: sampling rate in Hz, for those that need it.
        parameters: values of its parameters.
    """
    cls: Any = TRANSFORMS[name]
    options = dict(parameters or {})
    if is_dataclass(cls) and "fs" in {field.name for field in fields(cls)}:
        options["fs"] = fs
    return cls(**options)


def _parameters(given: Any, names: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """`perturbation_params` as plain containers, after checking every name in it.

    It may come as text, as from fairseq's argparse.
    """
    checked: Dict[str, Dict[str, Any]] = {}
    if isinstance(given, str):
        with contextlib.suppress(ValueError, SyntaxError):
            given = ast.literal_eval(given)
    for name, parameters in _mapping(KEY, given).items():
        _check_name(KEY, name)
        if name not in names:
            raise ConfigError(
                f"{KEY}.{name}: task.perturbation_mode {list(names)} does not list {name}. Add it there, or "
                f"remove its parameters."
            )
        checked[name] = _mapping(f"{KEY}.{name}", parameters)
        if name == RANDOM_LEAD_MASKING and checked[name]:
            raise ConfigError(
                f"{KEY}.{name}: its options are keys of the task itself: "
                f"{', '.join(f'task.{key}' for key in RANDOM_LEAD_MASKING_KEYS)}"
            )
        for key in checked[name]:
            known = parameters_of(TRANSFORMS[name])
            if key not in known:
                hint = did_you_mean(key, known) or "."
                raise ConfigError(f"unknown key {KEY}.{name}.{key}{hint} Known: {', '.join(known)}")
    return checked


def _mapping(key: str, value: Any) -> Dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} must be a mapping {{name: value}}, but is {value!r} instead")
    return {str(name): value[name] for name in value}


def _check_name(key: str, name: str) -> None:
    if name not in TRANSFORMS:
        hint = did_you_mean(name, TRANSFORMS) or "."
        raise ConfigError(f"{key}: no transform {name!r}{hint} Known: {', '.join(TRANSFORMS)}")
