"""Weights that come with the package: by name, in Python, in commands and as the start of a training."""

import json

import numpy as np
import pytest

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints import shipped
from fairseq_signals.commands.main import main
from fairseq_signals.ecg.leads import parse_leads
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.synthetic.record import synthetic_ecg


@pytest.fixture
def weights(models, monkeypatch, tmp_path):
    """An installation whose weights are one tiny classifier, "tiny"."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "weights")
    models["classification"].save(tmp_path / "weights" / "tiny")
    return tmp_path / "weights"


def test_weights_are_loaded_by_their_name(weights, models, recording):
    for model in (ECGModel.pretrained("tiny"), ECGModel.load("tiny")):
        expected = models["classification"].embed(recording.wfdb)
        np.testing.assert_array_equal(model.embed(recording.wfdb), expected)


def test_a_folder_that_is_there_goes_before_weights_of_its_name(weights, models, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    models["pretraining"].save("tiny")
    assert ECGModel.load("tiny").kind == "pretraining"
    assert ECGModel.pretrained("tiny").kind == "classification"


def test_the_folder_of_a_training_is_its_final_model_else_its_best_checkpoint(tmp_path):
    for name in ("checkpoint_last.pt", "checkpoint_best.pt", "final.pt"):
        (tmp_path / name).touch()
        assert shipped.model_place(tmp_path) == tmp_path / name


def test_commands_take_the_name_of_weights(weights, recording, tmp_path, capsys):
    assert main(["predict", "tiny", str(recording.wfdb), "--out", str(tmp_path / "p.csv")]) == 0
    assert main(["embed", "tiny", str(recording.wfdb), "--out", str(tmp_path / "e.npy")]) == 0
    assert main(["info", "tiny"]) == 0
    assert "tiny: classification model" in capsys.readouterr().out
    store = str(recording.store)
    assert main(["identify", "tiny", "--gallery", str(recording.wfdb), "--probe", store]) == 1


def test_names_that_there_are_not_are_told_with_those_that_there_are(weights):
    with pytest.raises(ConfigError, match=r"no weights called 'huge'; .* package: tiny"):
        ECGModel.pretrained("huge")
    with pytest.raises(CheckpointError, match="huge"):
        ECGModel.load("huge")


def test_an_installation_without_weights_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(ConfigError, match=r"this installation has none .* make starter"):
        ECGModel.pretrained("starter")


def test_damaged_weights_are_refused(weights):
    path = weights / "tiny" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="its SHA-256 is not the one in config"):
        ECGModel.pretrained("tiny")


@pytest.fixture(scope="module")
def starter():
    """The folder of the starter weights."""
    if "starter" not in shipped.shipped_names():
        pytest.skip("this checkout has no starter weights: make starter")
    return shipped.shipped_folder("starter")


def test_the_starter_is_small_and_its_card_tells_its_checksum_and_limits(starter):
    assert sum(path.stat().st_size for path in starter.iterdir()) <= 12e6
    model, config = ECGModel.pretrained("starter"), json.loads((starter / "config.json").read_text())
    assert model.n_parameters <= 5e6
    card = (starter / "README.md").read_text()
    assert config["weights_sha256"] in card
    assert "research" in card
    assert "no medical device" in card
    for source in ("PTB-XL", "CinC 2017", "LUDB", "ECG-ID"):
        assert source in card, source


def test_fibrillation_is_more_probable_to_the_starter_than_sinus_rhythm_with_any_leads(starter):
    model = ECGModel.pretrained("starter")
    for leads in ("12", "6", "2", "1"):
        signals = [synthetic_ecg(1, rhythm=rhythm)[list(parse_leads(leads))] for rhythm in ("AF", "NSR")]
        found = [model.predict(signal, fs=500, leads=leads)["AF"] for signal in signals]
        assert 0 < found[1] < found[0] < 1
    assert 0 < model.thresholds["AF"] < 1


def test_the_first_example_of_the_readme_runs(starter, repo_dir):
    page = (repo_dir / "README.md").read_text(encoding="utf-8").partition("## First example")[2]
    known: dict = {}
    exec(page.split("```python\n")[1].split("```")[0], known)
    assert set(known["p"]) >= {"AF", "NORM"}
    assert len(known["gallery"].patient_ids) == 20
    again = known["model"].predict(synthetic_ecg(5, session=1), fs=500, gallery=known["gallery"])
    assert again.patient_id == 5  # as the page says
