"""One scale of the experiments: which jobs fill the tables, with which files, settings and resources.

The Snakefile asks this module everything that is not about running jobs. Nothing here trains, nothing here
imports PyTorch or Snakemake.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from published import ALL_LEADS, EXTRA_METHODS, METHODS, Cell, Result, cells_of

from fairseq_signals.ecg.leads import LEAD_SETS
from fairseq_signals.errors import ConfigError, did_you_mean

PAPER = Path(__file__).resolve().parent
EXAMPLES = PAPER.parent
RANDOM_INIT = "random_init"
FINETUNING = "w2v_cmsc/config/finetuning"
REQUIRED = ("scale", "out", "manifests", "seeds", "pretrain", "finetune", "resources", "cost")
OPTIONAL = {
    "synthetic": None,
    "fs": 500,
    "physionet2021": None,
    "ptbxl": None,
    "pretrain_seeds": False,
    "one_job_for_all_lead_sets": False,
    "keep_models": False,
    "methods": [],
    "lead_sets": [],
    "extra_methods": [],
    "comparable": True,
}
RECORDINGS = ("physionet2021", "ptbxl")
#: What the paper pre-trains on (Sec. 5.1), by the names of `preprocess/physionet2021.py`.
SUBSETS = ("cpsc_2018", "cpsc_2018_extra", "ptb-xl", "georgia", "ningbo", "chapman_shaoxing")


class Experiment:
    """One scale: the content of a file of `config/`, checked.

    Args:
        config: the content, with what the command line changed.
        start: folder that a relative `out` is in.

    Raises:
        ConfigError: a key is missing, unknown or of a value that cannot be.
    """

    def __init__(self, config: Mapping[str, Any], start: Path | None = None):
        check_config(config)
        start = start or Path.cwd()
        self.config = {**OPTIONAL, **config}
        self.out = start / self.config["out"]
        for name in RECORDINGS:
            if self.config[name]:
                self.config[name] = str(start / Path(self.config[name]).expanduser())
        self.seeds = [int(seed) for seed in self.config["seeds"]]
        self.lead_sets = [str(number) for number in self.config["lead_sets"]]

    def __getitem__(self, key: str) -> Any:
        return self.config[key]

    # tables

    def cells(self, table: str) -> list[Cell]:
        """The cells of a table that were chosen, with those of `extra_methods`."""
        return cells_of(table, self["methods"], self.lead_sets, self["extra_methods"])

    def result_files(self, table: str) -> list[str]:
        """The result files that a table is made of."""
        results = (cell.result for cell in self.cells(table) if cell.is_run)
        return list(dict.fromkeys(self.result_file(r, seed) for r in results for seed in self.seeds))

    def result_file(self, result: Result, seed: int) -> str:
        """The result file of the job that trains and tests these models."""
        return (
            f"results/{result.task}/{result.method}/pretrained-{result.pretrained_on}/"
            f"leads-{self.group(result.pretrained_on, result.leads)}/seed{seed}.json"
        )

    def group(self, pretrained_on: str, leads: str) -> str:
        """The lead sets that one job fine-tunes, joined by "+": all of the paper, or one."""
        together = self["one_job_for_all_lead_sets"] and pretrained_on == ALL_LEADS
        return "+".join(n for n in LEAD_SETS if n in (self.lead_sets or LEAD_SETS)) if together else leads

    # data

    def corpus_arguments(self) -> str:
        """The arguments of the script that writes the synthetic corpus."""
        return " ".join(f"--{option} {value}" for option, value in self["synthetic"].items())

    def stores(self) -> list[str]:
        """The record stores that are made."""
        return ["synthetic"] if self["synthetic"] else list(RECORDINGS)

    def store_arguments(self, store: str) -> str:
        """The preprocessing script of a store, with its arguments but for `--dest`."""
        rate = "" if self["fs"] == OPTIONAL["fs"] else f" --fs {self['fs']}"
        if store == "synthetic":
            return f"physionet2021.py corpus/raw --patients corpus/raw/patients.csv{rate}"
        subsets = f" --subsets {','.join(SUBSETS)}" if store == "physionet2021" else ""
        return f"{store}.py {shlex.quote(str(self[store]))}{subsets}{rate}"

    def rate(self) -> list[str]:
        """Overrides that give a training the sampling rate of the stores."""
        return [] if self["fs"] == OPTIONAL["fs"] else [f"task.sample_rate={self['fs']}"]

    # pre-training

    def pretraining_config(self, method: str) -> str:
        """A method's YAML file, relative to the folder of the examples."""
        name = f"*/config/pretraining/{method}{self['pretrain'].get('suffix', '')}.yaml"
        found = next(EXAMPLES.glob(name), None)
        if found is None:
            raise ConfigError(f"there is no {EXAMPLES / name}; see the key suffix of pretrain")
        return str(found.relative_to(EXAMPLES))

    def pretrained_file(self, method: str, pretrained_on: str, seed: int | str) -> str:
        """The pre-trained model that a fine-tuning seed begins with: one for all, or one for each."""
        number = seed if self["pretrain_seeds"] else 1
        return f"pretrained/{method}/leads-{pretrained_on}/seed{number}.pt"

    def pretrain_arguments(self, method: str, pretrained_on: str, seed: str) -> str:
        """The arguments of `train.py pretrain`, but for files."""
        options = self["pretrain"]
        arguments = ["--config", self.pretraining_config(method), "--leads", pretrained_on, "--seed", seed]
        moving = method in options.get("last", ())  # targets move: losses of two updates do not compare
        arguments += ["--checkpoint", "last" if moving else options.get("checkpoint", "best")]
        arguments += ["--gpus", str(self.resources("pretrain").get("gpu", 0))]
        overrides = [*self.rate(), *options.get("overrides", []), *self.of_method("pretrain", method)]
        return shlex.join([*arguments, *overrides])

    # fine-tuning

    def finetune_arguments(self, task: str, method: str, pretrained_on: str, group: str, seed: str) -> str:
        """The arguments of `train.py finetune`, but for files."""
        arguments = ["--config", f"{FINETUNING}/{task}.yaml", "--pretrained-on", pretrained_on]
        arguments += ["--leads", *group.split("+"), "--seed", seed]
        options = self["finetune"]
        if method == RANDOM_INIT:
            sizes = [o for o in self["pretrain"].get("overrides", []) if o.startswith("model.")]
            arguments += ["--shape-of", self.pretraining_config(options["shape_of"])]
            arguments += [f"--shape-override={override}" for override in sizes]
        overrides = [*self.rate(), *options.get("overrides", []), *options.get(task, [])]
        return shlex.join([*arguments, *overrides, *self.of_method("finetune", method)])

    def finetuning_settings(self, task: str, method: str) -> str:
        """The digest of what a fine-tuning reads."""
        shape = [self.pretraining_config(self["finetune"]["shape_of"])] if method == RANDOM_INIT else []
        return self.settings(f"{FINETUNING}/{task}.yaml", *shape)

    def of_method(self, step: str, method: str) -> list[str]:
        """Overrides of one method alone."""
        return list(self[step].get("methods", {}).get(method, []))

    def settings(self, *files: str) -> str:
        """A digest of the content of YAML files, comments aside: a step is run again where it changed."""
        contents = [yaml.safe_load((EXAMPLES / file).read_text(encoding="utf-8")) for file in files]
        return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:12]

    # tables and resources

    def table_arguments(self) -> str:
        """The arguments of `tables.py`, but for files."""
        arguments = ["--scale", self["scale"], "--seeds", *map(str, self.seeds)]
        chosen = {
            "methods": self["methods"],
            "lead-sets": self.lead_sets,
            "extra-methods": self["extra_methods"],
        }
        for option, values in chosen.items():
            arguments += [f"--{option}", *values] if values else []
        return shlex.join([*arguments, *([] if self["comparable"] else ["--other-data"])])

    def resources(self, rule: str) -> dict[str, Any]:
        """What a rule asks of a cluster, without its threads."""
        found = dict(self["resources"].get(rule, self["resources"]["default"]))
        found.pop("threads", None)
        return found

    def threads(self, rule: str) -> int:
        """The threads of a rule."""
        return int(self["resources"].get(rule, {}).get("threads", 1))

    def models(self, output: Any, temporary: Any) -> Any:
        """Snakemake's output of fine-tuned models: removed after their test, unless they are to be kept."""
        return output if self["keep_models"] else temporary(output)

    def device(self, rule: str) -> str:
        """Where PyTorch computes in a rule."""
        return "cuda" if self.resources(rule).get("gpu") else "cpu"

    def check_recordings(self) -> None:
        """Raise ConfigError where a folder of recordings is not given or not there."""
        for name in RECORDINGS if not self["synthetic"] else ():
            folder = self[name]
            if not folder or not Path(folder).is_dir():
                raise ConfigError(
                    f"{name}: there is no folder {folder}. Name that of the recordings with "
                    f"--config {name}=/path/to/it; README.md of the checkout says where to get them."
                )


def check_config(config: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the keys are those of a scale; names near misses."""
    missing = [key for key in REQUIRED if key not in config]
    if missing:
        scales = ", ".join(f"{path.stem}" for path in sorted((PAPER / "config").glob("*.yaml")))
        raise ConfigError(
            f"the configuration lacks {', '.join(missing)}. Give a scale with --configfile "
            f"{PAPER / 'config'}/SCALE.yaml; there are {scales}."
        )
    known = (*REQUIRED, *OPTIONAL)
    for key in config:
        if key not in known:
            raise ConfigError(f"there is no key {key}{did_you_mean(key, known)}")
    if not config["seeds"] or len(set(config["seeds"])) < len(config["seeds"]):
        raise ConfigError(f"seeds must be different numbers, at least one, but is {config['seeds']}")
    choices = {
        "methods": METHODS.values(),
        "extra_methods": EXTRA_METHODS.values(),
        "lead_sets": LEAD_SETS,
    }
    for key, known in choices.items():
        unknown = {str(value) for value in config.get(key) or []} - set(known)
        if unknown:
            there = ", ".join(dict.fromkeys(known))
            raise ConfigError(f"{key} has {', '.join(sorted(unknown))}; there are {there}")
