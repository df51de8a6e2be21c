"""Files that are no checkpoints are refused in words, and never executed."""

from __future__ import annotations

import argparse
import json
import pathlib
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from fairseq_signals.checkpoints.file import read_checkpoint_file
from fairseq_signals.checkpoints.loading import load_model
from fairseq_signals.errors import CheckpointError


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return pathlib.Path.touch, (self.path,)


class Command(Payload):
    """The same through a function that runs any code."""

    def __reduce__(self) -> tuple:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.fixture
def touched(tmp_path) -> pathlib.Path:
    return tmp_path / "touched"


@pytest.mark.parametrize("payload", [Payload, Command])
@pytest.mark.parametrize("place", ["model", "extra_state", "cfg"])
@pytest.mark.parametrize("new_format", [True, False])
def test_malicious_checkpoint_is_refused_and_not_executed(tmp_path, touched, payload, place, new_format):
    path = tmp_path / "evil.pt"
    content = {"model": {"x": torch.zeros(2)}, "cfg": {"model": {}}, "extra_state": {}}
    content[place]["evil"] = payload(touched)
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"names \S+, which is not a tensor.*do not trust the file"):
        load_model(path)
    assert not touched.exists()


def test_a_tar_file_is_refused_and_not_executed(tmp_path, touched):
    """Older releases of PyTorch ran what was in it: CVE-2025-32434."""
    torch.save({"model": {"x": Payload(touched)}}, tmp_path / "pickle")
    with tarfile.open(tmp_path / "evil.pt", "w") as tar:
        tar.add(tmp_path / "pickle", "pickle")
    with pytest.raises(CheckpointError, match="nothing was executed"):
        read_checkpoint_file(tmp_path / "evil.pt")
    assert not touched.exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_bare_pickle_is_refused_and_not_executed(tmp_path, touched, protocol):
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"model": Payload(touched)}, protocol=protocol))
    with pytest.raises(CheckpointError):
        read_checkpoint_file(path)
    assert not touched.exists()
    pickle.loads(path.read_bytes())
    assert touched.exists()  # it would have done it


def test_numpy_object_array_cannot_smuggle_code_in(tmp_path, touched):
    path = tmp_path / "evil.pt"
    hidden = np.array([Payload(touched)], dtype=object)
    torch.save({"model": {"x": torch.zeros(2)}, "extra_state": hidden}, path)
    with pytest.raises(CheckpointError, match="nothing was executed"):
        read_checkpoint_file(path)
    assert not touched.exists()


def test_numpy_scalars_and_arrays_in_the_metrics_are_read(tmp_path):
    path = tmp_path / "metrics.pt"
    numbers = [np.float64(0.5), np.float32(0.5), np.float16(0.5), np.int64(3), np.int32(3), np.uint8(3)]
    arrays = [np.arange(3.0), np.arange(3), np.array([True, False])]
    metrics = {"numbers": [*numbers, np.bool_(True)], "arrays": arrays}
    torch.save({"model": {"x": torch.zeros(2)}, "extra_state": {"metrics": metrics}}, path)
    read = read_checkpoint_file(path)["extra_state"]["metrics"]
    assert read["numbers"] == [0.5, 0.5, 0.5, 3, 3, 3, True]
    assert all(np.array_equal(one, other) for one, other in zip(read["arrays"], arrays))


def test_argument_lists_of_old_fairseq_checkpoints_are_read(tmp_path):
    path = tmp_path / "old.pt"
    torch.save({"model": {"x": torch.zeros(2)}, "args": argparse.Namespace(lr=[0.1])}, path)
    assert read_checkpoint_file(path)["args"] == {"lr": [0.1]}


def checkpoint_bytes(tmp_path: pathlib.Path, **options: object) -> bytes:
    path = tmp_path / "whole.pt"
    torch.save({"model": {"x": torch.zeros(3000)}}, path, **options)
    return path.read_bytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda tmp_path: b"",
        lambda tmp_path: np.random.default_rng(0).bytes(4000),
        lambda tmp_path: b"\x80\x02" + np.random.default_rng(1).bytes(4000),
        lambda tmp_path: b"PK\x03\x04" + np.random.default_rng(2).bytes(4000),
        lambda tmp_path: json.dumps({"model": {"x": [0.0]}}).encode(),
        lambda tmp_path: b"version https://git-lfs.github.com/spec/v1\n",
        lambda tmp_path: checkpoint_bytes(tmp_path)[:6000],
        lambda tmp_path: checkpoint_bytes(tmp_path)[:-1],
        lambda tmp_path: checkpoint_bytes(tmp_path, _use_new_zipfile_serialization=False)[:6000],
    ],
    ids=["empty", "random", "random pickle", "random zip", "json", "text", "half", "cut", "half, old format"],
)
def test_damaged_or_foreign_file_is_refused_by_name(tmp_path, make):
    path = tmp_path / "damaged.pt"
    path.write_bytes(make(tmp_path))
    with pytest.raises(CheckpointError, match=r"damaged\.pt: not a checkpoint, or a damaged one"):
        load_model(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS.*: run `git lfs pull`"),
        (b"<!DOCTYPE html><html></html>", "a web page in place of the weights"),
        (b"PK\x03\x04" + bytes(96), "its end is missing after 100 bytes: download"),
    ],
)
def test_what_a_download_left_in_place_of_the_weights_is_told(tmp_path, content, told):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=told):
        load_model(path)


@pytest.mark.parametrize(
    "content", [[1, 2], {"model": {}}, {"state_dict": {}}, {"model": [1]}, torch.zeros(2)]
)
def test_file_without_parameters_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="it has no 'model' with parameters"):
        load_model(path)


def test_missing_file_and_folder_are_told_apart_from_damaged_ones(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        load_model(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match=r"a folder without config\.json, so it is not a saved model"):
        load_model(tmp_path)


def packed(source: pathlib.Path, path: pathlib.Path, how: int, **replaced: bytes) -> pathlib.Path:
    """The archive of a checkpoint written anew, its members packed, some of them replaced."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", how) as new:
        for info in old.infolist():
            content = replaced.get(info.filename.rpartition("/")[2].replace(".", "_"), old.read(info))
            new.writestr(info.filename, content)
    return path


def test_a_checkpoint_that_is_packed_takes_no_memory(tmp_path):
    torch.save({"model": {"x": torch.zeros(1 << 20)}}, tmp_path / "plain.pt")
    path = packed(tmp_path / "plain.pt", tmp_path / "bomb.pt", zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"takes 4,19\d,\d{3} bytes out of \d,\d{3} in the file"):
        read_checkpoint_file(path)


def test_a_checkpoint_whose_names_have_no_end_is_refused(tmp_path):
    torch.save({"model": {"x": torch.zeros(9)}}, tmp_path / "plain.pt")
    path = packed(tmp_path / "plain.pt", tmp_path / "x.pt", zipfile.ZIP_STORED, data_pkl=b"(" * (17 << 20))
    with pytest.raises(
        CheckpointError, match=r"data\.pkl is 17,825,792 bytes, but at most 16,777,216 are read"
    ):
        read_checkpoint_file(path)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_tensor_of_more_numbers_than_the_file_holds_is_refused(tmp_path, new_format):
    path = tmp_path / "claims.pt"
    large = torch.zeros(1).as_strided((1 << 30, 768), (0, 0))
    torch.save({"model": {"x": large}}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"take 3,298,534,883,328 bytes, but the file has [\d,]+;"):
        read_checkpoint_file(path)


@pytest.mark.parametrize("odd", [torch.zeros(3).to_sparse(), torch.zeros(3, device="meta")])
def test_a_parameter_is_a_plain_tensor_with_a_name(tmp_path, odd):
    torch.save({"model": {"x": odd}}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match="x is no plain tensor"):
        read_checkpoint_file(tmp_path / "odd.pt")
    torch.save({"model": {7: torch.zeros(3)}}, tmp_path / "number.pt")
    with pytest.raises(CheckpointError, match="a parameter is called 7, which is no text"):
        read_checkpoint_file(tmp_path / "number.pt")


def test_containers_in_containers_without_end_are_refused(tmp_path):
    deep: list = []
    deep.append(deep)
    wide = [0]
    for _ in range(12):
        wide = [wide] * 10
    for part, content, message in (
        ("cfg", deep, "'cfg' is nested deeper"),
        ("task_state", wide, "more than 2"),
    ):
        torch.save({"model": {"x": torch.zeros(2)}, part: content}, tmp_path / "x.pt")
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint_file(tmp_path / "x.pt")


def test_damage_anywhere_is_noticed_or_without_effect(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "x.pt"
    tensor = torch.randn(3000)
    torch.save({"model": {"x": tensor}, "cfg": {"model": {"dropout": 0.25}}}, path)
    whole, noticed = path.read_bytes(), 0
    for start in range(0, len(whole), 97):
        path.write_bytes(whole[:start] + bytes(64) + whole[start + 64 :])
        try:
            read = read_checkpoint_file(path)
        except CheckpointError:
            noticed += 1
        else:
            assert torch.equal(read["model"]["x"], tensor)
            assert read["cfg"] == {"model": {"dropout": 0.25}}
    assert noticed > 100


def test_a_checkpoint_that_was_written_without_check_sums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"model": {"x": torch.ones(9)}}, tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint_file(tmp_path / "x.pt")["model"]["x"].sum() == 9
