"""Configurations that ship are found by their names."""

from __future__ import annotations

from fairseq_signals.training.config_files import find_config


def test_a_configuration_that_ships_goes_by_its_name_or_its_path_below_examples(repo_dir):
    path = repo_dir / "examples" / "w2v_cmsc" / "config" / "pretraining" / "w2v_cmsc_rlm_demo.yaml"
    assert find_config("w2v_cmsc_rlm_demo", "pretrain") == path
    assert find_config("w2v_cmsc/config/pretraining/w2v_cmsc_rlm_demo", "pretrain") == path
    assert find_config("lora", "finetune").parent.name == "finetuning"
    package = repo_dir / "fairseq_signals" / "training" / "config"
    assert find_config("multiclass", "finetune") == package / "multiclass.yaml"  # before that of the examples
