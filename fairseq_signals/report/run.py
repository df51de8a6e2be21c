"""A training to report on: its checkpoint, its log, its test results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_signals.checkpoints.shipped import TRAINED
from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.results import ResultsError
from fairseq_signals.evaluation.saved_results import SavedEvaluation, read_evaluation
from fairseq_signals.report.training_log import Series, read_training_log

if TYPE_CHECKING:
    from fairseq_signals.inference.model import ECGModel


@dataclass(frozen=True)
class Run:
    """What is known of a training; at least one of its checkpoint and its log.

    Attributes:
        name: of its folder.
        checkpoint, model: None where there is no checkpoint.
        series: of the log, see `read_training_log`.
        no_log: why `series` is empty.
    """

    name: str
    checkpoint: Path | None
    model: ECGModel | None
    series: dict[str, Series]
    no_log: str = ""

    @property
    def kind(self) -> str | None:
        """Of the model; None where there is none."""
        return None if self.model is None else self.model.kind


def open_run(folder: Path, log: Path | None = None, labels: Path | None = None, device: str = "cpu") -> Run:
    """The training whose checkpoints or logs lie in a folder.

    Args:
        folder: `checkpoint.save_dir` or `hydra.run.dir`.
        log: its log, if that is elsewhere.
        labels, device: see `ECGModel.load`.

    Raises:
        ConfigError: no such folder, neither checkpoint nor log is in it, or `log` is none.
        FairseqSignalsError: the checkpoint cannot be used.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder; name the checkpoint.save_dir of a training")
    checkpoint, series, no_log = find_checkpoint(folder), {}, ""
    try:
        series = read_training_log(log or folder)
    except ConfigError as error:
        if log is not None:
            raise
        if checkpoint is None:
            raise ConfigError(
                f"{folder}: neither a checkpoint ({', '.join(TRAINED)}) nor the log of a training is "
                "in it; name the checkpoint.save_dir or hydra.run.dir of a training"
            ) from None
        no_log = f"{error} If it is elsewhere, name it: --log FILE."
    model = None
    if checkpoint is not None:
        from fairseq_signals.inference.model import ECGModel

        model = ECGModel.load(checkpoint, labels=labels, device=device)
    return Run(folder.resolve().name, checkpoint, model, series, no_log)


def find_checkpoint(folder: Path) -> Path | None:
    """The model that was kept of a training, else the best checkpoint, else the last, else the newest; else
    one in a folder in it.

    Raises:
        ConfigError: several folders in it have one.
    """
    for name in TRAINED:
        if (folder / name).is_file():
            return folder / name
    own = [path for path in folder.glob("checkpoint*.pt") if path.is_file()]
    if own:
        return max(own, key=lambda path: (path.stat().st_mtime, path.name))
    inner = {path.parent: path for name in reversed(TRAINED) for path in folder.glob(f"*/{name}")}
    if len(inner) > 1:
        names = ", ".join(sorted(path.name for path in inner))
        raise ConfigError(f"{folder}: holds several trainings ({names}); name the folder of one")
    return next(iter(inner.values()), None)


def missing_results(run: Run) -> str:
    """Why a report has no test results, if none are asked for or none are possible."""
    if run.kind == "pretraining":
        return (
            "A pre-training has no classes or identities to test. Fine-tune it, and make a report of that "
            "training."
        )
    return (
        "The model was not tested: pass --manifest DIR, or --results FILE.npz of `fairseq-signals evaluate "
        "--save FILE.npz`."
    )


def require_results(path: Path, run: Run) -> SavedEvaluation:
    """Results that were saved.

    Raises:
        ResultsError: they cannot be read, or are of another task than the model's.
    """
    saved = read_evaluation(path)
    if run.kind not in (None, saved.task):
        raise ResultsError(
            f"{path} is of {saved.task}, but {run.checkpoint} is a {run.kind} model; "
            f"save its own: `fairseq-signals evaluate {run.checkpoint} --manifest DIR --save FILE.npz`"
        )
    return saved
