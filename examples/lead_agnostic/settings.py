"""The experiment's settings: which methods, how many updates each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).resolve().parent / "config"


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Args:
        name: in file names.
        title: in the tables.
        seconds: CPU seconds of one update of its pre-training; 0: nothing is trained.
        config: file of `config/`, without suffix.
        overrides: of it, `group.key=value`.
        data: the manifests of its pre-training.
        random: the encoder is that of the baseline with random weights.
        share: of the budget, that this training is given.
        start: the method whose encoder it begins with, which has the rest of the budget.
        row: whether it is a row of the tables.
    """

    name: str
    title: str
    seconds: float = 0.0
    config: str = "pretrain"
    overrides: tuple[str, ...] = ()
    data: str = "pretrain"
    random: bool = False
    share: float = 1.0
    start: str = ""
    row: bool = True


@dataclass(frozen=True)
class Settings:
    """config/experiment.yaml."""

    budget_s: float
    seeds: tuple[int, ...]
    features: tuple[str, ...]
    baseline: str
    noise: str
    methods: dict[str, Method]

    @classmethod
    def read(cls, path: Path = CONFIG / "experiment.yaml") -> Settings:
        """From a YAML file."""
        found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        methods = {
            name: Method(name, **{**given, "overrides": tuple(given.get("overrides", ()))})
            for name, given in found.pop("methods").items()
        }
        lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
        return cls(**{**found, **lists}, methods=methods)

    def updates(self, method: Method) -> int:
        """How many updates of a method the budget pays."""
        return round(method.share * self.budget_s / method.seconds)
