"""Every YAML file that ships is one that fairseq accepts, key by key, and says what the paper says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
# the workflow's files in `paper/` are Snakemake's, `experiment.yaml` and `objectives.yaml` lists of methods
FILES = sorted(
    path
    for path in EXAMPLES.rglob("config/**/*.yaml")
    if EXAMPLES / "paper" not in path.parents and path.stem not in ("experiment", "objectives")
) + sorted((ROOT / "fairseq_signals" / "training" / "config").glob("*.yaml"))


def file_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_every_key_of_a_configuration_exists(path, config_keys):
    for group, values in load(path).items():
        unknown = set(values) - config_keys(group, values.get("_name"))
        assert not unknown, f"{group}: {sorted(unknown)}"


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_a_configuration_runs_on_one_machine_and_leaves_paths_and_class_counts_open(path):
    config = load(path)
    assert config["task"]["data"] == "???"
    assert "user_dir" not in config["common"]  # a checkout and an installed package differ here
    assert config["distributed_training"]["distributed_world_size"] == 1
    assert not {"num_labels", "num_classes"} & set(config["model"])


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_the_best_checkpoint_is_never_chosen_on_test_data_and_of_pretraining_by_no_label(path):
    config = load(path)
    subsets = config["dataset"].get("valid_subset", "valid")
    assert not [subset for subset in subsets.split(",") if subset.startswith("test")]
    if config["task"]["_name"].endswith("pretraining") or config["task"]["_name"] == "translation":
        assert config["checkpoint"].get("best_checkpoint_metric", "loss") == "loss"
        assert not config["checkpoint"].get("maximize_best_checkpoint_metric", False)


def test_what_is_generated_is_told_nothing_of_the_true_text_nor_of_its_length():
    pages = [*EXAMPLES.rglob("*.md"), *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages).replace("\\\n", " ")
    commands = [line for line in text.splitlines() if line.startswith("fairseq-generate ")]
    assert commands
    for command in commands:
        assert not re.search(r"--(?:prefix-size|score-reference)", command), command
        assert re.search(r"--max-len-b \d+", command), command
        assert "--max-len-a" not in command or "--max-len-a 0 " in command, command


@pytest.mark.parametrize("task", ["classification", "identification"])
def test_training_from_scratch_differs_from_fine_tuning_only_in_the_start(task):
    tuned = load(EXAMPLES / "w2v_cmsc" / "config" / "finetuning" / f"{task}.yaml")
    scratch = load(EXAMPLES / "scratch" / "config" / f"{task}.yaml")
    tuned_model, model = tuned.pop("model"), scratch.pop("model")
    assert tuned == scratch
    assert model["model_path"] is None
    assert model["feature_grad_mult"] > 0  # a frozen random front end would learn nothing
    shared = set(tuned_model) & set(model) - {"model_path", "feature_grad_mult"}
    assert {key: tuned_model[key] for key in shared} == {key: model[key] for key in shared}
