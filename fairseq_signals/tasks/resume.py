"""The folder that a run of fairseq trains in, and the checkpoint that it continues from."""

import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any, Optional, Set

from fairseq_signals.errors import ConfigError
from fairseq_signals.files import whole_file
from fairseq_signals.models.config import whole_config
from fairseq_signals.modules.distributed import wait_for_workers, worker_rank
from fairseq_signals.safety.locks import claim

logger = logging.getLogger(__name__)
_claimed: Set[Path] = set()


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
            claim_save_dir(Path(options.save_dir).resolve())
        mend_checkpoint(checkpoint)
    wait_for_workers()


def claim_save_dir(folder: Path) -> None:
    """Keep other processes from training in a folder until this one ends; remove what killed ones left.

    fairseq writes a checkpoint to `NAME.pt.tmp` first.
    """
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
