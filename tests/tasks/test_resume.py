"""A checkpoint of which a kill left only a part does not end a run."""

import os

import fairseq  # noqa: F401
import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.tasks.resume import mend_checkpoint, own_checkpoint


@pytest.fixture
def folder(tmp_path):
    """Two older checkpoints and the newest, of which `checkpoint_last.pt` is the first half."""
    for age, name in ((30, "checkpoint_best.pt"), (20, "checkpoint_1_2.pt"), (10, "checkpoint_1_4.pt")):
        torch.save({"model": torch.arange(1000), "age": age}, tmp_path / name)
        os.utime(tmp_path / name, ns=(10**18 - age, 10**18 - age))
    whole = (tmp_path / "checkpoint_1_4.pt").read_bytes()
    (tmp_path / "checkpoint_last.pt").write_bytes(whole[: len(whole) // 2])
    return tmp_path


def test_a_checkpoint_written_in_part_is_replaced_by_the_newest_whole_one(folder, caplog):
    mend_checkpoint(folder / "checkpoint_last.pt")
    assert torch.load(folder / "checkpoint_last.pt", weights_only=True)["age"] == 10
    assert "checkpoint_1_4.pt" in caplog.text
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04"])
def test_a_checkpoint_of_a_few_bytes_is_replaced_too(folder, content):
    (folder / "checkpoint_last.pt").write_bytes(content)
    mend_checkpoint(folder / "checkpoint_last.pt")
    assert torch.load(folder / "checkpoint_last.pt", weights_only=True)["age"] == 10


def test_what_never_was_such_a_checkpoint_is_left_alone(folder):
    (folder / "checkpoint_last.pt").write_bytes(b"\x80\x02 of an old format")
    mend_checkpoint(folder / "checkpoint_last.pt")
    assert (folder / "checkpoint_last.pt").read_bytes().startswith(b"\x80\x02")


def test_a_whole_checkpoint_is_left_alone(folder):
    torch.save({"model": 1}, folder / "checkpoint_last.pt")
    mend_checkpoint(folder / "checkpoint_last.pt")
    assert torch.load(folder / "checkpoint_last.pt", weights_only=True) == {"model": 1}


def test_without_any_whole_checkpoint_nothing_changes(tmp_path):
    (tmp_path / "checkpoint_last.pt").write_bytes(b"PK\x03\x04")
    mend_checkpoint(tmp_path / "checkpoint_last.pt")
    assert (tmp_path / "checkpoint_last.pt").read_bytes() == b"PK\x03\x04"


def test_the_own_checkpoint_is_found_from_a_section_of_the_configuration():
    cfg = OmegaConf.create(
        {"checkpoint": {"save_dir": "runs/a", "restore_file": "x.pt"}, "task": {"data": "d"}}
    )
    assert own_checkpoint(cfg.task).as_posix() == "runs/a/x.pt"
    assert own_checkpoint(OmegaConf.create({"data": "d"})) is None
    assert own_checkpoint(object()) is None
