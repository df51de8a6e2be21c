"""Public weights by name: the array that reaches the encoder, and who is taken for them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from fairseq_signals import ECGModel, read_recording
from fairseq_signals.checkpoints import presets
from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.checkpoints.presets import PRESETS
from fairseq_signals.errors import ConfigError, LabelError
from fairseq_signals.files import sha256_of
from tests.checkpoints import lookalikes

#: ECG-FM's sample data; of two recordings there is what its own preparation made of them.
EXAMS = (1238362, 1594286, 2657522, 270272, 2754228, 2969044, 358121, 438277, 795649, 975093)


def reference(signal: np.ndarray, fs: float) -> np.ndarray:
    """What ECG-FM's preparation makes of a recording (12, T): (segments, 12, 2500)."""
    n = int(signal.shape[1] * (500 / fs))
    at = np.linspace(0, signal.shape[1] - 1, n)
    x = np.stack([np.interp(at, np.arange(signal.shape[1]), lead) for lead in signal.astype(np.float64)])
    constant = (x == x[:, :1]).all(axis=1, keepdims=True)
    spread = np.where(constant, 1, x.std(axis=1, keepdims=True))
    x = np.where(constant, 0, (x - x.mean(axis=1, keepdims=True)) / spread)
    return np.stack([x[:, start : start + 2500] for start in range(0, n - 2499, 2500)])


@pytest.fixture
def reached(monkeypatch):
    """`reached(model)`: a list that fills with the segments (12, n) that reach the model's encoder."""

    def watch(model: ECGModel) -> list:
        found: list[np.ndarray] = []
        model.network.encoder.register_forward_pre_hook(lambda _, given: found.extend(given[0].numpy()))
        return found

    return watch


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def ecg_fm(checkpoints):
    return ECGModel.load(checkpoints["pretraining"], preset="ecg-fm")


@pytest.mark.parametrize("exam", EXAMS)
@pytest.mark.parametrize("given", ["path", "array", "recording"])
def test_recordings_reach_the_encoder_as_ecg_fm_wants_them(ecg_fm, reached, shared_dir, exam, given):
    folder, name = shared_dir / "real_ecg" / "code15_processed_mat", f"code_15_{exam}.mat"
    path = folder / "org" / name
    raw = scipy.io.loadmat(path)["feats"]
    found = reached(ecg_fm)
    ways = {"path": lambda: path, "recording": lambda: read_recording(path), "array": lambda: raw}
    ecg_fm.embed(ways[given](), fs=400 if given == "array" else None)
    np.testing.assert_allclose(np.stack(found), reference(raw, 400), rtol=0, atol=1e-6)
    prepared = folder / "preprocessed" / name
    if prepared.is_file():
        whole = scipy.io.loadmat(prepared)["feats"]
        np.testing.assert_allclose(np.concatenate(found, axis=1), whole[:, :5000], rtol=0, atol=1e-6)
        for i, segment in enumerate(found):
            published = scipy.io.loadmat(folder / "segmented" / f"{Path(name).stem}_{i}.mat")["feats"]
            np.testing.assert_allclose(segment, published, rtol=0, atol=1e-6)


def test_a_constant_lead_an_absent_one_and_a_short_rest_are_as_in_the_reference(ecg_fm, reached, rng):
    signal = rng.normal(size=(12, 3000)) + 40
    signal[3], signal[7] = 0, 0
    found = reached(ecg_fm)
    ecg_fm.embed(signal, fs=250)
    np.testing.assert_allclose(np.stack(found), reference(signal, 250), rtol=0, atol=1e-6)
    assert len(found) == 2
    found.clear()
    ecg_fm.embed(signal[[7, 1]], fs=250, leads=["V2", "II"])
    assert np.array_equal(np.flatnonzero(found[0].any(axis=1)), [1])


def test_a_recording_shorter_than_a_segment_is_not_dropped(ecg_fm, reached, rng):
    found = reached(ecg_fm)
    ecg_fm.embed(rng.normal(size=(12, 1200)), fs=500)
    assert [segment.shape for segment in found] == [(12, 1200)]


def test_the_other_weights_take_ten_seconds_in_their_own_scale(checkpoints, reached, rng):
    model = ECGModel.load(checkpoints["pretraining"], preset="deepecg-ssl")
    signal = rng.normal(size=(12, 2600))
    found = reached(model)
    model.embed(signal, fs=250)
    np.testing.assert_allclose(found, signal[None, :, :2500].astype(np.float32))
    model = ECGModel.load(checkpoints["pretraining"], preset="deepecg-ssl", scale=1000)
    found = reached(model)
    model.embed(signal, fs=250)
    np.testing.assert_allclose(found, (1000 * signal[None, :, :2500]).astype(np.float32))


def test_numbers_of_numpy_are_numbers(checkpoints):
    model = ECGModel.load(
        checkpoints["pretraining"], fs=np.int64(250), scale=np.float32(2), normalize=np.True_
    )
    assert model.form == InputFormat(250, scale=2, normalize="segment")


def test_what_is_given_goes_before_the_preset(checkpoints):
    model = ECGModel.load(checkpoints["pretraining"], preset="ecg-fm", normalize="none", segment_s=10)
    assert (model.form.normalize, model.form.segment_s, model.form.resampler) == ("none", 10, "linear")
    with pytest.raises(ConfigError, match="there is no preset 'ecgfm'; did you mean ecg-fm"):
        ECGModel.load(checkpoints["pretraining"], preset="ecgfm")
    with pytest.raises(ConfigError, match="there is no preset 3"):
        ECGModel.load(checkpoints["pretraining"], preset=3)
    with pytest.raises(LabelError, match="the model has no class 'AFL'"):
        ECGModel.load(checkpoints["classification"], aggregate_max=["AFL"])


@pytest.fixture
def authors(save_checkpoint):
    """`authors(path)`: a tiny pre-trained checkpoint under the authors' key names."""

    def save(path: Path) -> Path:
        raw = torch.load(save_checkpoint(path, "pretraining"), weights_only=True)
        raw["model"] = {key.removeprefix("encoder."): value for key, value in raw["model"].items()}
        torch.save(raw, path)
        return path

    return save


def of_published_size(monkeypatch):
    """From here on every encoder has the size of the published ones."""
    monkeypatch.setattr(presets, "_has_published_shape", lambda config: True)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("mimic_iv_ecg_physionet_pretrained.pt", "ecg-fm"),
        ("SSL_Pretrained_model.pt", "deepecg-ssl"),
        ("SSL_Pretrained_model", "deepecg-ssl"),
        ("wcr_lvef_under_50.pt", "deepecg-ssl"),
    ],
)
def test_a_published_file_is_known_by_name_and_configuration(
    authors, file, name, tmp_path, caplog, monkeypatch
):
    path, preset = authors(tmp_path / file), PRESETS[name]
    assert ECGModel.load(path).form == InputFormat()  # it is of another size
    of_published_size(monkeypatch)
    model = ECGModel.load(path)
    assert model.form == InputFormat().changed(preset.input)
    assert f"its input is that of preset {name}" in caplog.text
    assert model.provenance["preset"]["title"] == preset.title
    assert ECGModel.load(path, preset="none").form == InputFormat()
    for other in ("checkpoint_best.pt", f"my_{file}", "ssl_pretrained_by_me.pt"):
        assert ECGModel.load(authors(tmp_path / other)).form == InputFormat()


def test_a_classifier_of_other_labels_is_not_a_published_one(tmp_path, monkeypatch):
    of_published_size(monkeypatch)
    for n, is_public in ((17, True), (5, False)):
        path = lookalikes.finetuned(tmp_path / "mimic_iv_ecg_finetuned.pt", labels=n)
        assert (ECGModel.load(path).form.normalize == "record") == is_public


def test_weights_of_public_size_under_another_name_are_asked_about(authors, tmp_path, caplog, monkeypatch):
    of_published_size(monkeypatch)
    path = authors(tmp_path / "my_ecg_fm.pt")
    assert ECGModel.load(path).form == InputFormat()
    assert "if it is of ECG-FM (ecg-fm) or DeepECG-SSL (deepecg-ssl), name that preset" in caplog.text
    caplog.clear()
    ECGModel.load(path, preset="ecg-fm")
    ECGModel.load(path, preset="none")
    assert caplog.text == ""


def test_a_preset_is_for_models_of_twelve_leads(save_checkpoint, tmp_path):
    task = {"leads_to_load": ["I", "II"], "enable_padding_leads": False}
    path = save_checkpoint(tmp_path / "two.pt", "pretraining", task, in_d=2)
    with pytest.raises(ConfigError, match="ECG-FM, whose models take 12 leads, but this one takes 2"):
        ECGModel.load(path, preset="ecg-fm")


def test_a_published_file_is_known_by_its_check_sum_whatever_it_is_called(authors, tmp_path, monkeypatch):
    path = authors(tmp_path / "renamed.pt")
    known = replace(PRESETS["ecg-fm"], sha256=frozenset([sha256_of(path)]))
    monkeypatch.setattr(presets, "PRESETS", {"ecg-fm": known})
    assert ECGModel.load(path).form.normalize == "record"


def test_a_checkpoint_of_ours_is_never_taken_for_public_weights(save_checkpoint, tmp_path, monkeypatch):
    of_published_size(monkeypatch)
    path = save_checkpoint(tmp_path / "mimic_iv_ecg_finetuned.pt", "pretraining")
    assert ECGModel.load(path).form == InputFormat()


def test_a_saved_model_keeps_its_input_and_where_its_weights_come_from(ecg_fm, tmp_path, rng):
    ecg_fm.save(tmp_path / "model")
    again = ECGModel.load(tmp_path / "model")
    assert (again.form, again.fingerprint) == (ecg_fm.form, ecg_fm.fingerprint)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["normalize"], config["resampler"], config["last_segment"]) == ("record", "linear", "drop")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "- Weights: ECG-FM" in card
    assert "- Licence of the weights: MIT" in card
