"""Checkpoints of ours and of the authors' code: key names, kinds and the encoder's options."""

from __future__ import annotations

import logging

import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_checkpoint, load_model
from fairseq_signals.checkpoints.weights import require_trained, trained
from fairseq_signals.errors import CheckpointError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import ARCHITECTURE


@pytest.mark.parametrize("authors", [False, True])
@pytest.mark.parametrize("old_norm", [False, True])
def test_encoder_is_the_same_under_either_key_names_and_weight_norms(
    checkpoints, ecg_batch, authors, old_norm
):
    checkpoint = load_checkpoint(checkpoints.pretrained(authors=authors, old_norm=old_norm))
    assert checkpoint.kind == "pretraining"
    assert checkpoint.from_authors is authors
    assert "final_proj.weight" in checkpoint.state
    encoder = ECGEncoder(checkpoint.config).eval()
    encoder.load_state_dict(checkpoint.encoder_state)
    assert torch.equal(encoder(ecg_batch()).x, checkpoints.encoder(ecg_batch()).x)


@pytest.mark.parametrize("new_format", [True, False])
def test_parameters_that_share_memory_in_the_file_are_all_read(checkpoints, new_format):
    state = checkpoints.encoder.state_dict()
    both = torch.randn(2, *state["encoder.layers.0.fc1.weight"].shape)
    for i, part in enumerate(("encoder.layers.0.fc1.weight", "encoder.layers.1.fc1.weight")):
        state[part] = both[i]
    raw = {"model": {f"encoder.{key}": value for key, value in state.items()}}
    raw["cfg"] = {"model": checkpoints.options}
    path = checkpoints.folder / "shared.pt"
    torch.save(raw, path, _use_new_zipfile_serialization=new_format)
    found = load_checkpoint(path).encoder_state
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_a_model_stays_what_it_is_when_its_file_is_written_over(checkpoints, ecg_batch):
    path = checkpoints.pretrained()
    model = ECGModel.load(path).network
    before = model.pooled(ecg_batch())
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.truncate(100)
    assert torch.equal(model.pooled(ecg_batch()), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_parameters_of_another_precision_become_single(checkpoints, dtype):
    state = {f"encoder.{key}": value.to(dtype) for key, value in checkpoints.encoder.state_dict().items()}
    model = ECGModel.load(checkpoints.write("x.pt", state, checkpoints.options))
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", ["classification", "identification"])
def test_fine_tuned_model_computes_what_was_saved(checkpoints, heads, ecg_batch, kind):
    torch.manual_seed(1)
    model = heads[kind](checkpoints.encoder, 5).eval()
    path = checkpoints.write("model.pt", model.state_dict(), checkpoints.options)
    loaded, checkpoint = load_model(path)
    assert checkpoint.kind == kind
    assert checkpoint.task_cfg == {"data": "x"}
    assert not loaded.training
    assert torch.equal(loaded(ecg_batch()), model(ecg_batch()))


def test_authors_fine_tuned_model_takes_its_encoder_from_the_origin_it_names(checkpoints, tmp_path):
    origin = checkpoints.pretrained("elsewhere.pt", authors=True)
    model, checkpoint = load_model(checkpoints.fine_tuned_by_authors(origin))
    assert model.encoder.cfg.encoder_attention_heads == 2
    assert all(
        getattr(checkpoint.config, name) == getattr(checkpoints.encoder.cfg, name) for name in ARCHITECTURE
    )


def test_authors_fine_tuned_model_finds_its_origin_beside_it(checkpoints):
    checkpoints.pretrained("pretrained.pt", authors=True)
    model, _ = load_model(checkpoints.fine_tuned_by_authors("/no/such/folder/pretrained.pt"))
    assert len(model.encoder.encoder.layers) == 2


def test_heads_come_from_the_origin_even_where_every_shape_fits(checkpoints):
    # the number of heads shows in no parameter's shape: the fine-tuning configuration says 4, the origin 2
    origin = checkpoints.pretrained(authors=True)
    options = {**checkpoints.options, "encoder_attention_heads": 4}
    model, _ = load_model(checkpoints.fine_tuned_by_authors(origin, **options))
    assert model.encoder.cfg.encoder_attention_heads == 2


def test_missing_origin_is_asked_for(checkpoints):
    path = checkpoints.fine_tuned_by_authors("/no/such/folder/pretrained.pt")
    with pytest.raises(CheckpointError, match=r"Put the pre-trained checkpoint pretrained\.pt beside it"):
        load_checkpoint(path)


def test_missing_origin_is_warned_of_where_every_shape_fits(checkpoints, caplog):
    path = checkpoints.fine_tuned_by_authors("/no/such/folder/pretrained.pt", **checkpoints.options)
    with caplog.at_level(logging.WARNING):
        load_model(path)
    assert "Put the pre-trained checkpoint pretrained.pt beside it" in caplog.text


def test_pretrained_checkpoint_is_no_model_for_a_task(checkpoints):
    with pytest.raises(CheckpointError, match="has no task yet; fine-tune it first"):
        load_model(checkpoints.pretrained())


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("encoder_layers", 3, r"encoder\.layers\.2\.fc1\.bias is absent in the file"),
        ("encoder_embed_dim", 32, "and [0-9]+ more"),
        ("extractor_mode", "layer_norm", "conv_layers"),
        ("encoder_attention_heads", 3, r"encoder_embed_dim \(16\) must be a multiple"),  # no encoder at all
        ("encoder_layers", 512, "its options are of 1,[0-9,]+ weights or more, but it holds [0-9],[0-9]+"),
        ("lead_encoding", "tokens", r"feature_extractor\.conv_layers\.0\.0\.weight is \(8, 12, 2\) in"),
        ("lead_encoding", "flags", r"lead_flags\.weight is absent in the file"),
    ],
)
def test_another_architecture_than_the_options_say_is_refused(checkpoints, name, value, problem):
    model = torch.nn.ModuleDict({"encoder": checkpoints.encoder})
    path = checkpoints.write("other.pt", model.state_dict(), {**checkpoints.options, name: value})
    with pytest.raises(CheckpointError, match=rf"does not describe its parameters \(.*{problem}"):
        load_checkpoint(path)


def test_a_mixer_far_larger_than_the_file_is_not_made(checkpoints):
    options = {**checkpoints.options, "lead_encoding": "tokens", "conv_feature_layers": "[(65536, 1, 1)]"}
    model = torch.nn.ModuleDict({"encoder": checkpoints.encoder})
    with pytest.raises(CheckpointError, match=r"its options are of 17,[0-9,]+ weights or more"):
        load_checkpoint(checkpoints.write("other.pt", model.state_dict(), options))


def test_head_that_does_not_fit_the_encoder_is_refused(checkpoints, heads):
    state = heads["classification"](checkpoints.encoder, 5).state_dict()
    state["proj.weight"] = torch.ones(5, 17)
    with pytest.raises(CheckpointError, match="its head does not fit its encoder"):
        load_model(checkpoints.write("model.pt", state, checkpoints.options))


def test_unknown_and_missing_parameters_are_named(checkpoints, heads):
    state = heads["classification"](checkpoints.encoder, 5).state_dict()
    del state["proj.bias"]
    state["pooler.weight"] = torch.zeros(1)
    with pytest.raises(
        CheckpointError, match=r"missing parameters \['proj.bias'\], unknown \['pooler.weight'\]"
    ):
        load_model(checkpoints.write("model.pt", state, checkpoints.options))


def test_checkpoint_of_another_fairseq_model_is_refused(checkpoints):
    path = checkpoints.write("bart.pt", {"decoder.embed_tokens.weight": torch.zeros(3, 3)}, {"_name": "bart"})
    with pytest.raises(CheckpointError, match=r"not an ECG encoder .*such as decoder\.embed_tokens\.weight"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "encoder_layers", 100_000),
        ("model", "encoder_layers", 2.5),
        ("model", "encoder_embed_dim", "wide"),
        ("model", "dropout", float("nan")),
        ("model", "dropout", [0.1]),
        ("model", "conv_feature_layers", "[(8, 2, 2)] * 4" + " " * 5000),
        ("model", "conv_feature_layers", [[8, 2, 2]] * 65),
        ("model", "model_path", ["x"]),
        ("task", "sample_rate", 0),
        ("task", "sample_rate", 1e9),
        ("task", "sample_rate", float("inf")),
        ("task", "sample_rate", "500"),
        ("task", "normalize", "x"),
        ("task", "enable_padding_leads", 1),
        ("task", "leads_to_load", 5.5),
        ("task", "leads_to_load", ["I", None]),
        ("task", "leads_to_load", "I,nowhere"),
        ("task", "max_sample_size", -1),
        ("task", "max_sample_size", "all"),
        ("task", "data", 3),
        ("criterion", "threshold", float("nan")),
        ("task_state", "labels", {"names": ["a"]}),
        ("task_state", "labels", {"names": ["a"] * 4, "abbreviations": ["a"] * 5, "codes": [["a"]] * 5}),
    ],
)
def test_an_option_that_cannot_be_is_named(checkpoints, section, key, value):
    cfg = {"model": dict(checkpoints.options), "task": {}, "criterion": {}}
    more = {"task_state": {key: value}} if section == "task_state" else {}
    cfg.setdefault(section, {})[key] = value
    path = checkpoints.fine_tuned(cfg=cfg, **more)
    with pytest.raises(CheckpointError, match=rf"fine_tuned\.pt: {section}\.{key}"):
        ECGModel.load(path)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("encoder.layer_norm.bias", lambda x: x * torch.nan, "numbers that are not finite"),
        ("encoder.encoder.layers.1.fc1.weight", lambda x: x + torch.inf, "numbers that are not finite"),
        ("encoder.encoder.layers.0.fc2.weight", lambda x: x * 1e9, "or beyond 1e"),
        ("encoder.encoder.layers.1.fc1.weight", lambda x: x * 0, "is zero in 512 of 512 places in a row"),
        ("proj.weight", lambda x: x.long(), "is of torch.int64, not one of"),
        ("proj.weight", lambda x: x[0], r"proj\.weight is \(16,\), but the encoder's width is 16"),
    ],
)
def test_parameters_that_cannot_be_learnt_are_refused(checkpoints, heads, key, change, message):
    state = heads["classification"](checkpoints.encoder, 5).state_dict()
    state[key] = change(state[key])
    with pytest.raises(CheckpointError, match=message):
        load_model(checkpoints.write("damaged.pt", state, checkpoints.options))


def test_a_lost_page_of_a_weight_matrix_is_noticed_and_a_bias_may_be_zero():
    state = {"w": torch.ones(64, 64), "b": torch.zeros(4096)}
    require_trained(state, "x.pt")
    state["w"].view(-1)[100:1100] = 0  # fewer than a page in a row
    require_trained(state, "x.pt")
    state["w"].view(-1)[1000:3100] = 0
    with pytest.raises(CheckpointError, match=r"x\.pt: w is zero in 2,048 of 4,096 places in a row"):
        require_trained(state, "x.pt")


def test_pages_of_a_mapped_file_that_were_given_back_are_read_again(tmp_path):
    whole = torch.randn(200, 200)
    torch.save({"a": whole, "b": whole[50:], "c": whole.T}, tmp_path / "x.pt")
    state = torch.load(tmp_path / "x.pt", mmap=True, weights_only=True)
    copies = trained(dict(state), tmp_path / "x.pt", mapped=True)
    for found in (copies, state):
        assert torch.equal(found["a"], whole)
        assert torch.equal(found["b"], whole[50:])
        assert torch.equal(found["c"], whole.T)
