"""What the Snakefile asks: which files a step reads, what else it depends on, how long it may take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fairseq_signals.benchmark.corpora import usable
from fairseq_signals.benchmark.keys import plain
from fairseq_signals.benchmark.settings import Settings
from fairseq_signals.benchmark.tasks import commands

#: CPU seconds of a step beside its training, as measured with the small collection; only for the time left.
SECONDS = {"store": 15.0, "manifests": 30.0, "pretrain": 15.0, "frozen": 60.0, "finetune": 60.0}


class Work:
    """The steps of a benchmark.

    Args:
        settings: of it.

    Raises:
        ConfigError: recordings of a task are not there.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.there, self.absent = usable(settings)
        self.stores = [store.name for store in self.there]

    # what a step reads, relative to `out`

    def start(self, method: str, seed: str) -> list[str]:
        """The model that a pre-training begins with."""
        start = self.settings.methods[method].start
        return self._models([start] if start else [], seed)

    def model(self, method: str, seed: str) -> list[str]:
        """The model that a row is of, where it is pre-trained here."""
        row = self.settings.methods[method]
        return self._models([row.random_of or method] if row.random_of or row.config else [], seed)

    def labels(self, method: str, seed: str) -> list[str]:
        """The manifests of parts of the labels that a row is fine-tuned with."""
        parts = [(task.name, fraction) for task, _, fraction in self.settings.finetuned(method)]
        return [f"manifests/{task}-{fraction}-seed{seed}.done" for task, fraction in parts if fraction != 100]

    def _models(self, names: Iterable[str], seed: str) -> list[str]:
        return [f"pretrained/{name}/seed{seed}.pt" for name in names]

    def results(self) -> list[str]:
        """What must have been found for the tables."""
        return [
            f"results/{name}/seed{seed}/{how}.done"
            for seed in self.settings.seeds
            for name in self.settings.rows
            for how in ("frozen", "finetuned")
            if how == "frozen" or any(self.settings.finetuned(name))
        ]

    # digests of what a step depends on beside files: where one is another, the step is done again

    def of_store(self, name: str) -> str:
        """Of a record store."""
        store = next(store for store in self.there if store.name == name)
        return _digest(*_arguments(store.command(self.settings)), store.make)

    def of_manifests(self) -> str:
        """Of the manifests."""
        return _digest([_arguments(command) for command in commands(self.settings)])

    def of_pretraining(self, name: str) -> str:
        """Of a pre-training."""
        settings, method = self.settings, self.settings.methods[name]
        return _digest(
            *(_content(method.config), method.overrides, settings.updates(method)),
            *(settings.pretrain.overrides, settings.fs),
        )

    def of_frozen(self, name: str) -> str:
        """Of the tests of a frozen encoder."""
        settings, method = self.settings, self.settings.methods[name]
        tasks = [[t.name, t.lead_sets, t.protocols, t.fractions] for t in settings.tasks.values()]
        encoder = (method.random_of, method.model, method.onnx, method.object, method.fs)
        return _digest(tasks, encoder, settings.features_of(name), settings.split)

    def of_finetuning(self, name: str) -> str:
        """Of the fine-tunings of a row."""
        settings, method = self.settings, self.settings.methods[name]
        tasks = [[t.name, t.lead_sets, t.fractions] for t in settings.tasks.values() if t.finetune]
        training = settings.finetune
        return _digest(
            *(tasks, _content(training.config), training.overrides, plain(training.updates)),
            *(method.finetune, method.random_of, method.model, settings.split, settings.fs),
        )

    def seconds(self, rule: str, wildcards: Mapping[str, str]) -> float:
        """CPU seconds that a step may take."""
        found = SECONDS.get(rule, 10.0)
        if rule == "pretrain":
            found += self.settings.budget_s * self.settings.methods[wildcards["method"]].share
        if rule == "finetune":
            found *= len(list(self.settings.finetuned(wildcards["method"])))
        return found


def _arguments(command: Sequence[str]) -> list[str]:
    """A script and its arguments, wherever the script and its interpreter are installed."""
    return [Path(command[1]).name, *command[2:]]


def _content(path: str) -> Any:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
