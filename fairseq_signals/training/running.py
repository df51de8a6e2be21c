"""`fairseq-hydra-train` in a process of its own, and how it ended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import fairseq_signals.errors as errors
from fairseq_signals.files import write_text
from fairseq_signals.safety.one_line import FULL
from fairseq_signals.safety.text import tell

CONFIG, RUN, LOG = "training.yaml", "run", "training.log"
_EPOCH = re.compile(r"\[(?:train|valid)\]\[INFO\] - .*")  # what fairseq logs of a whole epoch
_ERROR = re.compile(r"^(?:(?:[\w.]+\.)?(\w+Error): (.+)|(Key '.+))$", re.MULTILINE)  # Python's, hydra's
_KEY = re.compile(r"full_key: (\S+)")


def train(config: DictConfig, out: Path, manifests: Path) -> None:
    """Train, or go on where a run in the same folder stopped.

    Args:
        config: as of `compose`.
        out: the configuration, the log and the folder of checkpoints go there.

    Raises:
        FairseqSignalsError: the training failed; the message is the one that it ended with.
    """
    run = out / RUN
    run.mkdir(exist_ok=True)
    config.common.user_dir = str(Path(errors.__file__).parent)
    config.task.data = str(manifests)
    config.checkpoint.save_dir = str(run)
    config.hydra = {"run": {"dir": str(run)}}
    write_text(out / CONFIG, [OmegaConf.to_yaml(config)])
    command = [sys.executable, "-m", "fairseq_cli.hydra_train", "--config-dir", str(out)]
    command += ["--config-name", Path(CONFIG).stem]
    tell(f"training; all that it tells is in {out / LOG}")
    last: deque[str] = deque(maxlen=200)  # lines
    with (out / LOG).open("a", encoding="utf-8") as log, _started(command) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                last.append(line)
                if _EPOCH.search(line):
                    tell(line.rstrip())
        except BaseException:  # such as KeyboardInterrupt in a notebook, which the process does not see
            process.terminate()
            raise
    if process.returncode:
        raise _failure("".join(last), out / LOG, process.returncode)
    tell(f"trained: {best_checkpoint(run)}")


def best_checkpoint(run: Path) -> Path:
    """The best checkpoint of a run by its validation; the last one where it did not validate."""
    best = run / "checkpoint_best.pt"
    return best if best.is_file() else run / "checkpoint_last.pt"


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        env={**os.environ, FULL: "1"},  # the log has all, and the kind of an error
    )


def _failure(last: str, log: Path, code: int) -> errors.FairseqSignalsError:
    """The error that a training ended with, as its last lines tell it."""
    told, keys = _ERROR.findall(last), _KEY.findall(last)
    name, message, of_hydra = told[-1] if told else ("", f"it ended with exit code {code}", "")
    kind: Any = getattr(errors, name, None)
    is_ours = isinstance(kind, type) and issubclass(kind, errors.FairseqSignalsError)
    what = message if is_ours or not name else f"{name}: {message}"
    where = f" ({keys[-1]})" if keys else ""
    failed = f"the training failed: {(what or of_hydra).rstrip('.')}{where}. Its log is {log}"
    return kind(failed) if is_ours else errors.ConfigError(failed)
