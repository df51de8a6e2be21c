"""The checkpoint that a run of fairseq continues from."""

import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any, Optional

from fairseq_signals.files import whole_file
from fairseq_signals.models.config import whole_config
from fairseq_signals.modules.distributed import worker_rank

logger = logging.getLogger(__name__)


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
    if worker_rank() > 0 or not path.is_file() or zipfile.is_zipfile(path):
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
