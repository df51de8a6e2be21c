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
        config: file of `config/`, or below `examples/` if there is a slash in it; without suffix.
        overrides: of it, `group.key=value`.
        data: the manifests of its pre-training.
        random_of: the encoder is that of this method with random weights.
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
    random_of: str = ""
    share: float = 1.0
    start: str = ""
    row: bool = True

    @property
    def path(self) -> str:
        """The file, relative to `examples/`."""
        return f"{self.config}.yaml" if "/" in self.config else f"lead_agnostic/config/{self.config}.yaml"


@dataclass(frozen=True)
class Settings:
    """One of the experiments: a file of `config/`.

    Args:
        budget_s: CPU seconds of a pre-training.
        seeds: of the pre-trainings.
        features: of a frozen encoder, as `frozen.py` takes them.
        baseline: the method that others are compared with.
        page: the text around the tables, a file of `config/`.
        frozen: further arguments of `frozen.py`.
        noise: the method whose models are given noise, too; none: "".
    """

    budget_s: float
    seeds: tuple[int, ...]
    features: tuple[str, ...]
    baseline: str
    page: str
    methods: dict[str, Method]
    noise: str = ""
    frozen: tuple[str, ...] = ()

    @classmethod
    def read(cls, name: str = "experiment") -> Settings:
        """From a YAML file of `config/`."""
        found: dict[str, Any] = yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8"))
        methods = {
            name: Method(name, **{**given, "overrides": tuple(given.get("overrides", ()))})
            for name, given in found.pop("methods").items()
        }
        lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
        return cls(**{**found, **lists}, methods=methods)

    def updates(self, method: Method) -> int:
        """How many updates of a method the budget pays."""
        return round(method.share * self.budget_s / method.seconds)
