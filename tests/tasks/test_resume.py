"""A checkpoint of which a kill left only a part does not end a run."""

import os

import fairseq  # noqa: F401
import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.errors import ConfigError
from fairseq_signals.tasks import resume
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


@pytest.fixture
def below_hydra(tmp_path, monkeypatch):
    """`below_hydra(run, sweep, num)`: in a folder that hydra made of these settings."""

    def go(run: str, sweep: str, num: object) -> None:
        (tmp_path / ".hydra").mkdir()
        hydra = {"run": {"dir": run}, "sweep": {"dir": sweep}, "job": {"num": num}}
        OmegaConf.save(OmegaConf.create({"hydra": hydra}), tmp_path / ".hydra" / "hydra.yaml")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(resume, "started_in", lambda: tmp_path.parent)

    return go


DATED = "outputs/${now:%H-%M-%S}"


@pytest.mark.parametrize(
    ("run", "sweep", "num", "warned"),
    [
        (DATED, "all", "???", True),
        ("mine", DATED, "???", False),
        ("mine", DATED, 1, True),
        (DATED, "all", 0, False),
    ],
)
def test_a_folder_that_no_later_start_finds_is_warned_of(
    run, sweep, num, warned, below_hydra, tmp_path, caplog
):
    below_hydra(run, sweep, num)
    resume.warn_of_a_dated_folder(tmp_path / "checkpoints")
    assert not caplog.text
    resume.warn_of_a_dated_folder(tmp_path.relative_to(tmp_path) / "checkpoints")
    assert (f"name a folder: checkpoint.save_dir={tmp_path.parent / 'checkpoints'}" in caplog.text) == warned


def test_a_second_training_of_a_process_is_told_of_the_best_value_of_the_first(monkeypatch, caplog):
    resume.warn_of_a_shared_best()
    assert not caplog.text
    monkeypatch.setattr(resume.save_checkpoint, "best", 0.25, raising=False)
    resume.warn_of_a_shared_best()
    assert "a training before left 0.25, and" in caplog.text


def test_jobs_of_a_multirun_do_not_continue_from_each_other(monkeypatch, tmp_path):
    monkeypatch.setattr(resume, "in_multirun", lambda: True)
    resume.claim_save_dir(tmp_path)
    with pytest.raises(ConfigError, match=r"another job of this multirun .*FOLDER/\$\{hydra:job\.num\}"):
        resume.claim_save_dir(tmp_path)
