"""A saved model is the model that was saved, and says what it is."""

import copy
import hashlib
import json

import numpy as np
import pytest
import torch
import yaml

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.presets import PRESETS
from fairseq_signals.errors import CheckpointError, ConfigError, LabelError

KINDS = ("pretraining", "classification", "identification")


@pytest.fixture
def saved(models, tmp_path):
    """The folder of each kind of model."""
    for kind, model in models.items():
        model.save(tmp_path / kind)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_outputs_are_bit_identical(models, saved, recording, kind):
    model, loaded = models[kind], ECGModel.load(saved / kind)
    before, after = model.network.state_dict(), loaded.network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert loaded.fingerprint == model.fingerprint
    assert (loaded.kind, loaded.form, loaded.classes) == (model.kind, model.form, model.classes)
    np.testing.assert_array_equal(loaded.embed(recording.wfdb), model.embed(recording.wfdb))
    if kind == "classification":
        np.testing.assert_array_equal(
            loaded.predict_proba(recording.wfdb), model.predict_proba(recording.wfdb)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_saving_what_was_loaded_gives_the_same_folder(saved, kind):
    ECGModel.load(saved / kind).save(saved / "again")
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (saved / "again" / name).read_bytes() == (saved / kind / name).read_bytes(), name


@pytest.mark.parametrize("kind", KINDS)
def test_float16_takes_half_the_space_and_gives_nearly_the_same(models, saved, recording, kind):
    model, folder = models[kind], saved / "half"
    model.save(folder, dtype="float16")
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, saved / kind)]
    assert sizes[0] < 0.65 * sizes[1]
    loaded = ECGModel.load(folder)
    assert {value.dtype for value in loaded.network.state_dict().values()} == {torch.float32}
    before, after = model.embed(recording.wfdb), loaded.embed(recording.wfdb)
    assert 0 < np.abs(before - after).max() < 3e-3 * np.abs(before).max()
    loaded.save(saved / "again", dtype="float16")  # nothing more is lost
    assert (saved / "again" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_numbers_that_float16_cannot_be_are_refused(save_checkpoint, tmp_path):
    model = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining"))
    with pytest.raises(ConfigError, match="dtype must be one of float32, float16, but is 'int8'"):
        model.save(tmp_path / "model", dtype="int8")
    model.network.encoder.layer_norm.bias.data[0] = 1e5
    with pytest.raises(ConfigError, match=r"encoder.layer_norm.bias holds numbers beyond .* as float32"):
        model.save(tmp_path / "model", dtype="float16")


def test_all_that_was_decided_comes_back(save_checkpoint, recording, tmp_path):
    task = {"leads_to_load": ["V2", "I"], "enable_padding_leads": False, "sample_rate": 250.0}
    path = save_checkpoint(tmp_path / "c.pt", "classification", task, in_d=2)
    model = ECGModel.load(path, labels=["x", "y", "z"], normalize=True, segment_s=8)
    model.thresholds = {"x": 0.1, "z": 0.9}
    model.save(tmp_path / "model")
    loaded = ECGModel.load(tmp_path / "model")
    assert loaded.leads == ("V2", "I")
    assert (loaded.fs, loaded.form.normalize, loaded.form.segment_samples) == (250.0, "segment", 2000)
    assert loaded.thresholds == {"x": 0.1, "y": 0.5, "z": 0.9}
    np.testing.assert_array_equal(loaded.embed(recording.wfdb), model.embed(recording.wfdb))
    assert ECGModel.load(tmp_path / "model", labels=["a", "b", "c"]).labels == ("a", "b", "c")


def test_the_configuration_says_all_that_using_the_weights_takes(saved, checkpoints):
    config = json.loads((saved / "classification" / "config.json").read_text())
    assert config["leads"][:3] == ["I", "II", "III"]
    assert (config["fs"], config["units"], config["segment_samples"]) == (500.0, "mV", 2500)
    assert config["labels"][1] == {
        "index": 1,
        "label": "sinus rhythm",
        "name": "sinus rhythm",
        "codes": ["2", "3"],
        "threshold": 0.5,
    }
    assert config["encoder"]["conv_feature_layers"] == "[(8, 2, 2)] * 4"
    assert "anti-aliasing" in config["preprocessing"]["resampling"]
    origin = config["provenance"]
    assert origin["checkpoint"] == {
        "name": "classification.pt",
        "sha256": hashlib.sha256(checkpoints["classification"].read_bytes()).hexdigest(),
    }
    assert origin["training"]["task"] == {"data": "manifests"}  # the rest of the path is nobody's business
    assert set(origin["saved_with"]) == {"fairseq_signals", "torch", "python"}


def test_a_checkpoint_that_changed_since_it_was_loaded_has_no_digest(save_checkpoint, tmp_path):
    path = save_checkpoint(tmp_path / "c.pt", "pretraining")
    model = ECGModel.load(path)
    path.write_bytes(b"something else")
    assert model.describe()["provenance"]["checkpoint"] == {"name": "c.pt", "sha256": None}
    path.unlink()
    assert model.describe()["provenance"]["checkpoint"]["sha256"] is None


@pytest.mark.parametrize(
    ("iterations", "epoch"), [(3, 2), (0, 1)]
)  # in the second, and at the end of the first
def test_how_far_training_was_is_told(iterations, epoch, save_checkpoint, tmp_path):
    iterator = {"epoch": 2, "iterations_in_epoch": iterations}
    extra = {
        "optimizer_history": [{"num_updates": 7}],
        "extra_state": {"train_iterator": iterator, "best": 0.5, "val_loss": None},
    }
    model = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining", extra=extra))
    assert model.provenance["progress"] == {"num_updates": 7, "epoch": epoch, "best": 0.5}
    model.save(tmp_path / "model")
    assert f"- Updates: 7\n- Epoch: {epoch}\n" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_has_the_header_of_hubs_and_code_that_is_right(saved, kind):
    card = (saved / kind / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: fairseq-signals\ntags:\n- ecg\n")
    assert "ECGModel.load(" in card
    code = card.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert ("| 2 | a \\| b | a \\| b | 4 | 0.5 |" in card) == (kind == "classification")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({}, {}),
        ({"preset": "ecg-fm"}, {"license": "mit", "base_model": "wanglab/ecg-fm"}),
        ({"preset": "deepecg-ssl"}, {"license": "other", "license_name": "of-its-authors"}),
        (
            {"fine_tuned_from": "ecg-fm"},
            {"base_model": "wanglab/ecg-fm", "base_model_relation": "finetune"},
        ),
    ],
)
def test_the_header_tells_hubs_of_licence_and_origin(models, origin, expected, tmp_path):
    known = {key: PRESETS[name].describe() for key, name in origin.items()}
    model = copy.copy(models["pretraining"])
    model.provenance = {**model.provenance, **known}
    model.save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    header = yaml.safe_load(card.split("---\n")[1])
    tags = ["ecg", "electrocardiogram", "pretraining"]
    assert header == {"library_name": "fairseq-signals", "tags": tags, **expected}
    for key, weights in known.items():
        assert f"{weights['title']}, {weights['source']}" in card
        of = "" if key == "preset" else " it was fine-tuned from"
        assert f"- Licence of the weights{of}: {weights['licence']}\n" in card
    again = ECGModel.load(tmp_path / "model").provenance
    assert {key: again[key] for key in known} == known


def test_whoever_may_read_the_card_may_read_the_weights(saved):
    weights, card = (saved / "pretraining" / name for name in ("model.safetensors", "README.md"))
    assert weights.stat().st_mode == card.stat().st_mode


def test_a_folder_with_foreign_labels_is_refused(saved):
    path = saved / "classification" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "labels": config["labels"][:2]}))
    with pytest.raises(LabelError, match="its labels are 2, but the model has 3 classes"):
        ECGModel.load(path.parent)
    path.write_text(json.dumps({**config, "labels": [{"label": "x"}] * 3}))
    with pytest.raises(CheckpointError, match=r"labels\[0\]\.name must be a text"):
        ECGModel.load(path.parent)
