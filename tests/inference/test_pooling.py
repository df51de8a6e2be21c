"""A model whose representation is statistics of layers: its embedding and head, saved, pickled, exported."""

import pickle

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.inference.base import LoadedModel
from fairseq_signals.inference.classes import classes_of
from fairseq_signals.modules.heads import ECGClassifier

WANTED = ("mean:2", "mean:1", "std:1", "entropy:2")


@pytest.fixture
def model(encoder) -> ECGModel:
    """A classifier on four statistics of the pre-trained encoder, which are standardised."""
    torch.manual_seed(0)
    network = ECGClassifier(encoder.network.encoder, 2, pooling=WANTED)
    network.statistics.mean.normal_()
    network.statistics.deviation.uniform_(0.5, 2.0)
    return ECGModel(network, "classification", encoder.form, classes_of(["AF", "b"], [0.3, 0.5]))


def test_an_embedding_is_the_standardised_statistics_and_the_head_reads_it(model, encoder, recording):
    frames = [encoder.embed(recording.mv[:, :2500], fs=500, frames=True, layer=layer) for layer in (2, 1)]
    power = np.abs(np.fft.rfft(frames[0], axis=0)[1:]) ** 2
    share = power / power.sum(axis=0)
    entropy = -(share * np.log(share)).sum(axis=0) / np.log(len(power))
    raw = np.concatenate([frames[0].mean(axis=0), frames[1].mean(axis=0), frames[1].std(axis=0), entropy])
    mean, deviation = (getattr(model.network.statistics, name).numpy() for name in ("mean", "deviation"))
    found = model.embed(recording.mv[:, :2500], fs=500)
    np.testing.assert_allclose(found, (raw - mean) / deviation, atol=1e-5)
    logits = model.network.proj(torch.from_numpy(found)).detach().numpy()
    probabilities = model.predict_proba(recording.mv[:, :2500], fs=500)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert model.dim == 4 * encoder.dim == len(found)
    assert len(model.embed(recording.wfdb, layer=1)) == encoder.dim


@pytest.mark.parametrize("kind", ["classification", "pretraining"])
def test_a_saved_folder_and_a_pickle_give_the_same(model, recording, tmp_path, kind):
    if kind == "pretraining":
        model = ECGModel(model.network, kind, model.form)
    model.save(tmp_path / "saved")
    expected = model.embed(recording.wfdb)
    for again in (ECGModel.load(tmp_path / "saved"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.embed(recording.wfdb), expected)
        assert again.describe()["pooling"] == list(WANTED)
    if kind == "classification":
        again = ECGModel.load(tmp_path / "saved").predict(recording.wfdb)
        assert again["AF"] == model.predict(recording.wfdb)["AF"]


@pytest.mark.parametrize("name", ["model.pt2", "model.onnx"])
def test_a_program_gives_the_same(model, tmp_path, name):
    model.export(tmp_path / name)  # which compares


def test_a_gallery_of_any_model_finds_the_recording_that_is_enrolled(model, recording):
    gallery = model.enroll([recording.mv, recording.mv[:, ::-1]], ["p", "q"], fs=500)
    assert model.predict(recording.mv, fs=500, gallery=gallery).patient_id == "p"


def test_what_does_not_go_with_statistics_is_refused(model, encoder, tmp_path):
    with pytest.raises(ConfigError, match="zero_frames"):
        LoadedModel(model.network, "pretraining", encoder.form.changed({"zero_frames": "skip"}))
    model.save(tmp_path / "saved")
    path = tmp_path / "saved" / "config.json"
    path.write_text(path.read_text().replace('"std:1"', '"mean:0"').replace('"mean:1",', ""))
    with pytest.raises(CheckpointError, match="its head does not fit its encoder"):
        ECGModel.load(tmp_path / "saved")
