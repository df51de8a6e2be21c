"""The compared methods share everything but what makes them what they are, at both sizes that ship."""

from __future__ import annotations

import copy
import csv
import re
from pathlib import Path

import pytest

from tests.examples.methods import (
    DATA_OPTIONS,
    EXAMPLES,
    FOLDERS,
    MASKING,
    QUICKSTART,
    RECIPES,
    TRANSFORMS,
    VIEWS,
    demos,
    file_id,
    files_of,
    full_size_of,
    full_sized,
    load,
    reference_of,
    segments_per_update,
    without,
)

#: Methods that share all but what they are; those with a recipe of their own are in `test_recipes.py`.
FILES = files_of([folder for folder in FOLDERS if folder.parents[1].name not in RECIPES])
DEMO, PAPER = demos(FILES), full_sized(FILES)

#: What a method may choose; everything else (encoder, optimiser, number of updates) is common to all.
DISTILLATION = {
    "distill_level",
    "distill_loss",
    "distill_dim",
    "distill_hidden",
    "prototypes",
    "ema_momentum",
}
ALLOWED = {
    "task": DATA_OPTIONS,
    "model": {"_name", "projection", "final_dim", "num_negatives", "logit_temp"}
    | {"quantize_targets", "latent_vars", "latent_groups", "latent_temp", "dropout_features"}
    | {"apply_mask", "mask_length", "mask_prob"}
    | {"lead_encoding", "lead_mixer", "lead_mixer_rounds", "lead_mixer_dropout"}
    | {"adversarial_mask", "adversary_width"}
    | DISTILLATION,
    "dataset": {"batch_size"},
}
NOISES = ["powerline_noise", "emg_noise", "baseline_shift", "baseline_wander"]


def test_there_are_methods():
    assert len(FOLDERS) >= 12
    assert len(PAPER) >= 16


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parents[1].name)
def test_a_method_has_both_sizes_and_a_page_that_names_its_files(folder):
    names = {file.stem for file in folder.glob("*.yaml")}
    full = {name for name in names if not name.endswith(("_demo", "_small"))}
    assert {name for name in names if name.endswith("_demo")} == {f"{name}_demo" for name in full}
    page = (folder.parents[1] / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`config/pretraining/(\w+)\.yaml`", page))
    assert full <= named


@pytest.mark.parametrize("path", [*PAPER, *DEMO], ids=file_id)
def test_methods_differ_in_nothing_but_data_options_objective_and_batch(path):
    config, reference = load(path), load(reference_of(path))
    assert without(config, ALLOWED, ("criterion",)) == without(reference, ALLOWED, ("criterion",))


@pytest.mark.parametrize("path", PAPER, ids=file_id)
def test_paper_size_pretraining_updates_on_512_records(path):
    config = load(path)
    assert segments_per_update(config) == 1024  # two segments a record
    epochs, rate, optimizer = (config["optimization"][k] for k in ("max_epoch", "lr", "update_freq"))
    assert (epochs, rate, optimizer) == (200, [5e-5], [8])


@pytest.mark.parametrize("path", DEMO, ids=file_id)
def test_demo_size_pretraining_updates_on_as_many_records_as_the_quickstart(path):
    assert segments_per_update(load(path)) == segments_per_update(load(QUICKSTART))


@pytest.mark.parametrize("path", DEMO, ids=file_id)
def test_the_demo_of_a_method_is_the_same_method(path):
    small, full = load(path), load(full_size_of(path))
    assert {"leads_to_load": None, **small["task"]} == full["task"]
    assert small["criterion"].items() <= full["criterion"].items()
    for key in ("_name", "projection", "distill_level", "distill_loss"):
        assert small["model"].get(key) == full["model"].get(key)


def unmasked(config: dict) -> dict:
    """The configuration without random lead masking."""
    config = copy.deepcopy(config)
    task = config["task"]
    names = task.pop("perturbation_mode")
    assert names[-1] == "random_leads_masking"  # after the noises: a masked lead is zeros
    if names[:-1]:
        task["perturbation_mode"] = names[:-1]
    else:
        assert task.pop("p") == [1.0]
    return without(config, {"task": MASKING})


MASKED = [
    file for file in FILES if "_rlm" in file.stem and file.with_name(file.name.replace("_rlm", "")).is_file()
]


@pytest.mark.parametrize("path", MASKED, ids=file_id)
def test_with_and_without_random_lead_masking_differ_in_nothing_else(path):
    masked, plain = load(path), load(path.with_name(path.name.replace("_rlm", "")))
    assert masked["task"]["mask_leads_selection"] == "random"
    assert masked["task"]["mask_leads_prob"] == 0.5
    assert masked["task"]["p"] == [1.0]
    assert unmasked(masked) == plain


def test_masked_methods_have_an_unmasked_twin():
    assert {file_id(file) for file in MASKED} >= {
        "w2v/w2v_rlm",
        "cmsc/cmsc_rlm",
        "w2v_cmsc/w2v_cmsc_rlm_demo",
    }


@pytest.mark.parametrize("size", ["", "_demo"])
def test_a_mask_of_independent_dimensions_is_random_lead_masking_but_for_the_selection(size):
    folder = EXAMPLES / "w2v_cmsc/config/pretraining"
    config = load(folder / f"w2v_cmsc_rlm_independent{size}.yaml")
    assert config["task"].pop("mask_leads_selection") == "independent"
    assert config == without(load(folder / f"w2v_cmsc_rlm{size}.yaml"), {"task": {"mask_leads_selection"}})


PHYSIO = [file for file in FILES if "physio" in file.stem]


@pytest.mark.parametrize("path", PHYSIO, ids=file_id)
def test_noise_methods_differ_in_the_transforms_only(path):
    noisy = load(path)
    base = "simclr_rlm" if path.stem.startswith("simclr") else "w2v_cmsc"
    other = load(path.with_name(f"{base}_demo.yaml" if path in DEMO else f"{base}.yaml"))
    assert without(noisy, {"task": TRANSFORMS}) == without(other, {"task": TRANSFORMS})
    wanted = [name for name in NOISES if "physio3" not in path.stem or name != "baseline_shift"]
    assert [name for name in noisy["task"]["perturbation_mode"] if name != "random_leads_masking"] == wanted
    paper = {
        "baseline_shift": {"max_amplitude_mv": 0.5, "amplitudes": "each_lead", "span": "uniform"},
        "baseline_wander": {"frequencies": "harmonics"},
    }
    assert noisy["task"]["perturbation_params"] == {name: paper[name] for name in paper if name in wanted}
    assert noisy["task"]["p"] == [1.0]


def test_contrastive_random_lead_coding_is_simclr_on_other_views():
    for size in ("", "_demo"):
        crlc = load(EXAMPLES / "crlc/config/pretraining" / f"crlc{size}.yaml")
        simclr = load(EXAMPLES / "simclr/config/pretraining" / f"simclr_rlm{size}.yaml")
        chosen = {"task": VIEWS | TRANSFORMS}
        assert without(crlc, chosen) == without(simclr, chosen)


@pytest.mark.parametrize("size", ["", "_demo"])
@pytest.mark.parametrize(
    ("variant", "criterion", "keys"),
    [
        ("ts2vec", "ts2vec", {"projection", "final_dim"}),
        ("cocoa", "cocoa", set()),
        ("tokens", "simclr", {"lead_encoding", "lead_mixer"}),
    ],
)
def test_variants_of_contrastive_random_lead_coding_differ_in_what_they_are_named_after(
    variant, criterion, keys, size
):
    folder = EXAMPLES / "crlc/config/pretraining"
    config, other = load(folder / f"crlc_{variant}{size}.yaml"), load(folder / f"crlc{size}.yaml")
    assert config["criterion"]["_name"] == criterion
    assert without(config, {"model": keys}, ("criterion",)) == without(other, {"model": keys}, ("criterion",))


def reported(page: Path) -> list[tuple[str, str, list[str]]]:
    """Rows "method, task | mean ± interval | ..." of a page: label, task, and the five cells."""
    rows = re.findall(r"^\| ([\w().+ ]+), (classification|identification) \|(.*)\|$", page, re.MULTILINE)
    return [(label, task, [cell.strip() for cell in cells.split("|")]) for label, task, cells in rows]


@pytest.mark.shared
@pytest.mark.parametrize("folder", sorted(EXAMPLES.glob("*/README.md")), ids=lambda page: page.parent.name)
def test_figures_of_the_paper_are_carried_over_without_a_slip(folder, shared_dir):
    table = shared_dir / "reference" / "paper_tables.csv"
    if not table.is_file():
        pytest.skip(f"there is no {table}")
    paper = {}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["table"] != "2" and row["mean"]:
                cell = f"{row['mean']} ± {row['ci95']}"
                paper.setdefault((row["method"], row["task"]), []).append(cell)
    for label, task, cells in reported(folder.read_text(encoding="utf-8")):
        key = (label, {"classification": "Dx", "identification": "Id"}[task])
        assert cells == paper[key][:5], key
