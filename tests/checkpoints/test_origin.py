"""What a training notes of the public weights that it started from."""

from dataclasses import replace

import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.checkpoints.origin import FINE_TUNED_FROM, public_weights
from fairseq_signals.errors import CheckpointError
from fairseq_signals.files import sha256_of
from tests.checkpoints.lookalikes import pretrained


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A pre-trained look-alike."""
    return pretrained(tmp_path_factory.mktemp("published") / "mimic_iv_ecg_physionet_pretrained.pt")


def test_weights_are_known_where_a_preset_is_named_or_they_are_recognised(published):
    source = load_checkpoint(published)
    assert public_weights(source) is None  # it is of another size
    found = public_weights(source, "ecg-fm")
    assert (found["title"], found["licence"], found["file"]) == ("ECG-FM", "MIT", published.name)
    assert found["sha256"] == sha256_of(published)


def test_weights_of_ours_are_not_public_because_their_input_is_as_a_preset_says(published):
    assert public_weights(replace(load_checkpoint(published), from_authors=False), "ecg-fm") is None


def test_what_was_noted_stays_with_all_that_is_made_of_it(published, tmp_path):
    model = ECGModel.load(published, preset="ecg-fm")
    model.save(tmp_path / "saved")
    before = public_weights(load_checkpoint(published), "ecg-fm")
    assert public_weights(load_checkpoint(tmp_path / "saved")) == before
    raw = torch.load(published, weights_only=True)
    ours = {"model": {f"encoder.{key}": value for key, value in raw["model"].items() if "quant" not in key
                      and not key.startswith(("project", "final_proj"))},
            "cfg": raw["cfg"], "task_state": {FINE_TUNED_FROM: before}}  # fmt: skip
    torch.save(ours, tmp_path / "tuned.pt")
    assert public_weights(load_checkpoint(tmp_path / "tuned.pt")) == before
    ECGModel.load(tmp_path / "tuned.pt").save(tmp_path / "tuned")
    assert public_weights(load_checkpoint(tmp_path / "tuned")) == before


def test_a_note_that_cannot_be_is_refused(published, tmp_path):
    raw = torch.load(published, weights_only=True)
    torch.save({**raw, "task_state": {FINE_TUNED_FROM: {"licence": 3}}}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match="fine_tuned_from must be a dictionary"):
        ECGModel.load(tmp_path / "odd.pt")
