"""The page of results: `config/page.md` with the tables in their places."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data import AF, DX, IDENTITY, IDENTITY_PTBXL
from scores import ALONE, FEW, FOUR, TUNED, Measured, read_scores
from settings import CONFIG, Method

from fairseq_signals.files import write_text

if TYPE_CHECKING:
    from run import Experiment

ANEW, ONCE, NOISE = "anew", "once", "noise"
COLUMNS = ("12", "6", "3", "2", "1", FEW, ALONE)
OTHER = ((AF, "1"), (IDENTITY, "1"), *((IDENTITY_PTBXL, leads) for leads in ("12", "6", "3", "2", "1")))
#: A loss, and that of who knows nothing, as trainings tell them.
GUESSING = (
    ("prediction_loss", "constant_loss"),
    ("reconstruction_loss", "zero_loss"),
    ("loss", "chance_loss"),
)
Row = Callable[[str, str, str], Measured]


class Page:
    """All tables of one run.

    Args:
        experiment: whose scores are read.
        methods: rows; the baseline is one of them.
        seeds: over which means are.
    """

    def __init__(self, experiment: Experiment, methods: Sequence[str], seeds: Sequence[int]):
        self.experiment, self.methods, self.seeds = experiment, list(methods), list(seeds)
        self.settings = experiment.settings

    def measured(self, method: str, task: str, how: str, column: str) -> Measured:
        """A figure of a method."""
        place = self.experiment.tuned_scores if how == TUNED else self.experiment.scores
        number = [*self.settings.methods, NOISE].index(method)
        return Measured([place(method, seed) for seed in self.seeds], task, how, column, seed=number)

    def rows(self, how: str) -> list[str]:
        """The methods of a table, and the control."""
        control = [NOISE] if how != TUNED and self.settings.noise in self.methods else []
        return [*self.methods, *control]

    def title(self, method: str) -> str:
        """What a row is called."""
        return "control: noise as input" if method == NOISE else self.settings.methods[method].title

    def values(self, how: str) -> str:
        """Macro AUROC of the superclasses under each lead set, the last two columns with intervals."""
        lines = [["", *COLUMNS]]
        for method in self.rows(how):
            found = {column: self.measured(method, DX, how, column) for column in COLUMNS}
            cells = [f"{found[column].value:.3f}" for column in COLUMNS[:5]]
            lines.append([self.title(method), *cells, *(_with_interval(found[c]) for c in COLUMNS[5:])])
        return _table(lines)

    def differences(self, how: str) -> str:
        """The same less the baseline, paired."""
        lines = [["", *COLUMNS]]
        base = {column: self.measured(self.settings.baseline, DX, how, column) for column in COLUMNS}
        for method in self.rows(how):
            if method not in (self.settings.baseline, NOISE):
                found = [self.measured(method, DX, how, column).above(base[column]) for column in COLUMNS]
                lines.append([self.title(method), *(_signed(*each) for each in found)])
        return _table(lines)

    def other_tasks(self) -> str:
        """Atrial fibrillation and identification, with intervals and differences from the baseline."""
        names = {AF: "AF, AUROC, lead I", IDENTITY: "identification, lead I", IDENTITY_PTBXL: "of PTB-XL, {}"}
        lines = [["", *(names[task].format(leads) for task, leads in OTHER)]]
        for method in self.rows(ANEW):
            found = [self.measured(method, task, ANEW, leads) for task, leads in OTHER]
            lines.append([self.title(method), *map(_with_interval, found)])
        lines.append(["**less the baseline**", *([""] * len(OTHER))])
        base = [self.measured(self.settings.baseline, task, ANEW, leads) for task, leads in OTHER]
        for method in self.methods:
            if method != self.settings.baseline:
                found = [self.measured(method, task, ANEW, leads) for task, leads in OTHER]
                lines.append([self.title(method), *(_signed(*a.above(b)) for a, b in zip(found, base))])
        return _table(lines)

    def gains(self) -> str:
        """Each method beside its own encoder with random weights, and its loss beside that of guessing."""
        columns = ("12", "6", "2", "1", FOUR)
        above = ["above random weights, 12", f"above random weights, {FOUR}"]
        lines = [["", "updates", "loss", "of guessing", *columns, *above]]
        starts = {m.random_of: name for name, m in self.settings.methods.items() if m.random_of}
        for name in self.methods:
            if name in starts:
                method, start = self.settings.methods[name], starts[name]
                found = {column: self.measured(name, DX, ANEW, column) for column in columns}
                before = {column: self.measured(start, DX, ANEW, column) for column in ("12", FOUR)}
                cells = [f"{self.settings.updates(method):,}", *self.losses(method)]
                cells += [f"{found[column].value:.3f}" for column in columns]
                lines.append(
                    [method.title, *cells, *(_signed(*found[c].above(b)) for c, b in before.items())]
                )
        return _table(lines)

    def losses(self, method: Method) -> tuple[str, str]:
        """The loss that a pre-training ended with, and what guessing costs; mean over seeds."""
        told = [_last_told(self.experiment.out / "runs" / f"{method.name}-{seed}") for seed in self.seeds]
        pairs = (
            ("prediction_loss", "constant_loss"),
            ("reconstruction_loss", "zero_loss"),
            ("loss", "chance_loss"),
        )
        for names in pairs:
            if all(name in values for name in names for values in told):
                loss, guess = (sum(values[name] for values in told) / len(told) for name in names)
                return f"{loss:.3f}", f"{guess:.3f}"
        return f"{sum(values['loss'] for values in told) / len(told):.3f}", ""

    def costs(self) -> str:
        """What each method is, and how many updates it was given."""
        lines = [["", "CPU s an update", "updates", "changes to config/pretrain.yaml"]]
        for name in self.methods:
            method = self.settings.methods[name]
            if not method.random_of:
                updates = f"{self.settings.updates(method):,}"
                if method.start:
                    start = self.settings.methods[method.start]
                    updates = f"{self.settings.updates(start):,} of {start.title}, then {updates}"
                cells = [method.title, f"{method.seconds:.3f}", updates]
                path = f"examples/{method.path}"
                changes = method.overrides if method.config == "pretrain" else (path, *method.overrides)
                lines.append([*cells, ", ".join(f"`{text}`" for text in changes)])
        return _table(lines)

    def sizes(self) -> str:
        """How many recordings and persons are behind the figures."""
        arrays = read_scores(self.experiment.scores(self.settings.baseline, self.seeds[0]))
        counts = {
            task: (len(arrays[f"{task}.patients"]), len(set(arrays[f"{task}.patients"].tolist())))
            for task in (DX, AF, IDENTITY, IDENTITY_PTBXL)
        }
        manifest = json.loads((self.experiment.out / "manifests/pretrain/manifest.json").read_text())
        lines = [["", "recordings", "persons"]]
        titles = ("superclasses", "atrial fibrillation", "identification", "identification, PTB-XL")
        lines += [[title, *map(str, counts[task])] for title, task in zip(titles, counts)]
        return _table(lines) + f"\n\nPre-training: {manifest['pairs']:,} pairs of segments."

    def findings(self) -> str:
        """What the tables of the tested patients say, which somebody wrote who read them."""
        if self.experiment.split == "valid":
            return "(Trials: choices are made on these patients.)"
        return (CONFIG / "findings.md").read_text(encoding="utf-8").rstrip()

    def write(self, path: Path) -> None:
        """Fill the page."""
        parts = {
            "sizes": self.sizes,
            "costs": self.costs,
            "findings": self.findings,
            "other": self.other_tasks,
            "gains": self.gains,
            **{how: lambda how=how: self.values(how) for how in (ANEW, ONCE, TUNED)},
            **{f"{how}_differences": lambda how=how: self.differences(how) for how in (ANEW, ONCE, TUNED)},
        }
        text = (CONFIG / f"{self.settings.page}.md").read_text(encoding="utf-8")
        text = text.replace("{fold}", "9" if self.experiment.split == "valid" else "10")
        tuned = all(self.experiment.tuned_scores(m, s).exists() for m in self.methods for s in self.seeds)
        for name, make in parts.items():
            if "{" + name + "}" in text:
                made = make() if tuned or not name.startswith(TUNED) else "(not fine-tuned)"
                text = text.replace("{" + name + "}", made)
        write_text(path, [text])


def write_tables(experiment: Experiment, methods: Sequence[str], seeds: Sequence[int], path: Path) -> None:
    """Write the page and say where it is."""
    Page(experiment, methods, seeds).write(path)
    print(f"the tables are in {path}")


def _last_told(run: Path) -> dict[str, float]:
    """What a training told last of its losses."""
    text = (run / "hydra_train.log").read_text(encoding="utf-8")
    line = [line for line in text.splitlines() if "[train_inner]" in line][-1]
    return {name: float(value) for name, value in re.findall(r"(\w+)=([-+.\de]+)(?=,|$)", line)}


def _with_interval(found: Measured) -> str:
    low, high = found.interval()
    return f"{found.value:.3f} ({low:.3f}-{high:.3f})"


def _signed(value: float, low: float, high: float) -> str:
    text = f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def _table(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = lines
    ruler = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *rest))
