"""Configurations whose unknown keys are named, with what they may have been meant to be."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Dict

from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel
from omegaconf import OmegaConf

from fairseq_signals.errors import ConfigError, did_you_mean

# OmegaConf discourages dataclasses that are open for more keys; without one it rejects an unknown key while
# fairseq merges the user's configuration, before any code of ours could say what may have been meant
warnings.filterwarnings("ignore", message=r"Class `\w+` subclasses `Dict`")


@dataclass
class OpenConfig(FairseqDataclass, Dict[str, Any]):  # type: ignore[misc]
    """Base of our configurations: keeps unknown keys until `check_keys` reports them."""


def whole_config(cfg: Any) -> Any:
    """The configuration that `cfg` is a section of; an empty one where it is no part of any."""
    root = cfg._get_root() if OmegaConf.is_config(cfg) else cfg
    return {} if root is cfg else root


def check_name(cfg: Any, registered: Iterable[str], section: str) -> None:
    """Raise ConfigError where `cfg` names a component that there is not.

    Args:
        cfg: its configuration; one that gives no name is for fairseq to judge.
        registered: the names of its kind.
        section: as of `check_keys`.
    """
    name = cfg.get("_name") if OmegaConf.is_config(cfg) else None
    if name is not None and name not in registered:
        raise ConfigError(f"{section}._name: there is no {name}{did_you_mean(name, registered)}")


def check_keys(component: Any, cfg: Any, section: str) -> None:
    """Raise ConfigError where `cfg` has a key that is not a field of the component's dataclass.

    Args:
        component: a class that is registered with its configuration class.
        cfg: the merged configuration; anything but an OmegaConf node has been checked by its constructor.
        section: where it stands in the YAML, e.g. "model".
    """
    if not OmegaConf.is_config(cfg):
        return
    config_class = getattr(component, "__dataclass")  # where fairseq keeps it
    known = [f.name for f in fields(config_class)]
    unknown = [str(key) for key in cfg if key not in known]
    if not unknown:
        return
    hints = [f"{section}.{key}{did_you_mean(key, known, ' ({})', cutoff=0.6)}" for key in unknown]
    raise ConfigError(
        f"unknown key {', '.join(hints)}. {config_class.__name__} knows: "
        f"{', '.join(sorted(name for name in known if not name.startswith('_')))}"
    )


class ConfiguredModel(BaseFairseqModel):
    """Base of models that their configuration alone makes."""

    @classmethod
    def build_model(cls, cfg: Any, task: Any = None) -> Any:
        check_keys(cls, cfg, "model")
        return cls(cfg)
