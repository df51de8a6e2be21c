"""Record stores of the corpora, at the sampling rate of the benchmark."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fairseq_signals.benchmark.collection import write_table
from fairseq_signals.benchmark.settings import Settings
from fairseq_signals.errors import ConfigError, did_you_mean
from fairseq_signals.installed import find_folder, find_scripts

KNOWN: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).resolve().parent / "corpora.yaml").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Store:
    """A record store of a corpus; the collection may have several of one.

    Args:
        name: of its folder.
        corpus: whose it is, which is the source of its records too.
        path: folder of the recordings.
        script: of `preprocess/`.
        options: of the script.
        table: option that takes the collection's table; none: "".
        folder: of the collection that `path` is; of a user's own download "".
        make: options of `make_corpus.py`, which makes the recordings.
    """

    name: str
    corpus: str
    path: Path
    script: str
    options: tuple[str, ...] = ()
    table: str = ""
    folder: str = ""
    make: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether there are recordings, or can be."""
        return bool(self.make) or self.path.is_dir()

    def command(self, settings: Settings) -> list[str]:
        """The command that makes the store."""
        script = find_scripts("preprocess").get(self.script)
        if script is None:
            hint = did_you_mean(self.script, find_scripts("preprocess"))
            raise ConfigError(f"corpora.{self.corpus}.script: there is no preprocess/{self.script}.py{hint}")
        out = Path(settings.out)
        command = [sys.executable, str(script), str(self.path), "--dest", str(out / "stores" / self.name)]
        command += ["--fs", str(settings.fs), "--workers", "1"]
        command += ["--source", self.corpus] if self.script == "wfdb_folder" else []
        command += [self.table, str(self.table_file(settings))] if self.table else []
        return [*command, *(option.replace("{path}", str(self.path)) for option in self.options)]

    def table_file(self, settings: Settings) -> Path:
        """The collection's table of its records."""
        return Path(settings.out) / "tables" / f"{self.name}.csv"


def stores(settings: Settings) -> list[Store]:
    """All stores of the settings, those whose recordings are not there too.

    Raises:
        ConfigError: a corpus that nobody knows.
    """
    return [store for name in settings.corpora for store in _stores(settings, name)]


def _stores(settings: Settings, name: str) -> list[Store]:
    given, known = settings.corpora[name], KNOWN.get(name, {})
    script = given.script or known.get("script", "")
    if not script:
        hint = did_you_mean(name, KNOWN) or f"; there are {', '.join(KNOWN)}"
        raise ConfigError(f"corpora.{name}: name its folder (path) and script{hint}")
    options = given.options or tuple(known.get("options", ()))
    if given.make:
        path = Path(settings.out) / "corpora" / name
        make = tuple(part for key, value in given.make.items() for part in (f"--{key}", str(value)))
        return [Store(name, name, path, script, options, make=make)]
    if given.path:
        return [Store(name, name, Path(given.path), script, options)]
    if not settings.shared:
        raise ConfigError(
            f"corpora.{name}: there is no path to the recordings; give it, or `shared`, the small collection"
        )
    return [
        Store(
            name if i == 0 else f"{name}_{i + 1}",
            name,
            Path(settings.shared) / entry["folder"],
            entry["script"],
            tuple(entry.get("options", ())),
            entry.get("table", ""),
            entry["folder"],
        )
        for i, entry in enumerate(known.get("collection", ()))
    ]


def usable(settings: Settings) -> tuple[list[Store], list[Store]]:
    """The stores whose recordings are there, and the others, which no task needs.

    Raises:
        ConfigError: recordings of a task are not there.
    """
    found = stores(settings)
    there = [store for store in found if store.is_there]
    absent = [store for store in found if not store.is_there]
    for task in settings.tasks.values():
        for name in task.corpora:
            if not any(store.corpus == name for store in there):
                places = ", ".join(str(store.path) for store in absent if store.corpus == name)
                raise ConfigError(
                    f"tasks.{task.name} needs {name}, but there is no {places or 'place for it in shared'}. "
                    f"Say where it is (corpora.{name}.path), or leave the task out."
                )
    return there, absent


def folds(settings: Settings, name: str) -> list[str]:
    """Options of the manifest scripts for the published split of a corpus.

    Raises:
        ConfigError: none was published with it.
    """
    store = _stores(settings, name)[0]
    if store.table and name == "ptb-xl":
        return ["--split-table", str(store.table_file(settings))]
    found = settings.corpora[name].folds or KNOWN.get(name, {}).get("folds", ())
    if not found:
        raise ConfigError(f"corpora.{name}: it has no published folds; give options for them (folds)")
    return list(found)


def build(settings: Settings, name: str) -> None:
    """Make the store of this name, and before it what it is made of."""
    store = next(store for store in stores(settings) if store.name == name)
    if store.make:
        script = find_folder("examples") / "quickstart" / "make_corpus.py"
        run([sys.executable, str(script), "--dest", str(store.path), *store.make])
    if store.table:
        write_table(Path(settings.shared), store.folder, store.table_file(settings))
    run(store.command(settings))


def run(command: Sequence[str]) -> None:
    """Run a command; where it fails, this process ends as it did."""
    code = subprocess.run(command).returncode
    if code:
        sys.exit(code)
