"""`ECGModel.load`: what a checkpoint says, what can be said in its place, and what the model is then."""

import pickle
import warnings

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.errors import (
    CheckpointError,
    ConfigError,
    LeadError,
    SignalError,
)
from fairseq_signals.metrics.identification import l2_normalize


def test_options_of_the_training_decide_how_recordings_are_given(save_checkpoint, recording, tmp_path):
    task = {"sample_rate": 250.0, "normalize": True, "max_sample_size": 1000}
    model = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining", task))
    assert (model.fs, model.form.segment_samples, model.form.normalize) == (250.0, 1000, "segment")
    scaled = recording.mv * np.linspace(0.3, 5, 12)[:, None] + 0.4
    np.testing.assert_allclose(model.embed(scaled, fs=500), model.embed(recording.mv, fs=500), atol=1e-4)
    assert len(next(model.stream(recording.wfdb)).windows) == 3


def test_a_model_of_fewer_leads_takes_those_by_name(save_checkpoint, recording, tmp_path):
    task = {"leads_to_load": "II,V2", "enable_padding_leads": False}
    model = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining", task, in_d=2))
    assert model.leads == ("II", "V2")
    expected = model.embed(recording.mv[[7, 1]], fs=500, leads=["V2", "II"])
    np.testing.assert_array_equal(model.embed(recording.wfdb), expected)
    with pytest.raises(LeadError, match="has the leads I, but the model takes only II, V2"):
        model.embed(recording.mv[0], fs=500, leads="I")
    limb = np.where(np.arange(12)[:, None] == 0, recording.mv, 0)
    with pytest.raises(SignalError, match=r"is flat in all leads that the model takes \(II, V2\)"):
        model.embed(limb, fs=500)


def test_what_a_checkpoint_does_not_say_can_be_said_when_it_is_loaded(checkpoints, recording):
    model = ECGModel.load(checkpoints["pretraining"], normalize=True, segment_s=2.0)
    assert (model.form.normalize, model.form.segment_samples) == ("segment", 1000)
    assert len(next(model.stream(recording.wfdb)).windows) == 5
    with pytest.raises(ConfigError, match="segment_s must be a number from 1e-06 to 3,600"):
        ECGModel.load(checkpoints["pretraining"], segment_s=0)
    with pytest.raises(ConfigError, match="segment_s must be a number from 1e-06 to 3,600"):
        ECGModel.load(checkpoints["pretraining"], segment_s=float("inf"))
    for segment_s in (0.0001, 0.02):
        with pytest.raises(ConfigError, match="are less than one frame of the model; pass a larger"):
            ECGModel.load(checkpoints["pretraining"], segment_s=segment_s)


@pytest.mark.parametrize("device", ["nonsense", "meta", "hpu"])
def test_a_device_that_pytorch_cannot_use_is_refused(device, checkpoints):
    with pytest.raises(ConfigError, match=rf"--device {device}: PyTorch cannot use it .* try cpu"):
        ECGModel.load(checkpoints["pretraining"], device=device)


def test_fine_tuned_checkpoints_of_the_authors_shape_take_options_from_the_pretrained_one(
    save_checkpoint, recording, tmp_path
):
    pretrained = save_checkpoint(tmp_path / "pretrained.pt", "pretraining", encoder_attention_heads=4)
    raw = torch.load(save_checkpoint(tmp_path / "c.pt", "classification", encoder_attention_heads=4))
    raw["cfg"]["model"] = {"model_path": "/gone/elsewhere.pt", "saliency": False}
    torch.save(raw, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"Put the pre-trained checkpoint elsewhere\.pt beside it"):
        ECGModel.load(tmp_path / "c.pt")
    model = ECGModel.load(tmp_path / "c.pt", pretrained=pretrained, labels=["a", "b", "c"])
    assert model.network.encoder.cfg.encoder_attention_heads == 4
    assert set(model.predict(recording.wfdb)) == {"a", "b", "c"}


def test_a_model_says_what_it_is(models):
    model = models["classification"]
    assert repr(model) == "ECGModel(classification, 3 classes, 12 leads at 500 Hz, 0.0 M parameters)"
    described = model.describe()
    assert described["kind"] == "classification"
    assert described["parameters"] == model.n_parameters == sum(p.numel() for p in model.network.parameters())
    assert described["labels"][1]["codes"] == ["2", "3"]


def test_fingerprints_tell_parameters_and_segments_apart(models, checkpoints, save_checkpoint, tmp_path):
    again = ECGModel.load(checkpoints["pretraining"])
    other = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining", seed=1))
    assert again.fingerprint == models["pretraining"].fingerprint
    scaled = ECGModel.load(checkpoints["pretraining"], normalize=True)
    short = ECGModel.load(checkpoints["pretraining"], segment_s=2)
    assert len({model.fingerprint for model in (*models.values(), other, scaled, short)}) == 6


def test_a_model_survives_pickling(models, recording):
    for model in models.values():
        copy = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copy.embed(recording.wfdb), model.embed(recording.wfdb))
        assert copy.labels == model.labels


def test_random_numbers_and_gradients_are_left_alone(encoder, recording):
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.embed(recording.wfdb)
    assert torch.equal(torch.get_rng_state(), before)
    assert not encoder.network.training
    assert l2_normalize(encoder.embed(recording.wfdb)[None]).shape == (1, 16)
