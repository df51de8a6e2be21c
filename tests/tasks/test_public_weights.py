"""Fine-tuning from public weights: what a task asks, and what it notes of them."""

import logging

import pytest
from omegaconf import OmegaConf

from fairseq_signals.checkpoints import presets
from fairseq_signals.checkpoints.origin import FINE_TUNED_FROM
from tests.checkpoints import lookalikes


@pytest.fixture
def source(tmp_path):
    """A look-alike that is not called as it was published."""
    return lookalikes.pretrained(tmp_path / "renamed.pt")


@pytest.fixture
def start(setup, corpus, source):
    """`start(preset)`: a task that has built a model from the look-alike."""

    def make(preset=None):
        task = setup("ecg_classification", corpus.classification, preset=preset)
        cfg = {"_name": "ecg_transformer_classifier", "model_path": str(source)}
        task.build_model(OmegaConf.create(cfg))
        return task

    return make


def test_weights_that_a_preset_names_are_noted_and_their_input_is_right(start, caplog):
    with caplog.at_level(logging.WARNING):
        noted = start("ecg-fm").state_dict()[FINE_TUNED_FROM]
    assert (noted["title"], noted["licence"], noted["file"]) == ("ECG-FM", "MIT", "renamed.pt")
    assert caplog.text == ""


def test_a_resumed_training_keeps_the_note_though_it_names_nothing(start):
    state = start("ecg-fm").state_dict()
    later = start()
    assert FINE_TUNED_FROM not in later.state_dict()
    later.load_state_dict(state)
    assert later.state_dict() == state


def test_weights_of_public_size_are_asked_about_unless_a_preset_is_named(start, caplog, monkeypatch):
    monkeypatch.setattr(presets, "_has_published_shape", lambda config: True)
    with caplog.at_level(logging.WARNING):
        start()
        assert "If it is of these, set task.preset=ecg-fm or deepecg-ssl" in caplog.text
        caplog.clear()
        start("none")
        start("ecg-fm")
    assert caplog.text == ""
