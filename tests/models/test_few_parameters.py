"""Fine-tuning of a few parameters: which ones train, and what the others do meanwhile."""

from __future__ import annotations

import re

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.checkpoints.loading import load_checkpoint, load_model
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.arcface import ArcFaceConfig, ArcFaceModel
from fairseq_signals.models.ecg_transformer_classifier import (
    ECGTransformerClassifierConfig,
    ECGTransformerClassifierModel,
)

MODELS = {
    "classification": (ECGTransformerClassifierModel, ECGTransformerClassifierConfig, "proj"),
    "identification": (ArcFaceModel, ArcFaceConfig, "kernel"),
}
LORA = {"lora_rank": 2, "lora_alpha": 8.0}
LEAD_PATCH = {
    "model_path": None,
    "frontend": "lead_patch",
    "lead_encoding": "tokens",
    "position": "learned",
    "registers": 1,
    "separators": True,
}


@pytest.fixture
def make(tiny, pretrained_path):
    """`make(kind, **options)`: a tiny fine-tuned model of 3 classes; the same head for the same seed."""

    def build(kind: str = "classification", **options: object):
        torch.manual_seed(0)
        model, config, _ = MODELS[kind]
        return model.build_model(
            config(**{**tiny, "num_labels": 3, "model_path": str(pretrained_path), **options})
        )

    return build


def trainable(model: torch.nn.Module) -> set:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def trained(model: torch.nn.Module, source: torch.Tensor) -> set:
    """The parameters that an update changes."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model(source).pow(2).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.02).step()
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.parametrize("kind", MODELS)
def test_a_linear_probe_trains_the_head_alone(make, ecg_batch, kind):
    model = make(kind, linear_probe=True).train()
    head = {name for name in trainable(model) if name.startswith(MODELS[kind][2])}
    assert trainable(model) == head
    assert len(head) >= 1
    if kind == "classification":
        assert trained(model, ecg_batch()) == head


def test_a_linear_probe_has_neither_dropout_nor_masks_nor_skipped_layers(make, ecg_batch):
    noisy = {"dropout": 0.5, "attention_dropout": 0.5, "encoder_layerdrop": 0.5, "apply_mask": True}
    model = make(linear_probe=True, checkpoint_activations=True, **noisy).train()
    assert model.training
    assert not model.encoder.training
    assert torch.equal(model.pooled(ecg_batch()), make().pooled(ecg_batch()))
    dropping = make(linear_probe=True, final_dropout=0.5).train()
    assert not torch.equal(dropping(ecg_batch()), dropping(ecg_batch()))  # the head's own is no part of it


def test_lora_trains_its_adapters_and_the_head_from_the_very_same_start(make, ecg_batch):
    model, plain = make(**LORA).train(), make().train()
    assert torch.equal(model(ecg_batch()), plain(ecg_batch()))
    adapters = {f"encoder.encoder.layers.{layer}.self_attn.{name}_proj.lora_{part}"
                for layer in (0, 1) for name in "qv" for part in "ab"}  # fmt: skip
    assert trainable(model) == adapters | {"proj.weight", "proj.bias"}
    # A has no gradient where B is zero
    assert trained(model, ecg_batch()) == {name for name in trainable(model) if "lora_a" not in name}
    assert trained(model, ecg_batch()) == trainable(model)


def test_adapters_wait_for_the_head_where_the_encoder_is_frozen_at_first(make, ecg_batch):
    model = make(**LORA, freeze_finetune_updates=1).train()
    assert trained(model, ecg_batch()) == {"proj.weight", "proj.bias"}
    model.set_num_updates(1)
    assert any("lora_b" in name for name in trained(model, ecg_batch()))


@pytest.mark.parametrize("option", ["checkpoint_activations", "encoder_chunk"])
def test_adapters_have_the_same_gradients_where_memory_is_saved(make, ecg_batch, option):
    found = []
    for options in ({}, {option: 2 if option == "encoder_chunk" else True}):
        model = make(**LORA, lora_targets="qkvo", **options).train()
        for name, parameter in model.named_parameters():
            if name.endswith("lora_b"):
                parameter.data.fill_(0.01)
        model(ecg_batch()).pow(2).sum().backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-5) for name in found[0])
    assert all(bool(gradient.any()) for gradient in found[0].values())


@pytest.fixture
def adapted(make, tiny, ecg_batch, tmp_path):
    """A model with adapters after an update, and `write(**model_cfg)`: its checkpoint."""
    model = make(**LORA, lora_targets="ko")
    for _ in range(2):
        trained(model.train(), ecg_batch())

    def write(**options: object):
        cfg = {"model": {**tiny, **LORA, **options}}
        torch.save({"model": model.state_dict(), "cfg": cfg}, tmp_path / "lora.pt")
        return tmp_path / "lora.pt"

    return model.eval(), write


def test_a_checkpoint_with_adapters_is_read_as_a_model_without(adapted, make, ecg_batch):
    model, write = adapted
    loaded, checkpoint = load_model(write())
    assert not [key for key in checkpoint.state if "lora" in key]
    assert (loaded(ecg_batch()) - model(ecg_batch())).abs().max() < 1e-6
    assert (loaded(ecg_batch()) - make()(ecg_batch())).abs().max() > 1e-3
    # and so fine-tuning goes on from it, with new adapters or with none
    for options in ({}, LORA):
        tuned = make(model_path=str(checkpoint.path), **options).eval()
        assert torch.equal(tuned.pooled(ecg_batch()), loaded.pooled(ecg_batch()))


def test_a_checkpoint_whose_adapters_cannot_be_folded_is_refused(adapted, tmp_path):
    path = adapted[1](lora_alpha=None)
    with pytest.raises(
        CheckpointError, match=r"lora\.pt: its parameters have LoRA adapters, .* model\.lora_alpha"
    ):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"model\.lora_alpha"):
        load_checkpoint(adapted[1](lora_alpha="16"))
    raw = torch.load(adapted[1](), weights_only=True)
    raw["model"]["encoder.encoder.layers.1.self_attn.k_proj.lora_a"] = torch.zeros(2, 17)
    torch.save(raw, path)
    with pytest.raises(CheckpointError, match=r"layers\.1\.self_attn\.k_proj: lora_a \(2, 17\) .* damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("options", [{}, {"linear_probe": True}, LORA])
def test_the_mix_of_layers_trains_with_the_head(make, ecg_batch, options):
    model = make(layer_mix=True, **options).train()
    layers = list(model.encoder.each_layer(ecg_batch()))
    assert torch.allclose(model.pooled(ecg_batch()), torch.stack(layers).mean(dim=(0, 2)), atol=1e-6)
    changed = trained(model, ecg_batch())
    assert {"encoder.encoder.layer_mix", "proj.weight"} <= changed
    if options == {"linear_probe": True}:
        assert changed == {"encoder.encoder.layer_mix", "proj.weight", "proj.bias"}


def test_a_checkpoint_knows_its_mix_of_layers(make, tiny, ecg_batch, tmp_path):
    model = make(layer_mix=True)
    trained(model.train(), ecg_batch())
    path = tmp_path / "mix.pt"
    torch.save({"model": model.state_dict(), "cfg": {"model": {**tiny, "layer_mix": True}}}, path)
    loaded, _ = load_model(path)
    assert torch.equal(loaded(ecg_batch()), model.eval()(ecg_batch()))
    going_on, without = make(layer_mix=True, model_path=str(path)), make(model_path=str(path))
    assert torch.equal(going_on.encoder.encoder.layer_mix, model.encoder.encoder.layer_mix)
    assert torch.equal(without.eval().encoder(ecg_batch()).x, loaded.encoder(ecg_batch(), layer=2).x)
    torch.save({"model": model.state_dict(), "cfg": {"model": tiny}}, path)
    with pytest.raises(
        CheckpointError, match=r"encoder\.layer_mix is \(3,\) in the file and absent by its options"
    ):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora_rank": -1}, "lora_rank must be an integer from 0"),
        ({"lora_alpha": 0.0}, "lora_alpha must be a number from"),
        ({"lora_dropout": 1.0}, "lora_dropout must be a number from 0 to below 1"),
        ({"lora_targets": "qx"}, "lora_targets must be one or several of the letters qkvo, each once"),
        ({"lora_targets": ""}, "lora_targets must be"),
        (
            {"linear_probe": True, "lora_rank": 4},
            r"linear_probe trains the head alone, so that model\.lora_rank=4",
        ),
        (
            {"linear_probe": True, "freeze_finetune_updates": 9},
            r"model\.freeze_finetune_updates=9 has no meaning",
        ),
        (
            {"lora_rank": 2, "context": "s4"},
            r"lora_rank=2 puts adapters beside .* model\.context=s4 has none",
        ),
    ],
)
def test_values_that_mean_nothing_or_contradict_are_refused_by_name(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ({}, {"front_end", "layer_1", "layer_2", "head"}),
        ({"layer_norm_first": True, "model_path": None}, {"front_end", "layer_1", "layer_2", "head"}),
        (LORA, {"layer_1", "layer_2", "head"}),
        ({"linear_probe": True, "layer_mix": True}, {"head"}),
        ({"context": "s4", "model_path": None}, {"front_end", "layer_1", "layer_2", "head"}),
        (LEAD_PATCH, {"front_end", "layer_1", "layer_2", "head"}),
        ({**LEAD_PATCH, **LORA}, {"layer_1", "layer_2", "head"}),
    ],
)
def test_every_parameter_is_in_the_group_of_its_depth(make, options, groups):
    model = make(**options)
    group_of = {name: p.param_group for name, p in model.named_parameters()}
    assert {group_of[name] for name in trainable(model)} == groups
    for name, group in group_of.items():
        inside = re.search(r"layers\.(\d)\.", name)
        last = "layer_norm_first" in options and name.startswith("encoder.encoder.layer_norm.")
        outside = "head" if name.startswith("proj") or name.endswith("layer_mix") else "front_end"
        assert group == (
            "layer_2" if last else f"layer_{int(inside[1]) + 1}" if inside and "conv" not in name else outside
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["front_end", "layer_1", "head"], "missing layer_2; without parameters none"),
        (
            ["front_end", "layer_1", "layer_2", "layer_10", "layer_3", "heads"],
            "missing head; without parameters heads, layer_3, layer_10. Write the groups",
        ),
    ],
)
def test_groups_of_an_optimizer_that_are_not_the_models_are_named(tiny, given, message):
    groups = {name: {"lr_float": 1e-4} for name in given}
    whole = OmegaConf.create(
        {
            "model": {**vars(ECGTransformerClassifierConfig(**tiny, num_labels=3))},
            "optimizer": {"_name": "composite", "groups": groups},
        }
    )
    whole.model.save_dir = whole.model.restore_file = "x"
    with pytest.raises(ConfigError, match=message):
        ECGTransformerClassifierModel.build_model(whole.model)
    whole.common = {"fp16": True}
    with pytest.raises(ConfigError, match=r"set common\.fp16_no_flatten_grads=true"):
        ECGTransformerClassifierModel.build_model(whole.model)
    whole.optimizer = {"_name": "adam"}
    ECGTransformerClassifierModel.build_model(whole.model)
