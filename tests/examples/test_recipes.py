"""Methods after papers of their own share data, seeds and amounts, and are the same at both sizes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairseq_signals.modules.encoder_config import ARCHITECTURE, EncoderConfig
from tests.examples.methods import (
    DATA_OPTIONS,
    FOLDERS,
    QUICKSTART,
    RECIPES,
    REFERENCE,
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

OWN = [folder for folder in FOLDERS if folder.parents[1].name in RECIPES]
FILES = files_of(OWN)
DEMO, FULL = demos(FILES), full_sized(FILES)

#: What such a method may choose; the other options of these groups are those of the paper's own method.
ALLOWED = {
    "task": DATA_OPTIONS
    | {"item", "normalize", "view_crops", "max_sample_size", "local_views", "local_samples"},
    "dataset": {"batch_size"},
    "optimization": {"max_epoch", "max_update", "lr", "update_freq", "clip_norm"},
}
CHOSEN = ("criterion", "model", "optimizer", "lr_scheduler")
#: What makes a demo small, with what depends on how long a run is.
SIZES = (
    {"encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads"}
    | {"conv_feature_layers", "conv_pos", "conv_pos_groups", "patch_samples", "mask_length", "step"}
    | {"decoder_dim", "decoder_layers", "decoder_heads", "projection_hidden", "predictor_hidden"}
    | {"predictor_dim", "predictor_layers", "predictor_heads", "final_dim", "prototypes"}
    | {"num_clusters", "num_negatives", "anchor_step", "freeze_prototypes_updates"}
    | {"codes", "code_dim"}
    | {"queue", "queue_after_updates", "sequence_layers", "sequence_dim"}
    | {"ema_momentum", "ema_updates", "dropout", "attention_dropout", "drop_path"}
)
#: What lets a masked autoencoder learn within a demo: its page says so.
EASIER = {"mae": {"target", "target_group", "mask_ratio", "mask_lead_ratio", "decoder_conv"}}
SAME_ENCODER = [path for path in FULL if path.parents[2].name in ("hubert", "joint_embedding")]


def test_there_are_methods_with_recipes_of_their_own():
    assert {folder.parents[1].name for folder in OWN} == RECIPES
    assert len(FULL) >= 22


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_they_share_seed_checkpoints_and_loading_with_the_paper_s_method(path):
    config, reference = load(path), load(reference_of(path))
    assert without(config, ALLOWED, CHOSEN) == without(reference, ALLOWED, CHOSEN)


@pytest.mark.parametrize("path", FULL, ids=file_id)
def test_at_full_size_the_learning_rate_and_the_teacher_go_through_all_updates(path):
    config = load(path)
    updates, schedule = config["optimization"]["max_update"], config["lr_scheduler"]
    assert updates == (80_000 if path.stem == "hubert" else 100_000)  # its paper says how many
    if schedule["_name"] == "fixed":
        assert schedule["warmup_updates"] == 0
    else:
        assert 0.05 <= schedule["warmup_updates"] / updates <= 0.1
        assert schedule.get("total_num_update", updates) == updates
    assert config["model"].get("ema_updates", updates) == updates


@pytest.mark.parametrize("path", DEMO, ids=file_id)
def test_a_demo_has_the_quickstart_s_amount_of_data_and_learning_rate(path):
    config, quickstart = load(path), load(QUICKSTART)
    updates = config["optimization"]["max_update"]
    assert segments_per_update(config) == segments_per_update(quickstart)
    assert config["optimization"]["lr"] == quickstart["optimization"]["lr"]
    assert updates <= quickstart["optimization"]["max_update"]
    assert config["lr_scheduler"] == {**quickstart["lr_scheduler"], "total_num_update": updates}
    assert config["model"].get("ema_updates", updates) == updates


@pytest.mark.parametrize("path", DEMO, ids=file_id)
def test_a_demo_is_its_method_but_for_sizes(path):
    small, full = load(path), load(full_size_of(path))
    for group in ("task", "criterion", "optimizer"):
        assert small[group] == full[group]
    smaller = {"model": SIZES | EASIER.get(path.parents[2].name, set())}
    assert without(small, smaller)["model"] == without(full, smaller)["model"]


@pytest.mark.parametrize("path", SAME_ENCODER, ids=file_id)
def test_methods_that_need_no_other_encoder_have_the_paper_s(path):
    theirs, ours = (
        EncoderConfig(**{key: value for key, value in load(file)["model"].items() if key in ARCHITECTURE})
        for file in (path, REFERENCE)
    )
    assert theirs == ours


@pytest.mark.parametrize("folder", OWN, ids=lambda folder: folder.parents[1].name)
def test_a_page_tells_the_segments_that_an_update_of_each_file_sees(folder):
    page = Path(folder.parents[1] / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `config/pretraining/(\w+)\.yaml` \|.*\| (\d+) \|$", page, re.MULTILINE)
    full = [path for path in FULL if path.parent == folder]
    assert {name: int(number) for name, number in told} == {
        path.stem: segments_per_update(load(path)) for path in full
    }
