"""Transforms by their names in a configuration."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Callable, Dict

from fairseq_signals.errors import ConfigError
from fairseq_signals.transforms.base import Compose, Sometimes, Transform
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask


def _random_lead_mask(cfg: Any) -> Transform:
    return RandomLeadMask(cfg.mask_leads_selection, cfg.mask_leads_prob, cfg.mask_leads_condition)


# names as in the authors' YAML files
TRANSFORMS: Dict[str, Callable[[Any], Transform]] = {"random_leads_masking": _random_lead_mask}


def build_transforms(cfg: Any) -> Compose:
    """The transforms that `perturbation_mode` lists, in its order, each with its probability in `p`.

    Raises:
        ConfigError: an unknown name, or another number of probabilities than of transforms.
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
    transforms = []
    for name, probability in zip(names, probabilities):
        if name not in TRANSFORMS:
            near = difflib.get_close_matches(name, TRANSFORMS, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(
                f"task.perturbation_mode: no transform {name!r}{hint} Known: {', '.join(TRANSFORMS)}"
            )
        transforms.append(Sometimes(TRANSFORMS[name](cfg), probability))
    return Compose(transforms)
