"""What fairseq logged during a training: its formats `json` and `simple`, with hydra or without."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fairseq_signals.errors import ConfigError
from fairseq_signals.safety.rules import shown

#: "[2026-01-31 12:00:00,000][train][INFO] - ..." (hydra) or "2026-01-31 12:00:00 | INFO | train | ..."
#: (fairseq).
_LINE = re.compile(
    r"^(?:\[[^\]]*\]\[(?P<hydra>\w+)\]\[INFO\] - |[-\d]+ [:\d,]+ \| INFO \| (?P<plain>\w+) \| )(?P<text>.*)$"
)
_INNER = re.compile(r"^epoch (\d+):\s+\d+ / \d+\s+(.*)$")
_EPOCH = re.compile(r"^epoch (\d+)(?: \| valid on '[^']*' subset)? \| (.*)$")
#: What fairseq says when a run goes on where an earlier one stopped, rather than begin with its weights.
_GOES_ON = re.compile(r"Loaded checkpoint .* \(epoch \d+ @ [1-9]\d* updates\)")
INNER, TRAIN = "train_inner", "train"
LARGEST = 1 << 30  # bytes of a log that are read at most: a folder may hold other files with this suffix
LONGEST_LINE, MOST_NAMES, MOST_UPDATES = 1 << 20, 1000, 1 << 53
LARGEST_VALUE = 1e30  # beyond it a value is infinite: no axis has room for it


@dataclass
class Series:
    """Values over the updates of a training.

    Attributes:
        updates: (N,) increasing.
        epochs: (N,).
        values: by name (N,), NaN where a value is not in the log.
    """

    updates: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.updates)

    def add(self, update: int, epoch: int, values: dict[str, float]) -> None:
        """Append an entry; entries from that update on were of a run that was resumed before it, and go."""
        while self.updates and self.updates[-1] >= update:
            self.updates.pop()
            self.epochs.pop()
            for column in self.values.values():
                column.pop()
        if len(self.values.keys() | values) > MOST_NAMES:
            raise ConfigError(f"has more than {MOST_NAMES:,} different values")
        for name in values:
            self.values.setdefault(name, [math.nan] * len(self))
        for name, column in self.values.items():
            column.append(values.get(name, math.nan))
        self.updates.append(update)
        self.epochs.append(epoch)


def read_training_log(path: Path) -> dict[str, Series]:
    """The series in a log file, or in all logs below a folder, by who logged: "train_inner" (every few
    updates), "train" (means of epochs), and each validation subset.

    Raises:
        ConfigError: no such file or folder, nothing in it is fairseq's log of a training, an entry of it that
            cannot be, or it has logs of several trainings: in more than one folder, and not of one that went
            on in another.
    """
    if not path.exists():
        raise ConfigError(f"{path}: there is no such log or folder of a training")
    if not path.is_dir() and (not path.is_file() or path.stat().st_size >= LARGEST):
        size = f"of {path.stat().st_size:,} bytes" if path.is_file() else "that is a device or a pipe"
        raise ConfigError(f"{path}: a log {size}, but files of at most {LARGEST:,} bytes are read")
    files = [path]
    if path.is_dir():
        files = [file for file in path.rglob("*.log") if file.is_file() and file.stat().st_size < LARGEST]
        files.sort(key=lambda file: (file.stat().st_mtime, str(file)))
        preferred = [file for file in files if file.name == "hydra_train.log"]
        files = preferred or files
    series: dict[str, Series] = {}
    read: list[Path] = []
    for file in files:
        found: dict[str, Series] = {}
        with file.open(encoding="utf-8", errors="replace") as text:
            lines = iter(functools.partial(text.readline, LONGEST_LINE), "")
            goes_on = add_lines(found, lines, file)
        if not found:
            continue
        if not goes_on and any(file.parent != other.parent for other in read):
            raise ConfigError(
                f"{path}: holds the logs of several trainings ({read[-1]} and {file}, which does not go on "
                "from a checkpoint); name the log or the folder of one"
            )
        read.append(file)
        for who, later in found.items():
            for i, (update, epoch) in enumerate(zip(later.updates, later.epochs)):
                values = {name: column[i] for name, column in later.values.items()}
                series.setdefault(who, Series()).add(update, epoch, values)
    if not series:
        where = f"{path} (of {len(files)} .log files in it)" if path.is_dir() else str(path)
        raise ConfigError(
            f"{where}: no losses are in it. Expected is the log of fairseq-hydra-train with "
            "common.log_format json or simple: hydra_train.log in its hydra.run.dir, or what it printed."
        )
    return series


def add_lines(series: dict[str, Series], lines: Iterable[str], file: Path) -> bool:
    """Add what is in the lines of a log to the series; whether its run goes on from a checkpoint."""
    goes_on = False
    for number, line in enumerate(lines, start=1):
        goes_on = goes_on or _GOES_ON.search(line) is not None
        match = _LINE.match(line.rstrip())
        if match is None:
            continue
        who = match["hydra"] or match["plain"]
        try:
            entry = parse_entry(match["text"], who)
            if entry and "num_updates" in entry[1]:
                epoch, values = entry
                update = _count("num_updates", values.pop("num_updates"))
                series.setdefault(who, Series()).add(update, epoch, values)
        except ConfigError as error:
            raise ConfigError(
                f"{file}:{number}: {error}. The log is damaged, or of another program."
            ) from None
    return goes_on


def _count(name: str, value: object) -> int:
    """A number of updates or epochs.

    Raises:
        ConfigError: it is none.
    """
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 <= number <= MOST_UPDATES:
        raise ConfigError(f"{name} must be a number from 0 to {MOST_UPDATES:,}, but is {shown(value)}")
    return int(number)


def parse_entry(text: str, tag: str) -> tuple[int, dict[str, float]] | None:
    """Epoch and numbers of an entry; None where the text is none.

    Raises:
        ConfigError: its epoch cannot be one.

    Args:
        text: the message.
        tag: who logged it, which fairseq puts before the names of means in JSON.
    """
    if text.startswith("{"):
        try:
            found = json.loads(text)
            epoch = found.pop("epoch")
        except (ValueError, KeyError, RecursionError):
            return None
        values = _numbers(
            (name.removeprefix(f"{tag}_"), value) for name, value in found.items() if name != "update"
        )
        return _count("epoch", epoch), values
    for pattern, between, within in ((_INNER, ", ", "="), (_EPOCH, " | ", " ")):
        match = pattern.match(text)
        if match:
            return _count("epoch", match[1]), _numbers(
                p.partition(within)[::2] for p in match[2].split(between)
            )
    return None


def _numbers(pairs: Iterable[tuple[str, object]]) -> dict[str, float]:
    found = {}
    for name, value in pairs:
        try:
            number = float(str(value))
        except ValueError:
            continue
        found[name.strip()] = math.copysign(math.inf, number) if abs(number) > LARGEST_VALUE else number
    return found
