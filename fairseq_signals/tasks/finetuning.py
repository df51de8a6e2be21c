"""The configuration of a fine-tuned model: its classes and its encoder's shape are facts, not options."""

import logging
from typing import Any, Dict, Optional

from omegaconf import DictConfig, open_dict

from fairseq_signals.checkpoints.input_format import SKIP, TASK_KEYS, input_format
from fairseq_signals.checkpoints.loading import Checkpoint
from fairseq_signals.checkpoints.origin import FINE_TUNED_FROM, preset_of_origin, public_weights
from fairseq_signals.checkpoints.presets import NO_PRESET, PRESETS, may_be_public
from fairseq_signals.errors import ConfigError, LabelError
from fairseq_signals.models.finetuning import FinetuningConfig, adopt_architecture, architecture_source
from fairseq_signals.tasks.base import ECGTask
from fairseq_signals.tasks.resume import own_checkpoint

logger = logging.getLogger(__name__)


class FinetuningTask(ECGTask):
    """Base of tasks whose models have as many outputs as the task's `num_labels`.

    Attributes:
        outputs: the table beside the manifests that says what the outputs are, or None.
        noted_as: the key under which a checkpoint keeps it.
    """

    outputs: Any = None
    noted_as = "labels"

    def state_dict(self) -> Dict[str, Any]:
        """What a checkpoint keeps: what the outputs are, so that a trained model can name them."""
        state = dict(super().state_dict())
        if self.outputs is not None:
            state[self.noted_as] = self.outputs.to_plain()
        return state

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Take up what a checkpoint kept.

        Raises:
            LabelError: its outputs are not those of the manifests.
        """
        state = dict(state_dict)
        noted = state.pop(self.noted_as, None)
        if noted and self.outputs is not None and noted != self.outputs.to_plain():
            raise LabelError(
                f"{self.folder}/{self.noted_as}.csv has {', '.join(self.outputs.names)}, but the checkpoint "
                f"was trained on {', '.join(noted['names'])} of another table; use the manifests of its "
                "training"
            )
        super().load_state_dict(state)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """As of all tasks; the model pools as the task's options say."""
        model = super().build_model(cfg, from_checkpoint)
        model.skip_zero_frames = self.cfg.zero_frames == SKIP
        return model

    def complete_model(self, cfg: Any, from_checkpoint: bool) -> None:
        """Give the model as many classes as the manifest has, and note what public weights it starts from."""
        if isinstance(cfg, DictConfig):
            source = complete_finetuning(cfg, None if from_checkpoint else self.num_labels, self.cfg)
            if source is not None and not cfg.get("no_pretrained_weights"):
                origin = public_weights(source, self.cfg.preset)
                self.state.merge_state_dict({} if origin is None else {FINE_TUNED_FROM: origin})


def compare_input(source: Checkpoint, task_cfg: Any) -> None:
    """Warn where the input of a task is not that of the pre-trained checkpoint."""
    preset = preset_of_origin(source, task_cfg.preset)
    unnamed = preset is None and task_cfg.preset is None
    if unnamed and may_be_public(source):
        logger.warning(
            "%s has the size of public weights. If it is of these, set task.preset=%s, for the input that "
            "they expect; task.preset=%s ends this warning",
            source.path,
            " or ".join(PRESETS),
            NO_PRESET,
        )
    expected = input_format(source, preset)
    names = {name: TASK_KEYS.get(name, name) for name in ("fs", "normalize", "scale", "resampler")}
    given = {name: getattr(task_cfg, key) for name, key in names.items()}
    differs = [
        f"{names[name]} is {value}, there it was {getattr(expected, name)}"
        for name, value in given.items()
        if value not in (None, getattr(expected, name))
    ]
    if differs and task_cfg.preset != NO_PRESET:
        advice = f"set task.preset={preset.name}" if preset is not None else "set them alike"
        logger.warning(
            "the encoder of %s was trained on another input: task.%s; %s, or task.preset=%s to go on without "
            "this warning",
            source.path,
            ", task.".join(differs),
            advice,
            NO_PRESET,
        )


def complete_finetuning(
    cfg: DictConfig, num_labels: Optional[int], task_cfg: Any = None
) -> Optional[Checkpoint]:
    """Write the number of classes and the pre-trained encoder's shape into the model's configuration.

    Args:
        cfg: the `model` node, with the user's keys.
        num_labels: classes in the manifest, or None to trust `cfg` (a checkpoint being loaded).
        task_cfg: the `task` node, to compare with the input of the pre-trained checkpoint.

    Returns:
        The pre-trained checkpoint; None where there is none.

    Raises:
        ConfigError: the user's keys contradict the manifest or the pre-trained checkpoint.
        CheckpointError: the pre-trained checkpoint cannot be read.
    """
    if num_labels is None:
        return None
    if cfg.get("num_labels") not in (None, 0, num_labels):
        raise ConfigError(
            f"model.num_labels is {cfg.num_labels}, but the manifest has {num_labels} classes; remove the key"
        )
    found: Dict[str, Any] = {"num_labels": num_labels}
    own = own_checkpoint(cfg)
    run: Dict[str, Any] = {} if own is None else {"save_dir": str(own.parent), "restore_file": own.name}
    source = architecture_source(FinetuningConfig(model_path=cfg.get("model_path"), **run))
    if source is not None:
        found.update(adopt_architecture(cfg, source))
        if task_cfg is not None:
            compare_input(source, task_cfg)
    with open_dict(cfg):
        cfg.update(found)
    return source
