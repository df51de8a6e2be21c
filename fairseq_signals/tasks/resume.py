"""The folder that a run of fairseq trains in, the checkpoint that it continues from, and when it cannot."""

import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any, Optional, Set

from fairseq.checkpoint_utils import save_checkpoint
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from fairseq_signals.errors import ConfigError
from fairseq_signals.files import whole_file
from fairseq_signals.models.config import whole_config
from fairseq_signals.models.given_path import started_in
from fairseq_signals.modules.distributed import wait_for_workers, worker_rank
from fairseq_signals.safety.locks import claim

logger = logging.getLogger(__name__)
_claimed: Set[Path] = set()
#: What hydra notes below the folder of a run: the folder's name as it was given, among others.
_OF_HYDRA = Path(".hydra/hydra.yaml")


def begin_run(cfg: Any) -> None:
    """Prepare the folder that a run saves to: only this process trains there, and its checkpoint is whole.

    Other workers wait for the first one to do it.

    Args:
        cfg: a section of the whole configuration; without one there is nothing to do.

    Raises:
        ConfigError: another process trains there.
    """
    checkpoint = own_checkpoint(cfg)
    if checkpoint is None:
        return
    if worker_rank() == 0:
        options = whole_config(cfg).checkpoint
        if not options.get("no_save"):
            warn_of_a_dated_folder(Path(options.save_dir))
            warn_of_a_shared_best()
            claim_save_dir(Path(options.save_dir).resolve())
        mend_checkpoint(checkpoint)
    wait_for_workers()


def warn_of_a_dated_folder(save_dir: Path) -> None:
    """Warn where checkpoints go below a folder that hydra names after the time: none is found again."""
    if save_dir.is_absolute() or Path.cwd() == started_in() or not _OF_HYDRA.is_file():
        return
    noted: Any = OmegaConf.to_container(OmegaConf.load(_OF_HYDRA).hydra)
    kind = "run" if noted["job"]["num"] == "???" else "sweep"
    if "${now:" in str(noted[kind]["dir"]):
        logger.warning(
            "checkpoint.save_dir=%s is below %s, which hydra made for this start: the same command will not "
            "continue, but begin anew. To have it continue, name a folder: checkpoint.save_dir=%s",
            save_dir,
            Path.cwd(),
            started_in() / save_dir,
        )


def warn_of_a_shared_best() -> None:
    """Warn where a training shares the process with others: fairseq takes their best value for its own."""
    before = getattr(save_checkpoint, "best", None)
    if before is None and not in_multirun():
        return
    logger.warning(
        "%s, and fairseq hands on the best validation value within a process: a later training writes no "
        "checkpoint_best.pt until it is better, if ever. Start each training with a command of its own, or "
        "with a launcher of processes such as hydra/launcher=submitit_local",
        "jobs of a multirun share a process" if before is None else f"a training before left {before:.4g}",
    )


def in_multirun() -> bool:
    """Whether hydra runs this training as a job of several (`-m`)."""
    return HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().job, "num")


def claim_save_dir(folder: Path) -> None:
    """Keep other processes from training in a folder until this one ends; remove what killed ones left.

    fairseq writes a checkpoint to `NAME.pt.tmp` first.
    """
    if folder in _claimed and in_multirun():
        raise ConfigError(
            f"checkpoint.save_dir={folder}: another job of this multirun has trained there, and this one "
            "would go on from there. Give each a folder: checkpoint.save_dir='FOLDER/${hydra:job.num}'"
        )
    if folder in _claimed or not folder.is_dir():  # fairseq makes it before it trains
        return
    claim(
        folder,
        ConfigError(
            f"checkpoint.save_dir={folder}: another process is training there. Wait for it, end it, or "
            "choose another folder."
        ),
    )
    _claimed.add(folder)
    for left_over in folder.glob("*.pt.tmp"):
        left_over.unlink()


def own_checkpoint(cfg: Any) -> Optional[Path]:
    """Where the run that `cfg` is a section of continues from; None where there is no whole configuration."""
    checkpoint = whole_config(cfg).get("checkpoint")
    if checkpoint is None or "save_dir" not in checkpoint:
        return None
    return Path(checkpoint.save_dir) / checkpoint.restore_file


def mend_checkpoint(path: Path) -> None:
    """Replace a checkpoint of which only a part was written by the newest whole one of its folder.

    fairseq writes a new checkpoint under a temporary name, but then copies it to `checkpoint_last.pt`: a
    process that is killed while copying leaves a part of it, beside the whole file that it was copied from.
    """
    if not path.is_file() or zipfile.is_zipfile(path):
        return
    with path.open("rb") as file:
        if file.read(4) not in (b"", b"PK\x03\x04"):  # not the beginning of a checkpoint: left as it is
            return
    whole = [other for other in path.parent.glob("checkpoint*.pt") if zipfile.is_zipfile(other)]
    if not whole:
        return
    newest = max(whole, key=lambda other: other.stat().st_mtime_ns)
    logger.warning("%s was only written in part; continuing from %s", path, newest)
    with whole_file(path) as partial:
        shutil.copyfile(newest, partial)
