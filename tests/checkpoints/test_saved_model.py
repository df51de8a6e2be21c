"""Saved models are written whole or not at all, and what is no saved model is refused."""

import json
import os

import pytest
import torch
from safetensors import SafetensorError

from fairseq_signals.checkpoints.input_format import InputFormat, input_format
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.checkpoints.saved_model import FORMAT, FORMAT_VERSION, write_saved_model
from fairseq_signals.errors import CheckpointError, ConfigError, OutputError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import PooledEncoder


@pytest.fixture
def state(tiny):
    return PooledEncoder(ECGEncoder(EncoderConfig(**tiny))).state_dict()


@pytest.fixture
def config(tiny):
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": "pretraining",
        "leads": ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"],
        "fs": 250.0,
        "segment_samples": 2500,
        "normalize": True,
        "encoder": tiny,
    }


@pytest.fixture
def folder(tmp_path, state, config):
    write_saved_model(tmp_path / "model", state, config, "a card")
    return tmp_path / "model"


def test_parameters_and_input_format_come_back(folder, state):
    checkpoint = load_checkpoint(folder)
    assert checkpoint.state.keys() == state.keys()
    assert all(torch.equal(checkpoint.state[key], state[key]) for key in state)
    assert input_format(checkpoint) == InputFormat(250.0, tuple(range(12)), True, segment_s=10.0)
    assert (folder / "README.md").read_text() == "a card"


@pytest.mark.parametrize(("normalize", "now"), [(True, "segment"), (False, "none")])
def test_a_folder_of_the_first_version_is_read_as_before(tmp_path, state, config, normalize, now):
    write_saved_model(tmp_path / "m", state, {**config, "format_version": 1, "normalize": normalize}, "")
    assert input_format(load_checkpoint(tmp_path / "m")) == InputFormat(
        250.0, tuple(range(12)), now, segment_s=10.0
    )


def test_the_leads_of_a_model_with_fewer_come_back_in_their_order(tmp_path, config, tiny):
    tiny["in_d"] = 2
    state = PooledEncoder(ECGEncoder(EncoderConfig(**tiny))).state_dict()
    write_saved_model(tmp_path / "two", state, {**config, "leads": ["V2", "I"]}, "")
    assert input_format(load_checkpoint(tmp_path / "two")).leads == (7, 0)


def test_a_folder_that_is_there_is_only_replaced_where_that_is_asked_for(folder, state, config):
    (folder / ".gitattributes").write_text("kept")
    with pytest.raises(ConfigError, match="is there already; name another folder, or pass overwrite=True"):
        write_saved_model(folder, state, config, "")
    write_saved_model(folder, state, {**config, "fs": 100.0}, "another card", overwrite=True)
    assert load_checkpoint(folder).saved["fs"] == 100.0
    names = {path.name for path in folder.iterdir()}
    assert names == {".gitattributes", "README.md", "config.json", "model.safetensors"}
    with pytest.raises(ConfigError, match="is there already"):
        write_saved_model(folder / "README.md", state, config, "", overwrite=True)


def test_a_folder_that_could_not_be_written_is_not_there(tmp_path, state, config):
    with pytest.raises(TypeError):
        write_saved_model(tmp_path / "model", state, {**config, "bad": object()}, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model", "new"])
def test_a_model_that_the_disk_does_not_take_is_named_and_the_older_one_stays(
    tmp_path, folder, state, config, monkeypatch, name
):
    def full(*arguments, **options):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OutputError, match=rf"{name}.*: cannot be written \(I/O error: No space .*Make room"):
        write_saved_model(folder.with_name(name), state, config, "", overwrite=True)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert list(folder.parent.iterdir()) == [folder]


def test_what_a_killed_process_left_of_a_model_is_removed(tmp_path, state, config):
    (tmp_path / ".model.123.part").mkdir()
    write_saved_model(tmp_path / "model", state, config, "")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_replacing_that_was_cut_short_leaves_no_model_rather_than_a_mixture(
    folder, state, config, monkeypatch
):
    def stop(path, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_saved_model(folder, state, {**config, "fs": 100.0}, "", overwrite=True)
    with pytest.raises(CheckpointError, match=r"a folder without config\.json"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not the configuration of a saved model of this project"),
        ({"format_version": 6}, "format version 6, but this software reads 1 to 5; install"),
        ({"kind": "other"}, "kind must be one of pretraining, classification, regression, identification"),
        ({"fs": None}, r"config\.json: fs must be a number from 50 to 20,000, but is None"),
        ({"fs": "500"}, "fs must be a number .* but is '500'"),
        ({"fs": 1e9}, "fs must be a number from 50 to 20,000, but is 1000000000.0"),
        ({"fs": float("nan")}, "fs must be a number .* but is nan"),
        ({"leads": "12"}, "leads must be a list of at most 12"),
        ({"leads": ["I", 5.5]}, r"leads must be a list .* but is \['I', 5.5\]"),
        ({"segment_samples": 0}, "segment_samples must be an integer from 1 to 72,000,000, but is 0"),
        ({"segment_samples": True}, "segment_samples must be an integer .* but is True"),
        ({"segment_samples": 10**12}, "segment_samples must be an integer .* but is 1000000000000"),
        ({"max_samples": "x"}, "max_samples must be an integer .* but is 'x'"),
        ({"normalize": "x"}, "one of none, segment, record"),
        ({"labels": 3}, "labels must be a list"),
        ({"labels": [{"label": "AF", "name": "", "codes": [], "threshold": 2}]},
         r"labels\[0\]\.threshold must be a number from 0 to 1, but is 2"),
        ({"provenance": [1]}, r"provenance must be a dictionary, but is \[1\]"),
        ({"provenance": {"training": {"task": "x"}}}, r"provenance\.training must be a dictionary"),
        ({"provenance": {"progress": [1]}}, r"provenance\.progress must be a dictionary"),
        ({"encoder": []}, "encoder must be a dictionary"),
        ({"encoder": {"dropout": "inf"}}, r"encoder\.dropout must be a number .* but is 'inf'"),
        ({"encoder": {"encoder_layers": 100_000}}, "encoder_layers must be an integer from 1 to 512"),
        ({"more": [[[0] * 9] * 99] * 299}, "holds more than 200,000 values; it is damaged"),
        ({"encoder": {"encoder_layers": 3}}, r"config\.json does not describe model\.safetensors"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_not_of_the_parameters_is_refused(folder, change, message):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("key", ["kind", "leads", "fs", "segment_samples", "normalize", "encoder"])
def test_a_missing_key_is_named(folder, key):
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=rf"config\.json: {key} must be .*, but is None"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not a readable JSON file"),
        (b"\xff", "not a readable JSON file"),
        (b"[" * 200_000, "is nested deeper than 32 levels"),
        (b'{"a":' * 40 + b"0" + b"}" * 40, "is nested deeper than 32 levels"),
        (b" " * (1 << 24) + b"{}", "16,777,218 bytes, but at most 16,777,216 are read"),
    ],
)
def test_a_configuration_that_is_no_plain_json_is_refused(folder, content, message):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"config\.json: {message}"):
        load_checkpoint(folder)


def test_a_configuration_without_an_end_is_refused(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/dev/zero")
    with pytest.raises(
        CheckpointError, match=r"config\.json: not a readable JSON file .*it is a device, not a file"
    ):
        load_checkpoint(folder)


def test_damaged_weights_are_noticed_by_their_digest(folder):
    path = folder / "model.safetensors"
    weights = path.read_bytes()
    for content in (b"", weights[:-5], weights[:-64] + bytes(64)):
        path.write_bytes(content)
        with pytest.raises(
            CheckpointError, match=r"model\.safetensors: its SHA-256 is not the one in config"
        ):
            load_checkpoint(folder)


def test_damaged_files_are_refused_by_name(folder, config):
    (folder / "config.json").write_text(json.dumps(config))  # of before digests were kept
    load_checkpoint(folder)
    weights = (folder / "model.safetensors").read_bytes()
    for content in (b"", weights[:-5], b"\xff" * 100):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"model\.safetensors: not a whole safetensors file"):
            load_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"not a whole safetensors file \(.*it is a pipe"):
        load_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no such file; copy the whole folder"):
        load_checkpoint(folder)
