"""What a benchmark compares: a YAML file, checked. docs/benchmark.md tells its keys.

A run keeps its settings in its own folder, with absolute paths and what the command line chose; every step
reads them there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fairseq_signals.benchmark.entries import (
    FINETUNED,
    PROTOCOLS,
    Corpus,
    Method,
    Task,
    Training,
)
from fairseq_signals.benchmark.keys import made, mapping, one_of, plain
from fairseq_signals.errors import ConfigError, LeadError, did_you_mean
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.files import write_text
from fairseq_signals.installed import find_folder
from fairseq_signals.manifest.folder import CLASSIFICATION, IDENTIFICATION

SHIPPED = Path(__file__).resolve().parent / "settings"
FINETUNING = SHIPPED.parent / "finetune.yaml"
FILE = "settings.yaml"
PRETRAIN = "pretrain"
SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Settings:
    """A benchmark.

    Args:
        title: of its page.
        methods, tasks: by name.
        corpora: by name; what a file says in place of `corpora.yaml`.
        rows: the methods that are in the tables; the others are but the start of one.
        baseline: the row that others are compared with.
        budget_s: CPU seconds of a pre-training.
        seeds: of pre-training, fine-tuning and the choice of labelled patients.
        split: whether "valid" or "test" is tested.
        fs: sampling rate of all records in Hz.
        fractions: of tasks that do not say their own.
        features: of frozen encoders: statistics over frames of layers.
        pretrain, finetune: what all these trainings have in common.
        shared: folder of the small collection of open recordings.
        out: folder of the run.
    """

    methods: dict[str, Method]
    tasks: dict[str, Task]
    corpora: dict[str, Corpus]
    title: str = "Benchmark"
    rows: tuple[str, ...] = ()
    baseline: str = ""
    budget_s: float = 60.0
    seeds: tuple[int, ...] = (1,)
    split: str = "test"
    fs: int = 100
    fractions: tuple[int, ...] = (100,)
    features: tuple[str, ...] = ("mean:-1", "std:-1")
    pretrain: Training = field(default_factory=Training)
    finetune: Training = field(default_factory=Training)
    shared: str = ""
    out: str = "."

    @classmethod
    def read(cls, path: Path, **changes: Any) -> Settings:
        """Read a file; None among the changes leaves what it says.

        Args:
            path: of the file, or the folder of a run.
            changes: of its keys.

        Raises:
            ConfigError: a key or value that cannot be.
        """
        path = path / FILE if path.is_dir() else path
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: the settings cannot be read ({error})") from error
        if not isinstance(given, dict):
            raise ConfigError(f"{path}: settings are keys and values; docs/benchmark.md tells them")
        given |= {key: value for key, value in changes.items() if value is not None}
        try:
            return cls.of(given, path.parent)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def of(cls, given: Mapping[str, Any], folder: Path) -> Settings:
        """From what a file says; paths in it are from `folder`."""
        given = dict(given)
        for key, kind in (("methods", Method), ("tasks", Task)):
            each = mapping(given.get(key), key)
            given[key] = {
                str(name): made(
                    kind, {"name": str(name), **mapping(values, f"{key}.{name}")}, f"{key}.{name}"
                )
                for name, values in each.items()
            }
        for key in ("pretrain", "finetune"):
            given[key] = made(Training, mapping(given.get(key) or {}, key), key)
        corpora = given.get("corpora")
        corpora = dict.fromkeys(corpora) if isinstance(corpora, list) else mapping(corpora, "corpora")
        given["corpora"] = {
            str(name): made(
                Corpus, {"path": value} if isinstance(value, str) else value or {}, f"corpora.{name}"
            )
            for name, value in corpora.items()
        }
        settings = made(cls, given, "")._with_defaults(folder)
        settings._check()
        return settings

    def _with_defaults(self, folder: Path) -> Settings:
        """What a key that is not given means, and paths absolute."""
        rows = self.rows or tuple(self.methods)
        baseline = self.baseline or next(iter(rows), "")
        rows = rows if baseline in rows or not baseline else (baseline, *rows)
        methods = {
            name: dataclasses.replace(
                method,
                title=method.title or name,
                config=find_config(method.config, folder),
                model=absolute(method.model, folder),
                onnx=absolute(method.onnx, folder),
            )
            for name, method in self.methods.items()
        }
        tasks = {
            name: dataclasses.replace(
                task,
                title=task.title or name,
                protocols=task.protocols or PROTOCOLS.get(task.kind, ()),
                fractions=(100,) if task.kind == IDENTIFICATION else task.fractions or self.fractions,
            )
            for name, task in self.tasks.items()
        }
        finetune = dataclasses.replace(
            self.finetune, config=find_config(self.finetune.config, folder) or str(FINETUNING)
        )
        corpora = {
            name: dataclasses.replace(corpus, path=absolute(corpus.path, folder))
            for name, corpus in self.corpora.items()
        }
        return dataclasses.replace(
            self,
            rows=rows,
            baseline=baseline,
            methods=methods,
            tasks=tasks,
            finetune=finetune,
            corpora=corpora,
        )

    def _check(self) -> None:
        """Raise ConfigError at the first value that cannot be."""
        one_of("split", [self.split], SPLITS)
        one_of("rows", self.rows, self.methods)
        if PRETRAIN in self.tasks:
            raise ConfigError(f"tasks.{PRETRAIN}: choose another name, as manifests of pre-training have it")
        for what in (self.seeds, self.fractions, *(task.fractions for task in self.tasks.values())):
            if not what or len(set(what)) < len(what) or not min(what) >= 1:
                raise ConfigError(f"seeds and fractions must be different numbers from 1, not {list(what)}")
        for name, task in self.tasks.items():
            one_of(f"tasks.{name}.kind", [task.kind], PROTOCOLS)
            one_of(f"tasks.{name}.protocols", task.protocols, PROTOCOLS[task.kind])
            try:
                parse_lead_sets([",".join(task.lead_sets)])
            except LeadError as error:
                raise ConfigError(f"tasks.{name}.lead_sets: {error}") from error
            one_of(f"tasks.{name}.corpora", task.corpora, self.corpora)
            if task.finetune and task.kind != CLASSIFICATION:
                raise ConfigError(f"tasks.{name}.finetune: only classifications are fine-tuned")
        for name, method in self.methods.items():
            self._check_method(f"methods.{name}", method)

    def _check_method(self, where: str, method: Method) -> None:
        kinds = ("config", "random_of", "model", "onnx", "object")
        given = [kind for kind in kinds if getattr(method, kind)]
        if len(given) != 1:
            raise ConfigError(f"{where}: give one of {', '.join(kinds)}, not {' and '.join(given) or 'none'}")
        for key in ("random_of", "start"):
            if other := getattr(method, key):
                one_of(f"{where}.{key}", [other], [n for n, m in self.methods.items() if m.config])

    # what a run makes, below `out`

    def write(self) -> None:
        """Keep them in the folder of the run."""
        given = plain(self)
        for entry in (*given["methods"].values(), *given["tasks"].values()):
            del entry["name"]
        write_text(Path(self.out) / FILE, [yaml.safe_dump(given, sort_keys=False, allow_unicode=True)])

    def updates(self, method: Method) -> int:
        """How many updates of a method the budget pays.

        Raises:
            ConfigError: nobody has measured what one costs.
        """
        if not method.seconds > 0:
            raise ConfigError(
                f"methods.{method.name}.seconds must be the CPU seconds of an update, but is "
                f"{method.seconds:g}; `fairseq-signals benchmark SETTINGS --measure` tells it"
            )
        return max(1, round(method.share * self.budget_s / method.seconds))

    def pretrained(self, name: str, seed: int) -> Path:
        """The model that a row is of; at random: the one that has its encoder."""
        method = self.methods[name]
        if method.model:
            return Path(method.model)
        return Path(self.out) / "pretrained" / (method.random_of or name) / f"seed{seed}.pt"

    def features_of(self, name: str) -> tuple[str, ...]:
        """The statistics that are taken of a frozen encoder; none: a saved model's own representation."""
        method = self.methods[name]
        return method.features or (() if method.model else self.features)

    def results(self, name: str, seed: int) -> Path:
        """The folder of what a row found."""
        return Path(self.out) / "results" / name / f"seed{seed}"

    def result(self, name: str, seed: int, task: str, protocol: str, fraction: int) -> Path:
        """The file of what a row found in a task."""
        return self.results(name, seed) / f"{task}-{protocol}-{fraction}.npz"

    def frozen(self) -> Iterator[tuple[Task, str, int]]:
        """(task, protocol, fraction) of each result of a frozen encoder."""
        for task in self.tasks.values():
            for protocol in task.protocols:
                yield from ((task, protocol, fraction) for fraction in task.fractions)

    def finetuned(self, name: str) -> Iterator[tuple[Task, str, int]]:
        """The same of fine-tuned ones."""
        for task in self.tasks.values() if self.methods[name].can_be_finetuned else ():
            if task.finetune:
                yield from ((task, FINETUNED, fraction) for fraction in task.fractions)

    def manifests(self, task: str, seed: int = 0, fraction: int = 100) -> Path:
        """The folder of a task's manifests; of a part of its training patients."""
        folder = Path(self.out) / "manifests"
        return folder / task if fraction == 100 else folder / f"{task}-{fraction}-seed{seed}"


def absolute(path: str, folder: Path) -> str:
    """A path from a folder; one that is not given stays so."""
    return str((folder / Path(path).expanduser()).resolve()) if path else ""


def find_config(path: str, folder: Path) -> str:
    """A YAML file of a training: from a folder, or below the examples; one that is not given stays so.

    Raises:
        ConfigError: it is in neither place.
    """
    examples = find_folder("examples")
    for place in (folder, examples) if path else ():
        if (place / path).is_file():
            return str((place / path).resolve())
    if path:
        raise ConfigError(f"there is no file {path} in {folder} or in {examples}")
    return ""


def find_settings(name: str) -> Path:
    """A file of settings by its path, or by the name of one that ships.

    Raises:
        ConfigError: there is neither.
    """
    shipped = {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}
    if name in shipped:
        return shipped[name]
    if Path(name).is_file():
        return Path(name).resolve()
    raise ConfigError(
        f"{name} is no file, and no settings that ship: {', '.join(shipped)}{did_you_mean(name, shipped)}"
    )
