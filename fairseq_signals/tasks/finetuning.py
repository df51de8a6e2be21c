"""The configuration of a fine-tuned model: its classes and its encoder's shape are facts, not options."""

from typing import Any, Dict, Optional

from omegaconf import DictConfig, open_dict

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.finetuning import FinetuningConfig, adopt_architecture, architecture_source
from fairseq_signals.tasks.base import ECGTask
from fairseq_signals.tasks.resume import own_checkpoint


class FinetuningTask(ECGTask):
    """Base of tasks whose models have as many classes as the task's `num_labels`."""

    def complete_model(self, cfg: Any, from_checkpoint: bool) -> None:
        """Give the model as many classes as the manifest has."""
        if isinstance(cfg, DictConfig):
            complete_finetuning(cfg, None if from_checkpoint else self.num_labels)


def complete_finetuning(cfg: DictConfig, num_labels: Optional[int]) -> None:
    """Write the number of classes and the pre-trained encoder's shape into the model's configuration.

    Args:
        cfg: the `model` node, with the user's keys.
        num_labels: classes in the manifest, or None to trust `cfg` (a checkpoint being loaded).

    Raises:
        ConfigError: the user's keys contradict the manifest or the pre-trained checkpoint.
        CheckpointError: the pre-trained checkpoint cannot be read.
    """
    if num_labels is not None:
        if cfg.get("num_labels") not in (None, 0, num_labels):
            raise ConfigError(
                f"model.num_labels is {cfg.num_labels}, but the manifest has {num_labels} classes; "
                "remove the key"
            )
        found: Dict[str, Any] = {"num_labels": num_labels}
        own = own_checkpoint(cfg)
        run: Dict[str, Any] = {} if own is None else {"save_dir": str(own.parent), "restore_file": own.name}
        source = architecture_source(FinetuningConfig(model_path=cfg.get("model_path"), **run))
        if source is not None:
            found.update(adopt_architecture(cfg, source))
        with open_dict(cfg):
            cfg.update(found)
