"""Models of ECGs and texts: their embeddings are the ECG encoder's, and nothing is lost in a folder."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import build_model, load_checkpoint
from fairseq_signals.checkpoints.saved_model import write_saved_model
from fairseq_signals.errors import CheckpointError
from fairseq_signals.models.pretrained import load_pretrained
from fairseq_signals.modules.ecg_text import ECGText
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import PooledEncoder
from fairseq_signals.text.tokenizer import Tokenizer
from tests.ecg_text import WORDS, save_ecg_text
from tests.sizes import TINY

SIGNAL = np.random.default_rng(0).normal(size=(12, 2900)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return save_ecg_text(tmp_path / "clip.pt", {"leads_to_load": None})


def test_embeddings_are_of_the_ecg_encoder_and_joint_vectors_of_length_1(path):
    model = ECGModel.load(path)
    assert model.kind == "pretraining"
    plain = PooledEncoder(ECGEncoder(EncoderConfig(**TINY))).eval()
    state = torch.load(path, weights_only=True)["model"]
    plain.load_state_dict({key: value for key, value in state.items() if key.startswith("encoder.")})
    with torch.no_grad():
        pooled = plain(torch.from_numpy(SIGNAL[None, :, :2500]))
        joint = torch.nn.functional.normalize(pooled @ state["joint.ecg.weight"].T, dim=1)
    np.testing.assert_allclose(model.embed(SIGNAL[:, :2500], fs=500), pooled[0], atol=1e-6)
    (done,) = model.stream([SIGNAL[:, :2500]], 500, outputs=("joint",))
    np.testing.assert_allclose(done.joint, joint[0], atol=1e-6)
    (done,) = model.stream([SIGNAL], 500, outputs=("joint",))  # two segments, the second overlaps
    assert len(done.values["joint"]) == 2
    assert np.linalg.norm(done.joint) == pytest.approx(1)


def test_a_folder_keeps_both_sides_and_the_tokenizer(path, tmp_path):
    model = ECGModel.load(path)
    model.save(tmp_path / "saved")
    loaded = ECGModel.load(tmp_path / "saved")
    before, after = model.network.state_dict(), loaded.network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert isinstance(loaded.network, ECGText)
    assert loaded.network.text_options == model.network.text_options
    assert loaded.fingerprint == model.fingerprint
    tokenizer = Tokenizer(loaded.network.tokenizer.numpy().tobytes())
    assert tokenizer.decode(tokenizer.encode(WORDS[1])) == WORDS[1]
    told = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert told["format_version"] == 5
    assert told["text"]["joint_dim"] == 8
    assert "compares ECGs with texts" in (tmp_path / "saved" / "README.md").read_text()
    np.testing.assert_array_equal(loaded.embed(SIGNAL, fs=500), model.embed(SIGNAL, fs=500))
    loaded.save(tmp_path / "again")
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "saved" / name).read_bytes(), name
    copied = pickle.loads(pickle.dumps(loaded))
    assert copied.fingerprint == loaded.fingerprint


def test_models_that_take_vectors_of_texts_have_no_tokenizer(tmp_path):
    model = ECGModel.load(save_ecg_text(tmp_path / "v.pt", text_vector_dim=5))
    assert model.network.tokenizer is None
    model.save(tmp_path / "saved")
    vectors = torch.randn(2, 5)
    loaded = ECGModel.load(tmp_path / "saved").network
    assert torch.equal(loaded.of_texts(vectors), model.network.of_texts(vectors))


def test_its_encoder_is_where_another_training_begins(path):
    encoder = ECGEncoder(EncoderConfig(**TINY))
    load_pretrained(encoder, path)
    state = torch.load(path, weights_only=True)["model"]
    assert all(torch.equal(value, state[f"encoder.{key}"]) for key, value in encoder.state_dict().items())


def test_other_models_say_that_they_compare_nothing(checkpoints):
    model = ECGModel.load(checkpoints.pretrained())
    with pytest.raises(CheckpointError, match="compares no ECGs with texts"):
        next(model.stream([SIGNAL], 500, outputs=("joint",)))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vocab_size", 7, r"model\.vocab_size is 7, but by the parameter text\.embedding\.weight it is \d+"),
        ("joint_dim", 1 << 16, r"model\.joint_dim is 65536, but by the parameter joint\.ecg\.weight it is 8"),
        ("text_vector_dim", 3, r"model\.text_vector_dim is 3, but by the parameter text\.0\.weight it is 0"),
        ("text_layers", "two", r"model\.text_layers must be an integer"),
        ("text_layers", 3, r"missing parameters \['text\.encoder\.layers\.1\."),
    ],
)
def test_options_that_do_not_describe_the_parameters_are_refused(path, name, value, message):
    raw = torch.load(path, weights_only=True)
    raw["cfg"]["model"][name] = value
    torch.save(raw, path)
    with pytest.raises(CheckpointError, match=message):
        build_model(load_checkpoint(path))


def test_a_tokenizer_that_is_not_bytes_is_refused(path, tmp_path):
    ECGModel.load(path).save(tmp_path / "saved")
    state = safetensors.torch.load_file(tmp_path / "saved" / "model.safetensors")
    told = json.loads((tmp_path / "saved" / "config.json").read_text())
    del told["weights_sha256"]
    write_saved_model(tmp_path / "other", {**state, "tokenizer": torch.zeros(3, 2)}, told, "")
    with pytest.raises(CheckpointError, match=r"tokenizer must be bytes, but is torch\.float32 of \(3, 2\)"):
        load_checkpoint(tmp_path / "other")
