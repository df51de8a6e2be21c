"""The methods' configurations, for the tests that compare them."""

from __future__ import annotations

from pathlib import Path

import yaml

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUICKSTART = EXAMPLES / "quickstart" / "config" / "pretrain.yaml"
REFERENCE = EXAMPLES / "w2v_cmsc" / "config" / "pretraining" / "w2v_cmsc_rlm.yaml"
#: Folders of methods with encoder, optimiser and schedule of other papers: `test_recipes.py` is of these.
RECIPES = {"mae", "jepa", "cpc", "hubert", "joint_embedding", "heartlang"}
FOLDERS = sorted(EXAMPLES.glob("*/config/pretraining"))

MASKING = {"mask_leads_selection", "mask_leads_prob"}
TRANSFORMS = {"perturbation_mode", "perturbation_params", "p"} | MASKING
VIEWS = {"views", "view_leads", "min_view_leads"}
STUDENTS = {"student_views", "student_leads", "student_min_leads", "student_max_leads"}
#: What every method may choose of the data.
DATA_OPTIONS = {"segment_pairs", "leads_to_load"} | VIEWS | STUDENTS | TRANSFORMS


def files_of(folders: list[Path]) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.glob("*.yaml"))]


def demos(files: list[Path]) -> list[Path]:
    return [file for file in files if file.stem.endswith("_demo")]


def full_sized(files: list[Path]) -> list[Path]:
    return [file for file in files if not file.stem.endswith(("_demo", "_small"))]


def full_size_of(demo: Path) -> Path:
    return demo.with_name(demo.name.replace("_demo", ""))


def reference_of(path: Path) -> Path:
    """The configuration of the paper's own method at the same size."""
    return QUICKSTART if path.stem.endswith("_demo") else REFERENCE


def file_id(path: Path) -> str:
    return f"{path.parents[2].name}/{path.stem}"


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def without(config: dict, keys: dict[str, set[str]], groups: tuple[str, ...] = ()) -> dict:
    """A configuration without some keys, and without whole groups."""
    return {
        group: {key: value for key, value in values.items() if key not in keys.get(group, ())}
        for group, values in config.items()
        if group not in groups
    }


def segments_per_update(config: dict) -> int:
    task = config["task"]
    segments_per_item = 2 if task["segment_pairs"] or task.get("item") == "patient" else 1
    return config["dataset"]["batch_size"] * config["optimization"]["update_freq"][0] * segments_per_item
