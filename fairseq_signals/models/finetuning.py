"""What fine-tuned models share: options, a pre-trained encoder, and which of its parameters train."""

import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from omegaconf import II
from torch import Tensor

from fairseq_signals.checkpoints.loading import Checkpoint, load_checkpoint
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.config import check_keys
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig, ECGTransformerModel
from fairseq_signals.models.given_path import given_model, missing_path
from fairseq_signals.models.param_groups import check_groups, name_groups
from fairseq_signals.models.pretrained import load_pretrained
from fairseq_signals.modules.conv_features import parse_conv_layers
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import ARCHITECTURE, TRANSFORMER
from fairseq_signals.modules.lora import LORA_RULES, add_adapters
from fairseq_signals.safety.rules import broken

logger = logging.getLogger(__name__)
STUDENT, TEACHER = "student", "teacher"


@dataclass
class FinetuningConfig(ECGTransformerConfig):
    """Options of a fine-tuned model, in addition to the encoder's."""

    no_pretrained_weights: bool = field(
        default=False, metadata={"help": "take the checkpoint's architecture but not its weights"}
    )
    pretrained_part: str = field(
        default=STUDENT,
        metadata={"help": "of a checkpoint with a teacher: the encoder of the 'student' or the 'teacher'"},
    )
    freeze_finetune_updates: int = field(
        default=0, metadata={"help": "updates for which only the head trains"}
    )
    linear_probe: bool = field(
        default=False,
        metadata={"help": "only the head trains, on the encoder as it is: no dropout and no masks in it"},
    )
    lora_rank: int = field(
        default=0,
        metadata={
            "help": "rank r of LoRA adapters beside attention projections; they and the head train, all else "
            "in the encoder, its norms and biases too, is frozen; 0 = no adapters, the whole encoder trains"
        },
    )
    lora_alpha: float = field(default=16.0, metadata={"help": "adapters count alpha / r times"})
    lora_dropout: float = field(default=0.0, metadata={"help": "dropout of the adapters' input"})
    lora_targets: str = field(
        default="qv", metadata={"help": "projections with adapters: letters of q, k, v and o(utput)"}
    )
    final_dropout: float = field(default=0.0, metadata={"help": "dropout before the head"})
    num_labels: int = field(default=0, metadata={"help": "classes; 0 = as many as the manifest has"})
    save_dir: str = II("checkpoint.save_dir")
    restore_file: str = II("checkpoint.restore_file")


def architecture_source(cfg: FinetuningConfig) -> Optional[Checkpoint]:
    """The checkpoint that decides the encoder's shape: `model_path`, else the run's own."""
    if not cfg.model_path:
        return None
    path = given_model(cfg.model_path)
    if path.exists():
        return load_checkpoint(path)
    own = Path(str(cfg.save_dir)) / str(cfg.restore_file)
    if own.is_file():
        logger.info("%s is gone; resuming takes the encoder's options from %s", cfg.model_path, own)
        return load_checkpoint(own)
    raise CheckpointError(f"model.model_path: {missing_path(path)}")


def adopt_architecture(cfg: Any, checkpoint: Checkpoint) -> Dict[str, Any]:
    """The options that decide the encoder's shape, from `checkpoint`; logs them.

    Raises:
        ConfigError: `cfg` has one that is neither the checkpoint's nor the default; names the key.
    """
    adopted = {}
    default = ECGTransformerConfig()
    for name in ARCHITECTURE:
        value = getattr(checkpoint.config, name)
        written = cfg.get(name, value)
        if not _same(name, written, value) and not _same(name, written, getattr(default, name)):
            raise ConfigError(
                f"model.{name} is {written!r}, but the checkpoint {checkpoint.path} has {value!r}; "
                "remove the key, it is taken from the checkpoint"
            )
        adopted[name] = value
    shown = ", ".join(f"{name}={value}" for name, value in adopted.items())
    logger.info("encoder: options from %s: %s", checkpoint.path, shown)
    return adopted


def _same(name: str, one: Any, other: Any) -> bool:
    if name == "conv_feature_layers":
        return parse_conv_layers(one) == parse_conv_layers(other)
    return one == other


def check_finetuning_config(cfg: FinetuningConfig) -> None:
    """Raise ConfigError for values that no head can have; the message names the key."""
    if cfg.num_labels < 1:
        raise ConfigError(
            f"model.num_labels must be at least 1, but is {cfg.num_labels} instead; a task takes it from its "
            "manifest, without one it must be set"
        )
    if not 0 <= cfg.final_dropout < 1:
        raise ConfigError(f"model.final_dropout must be in [0, 1), but is {cfg.final_dropout} instead")
    if cfg.pretrained_part not in (STUDENT, TEACHER):
        raise ConfigError(
            f"model.pretrained_part must be student or teacher, but is {cfg.pretrained_part!r} instead"
        )
    if cfg.freeze_finetune_updates < 0:
        raise ConfigError(
            f"model.freeze_finetune_updates must be >= 0, but is {cfg.freeze_finetune_updates} instead"
        )
    problems = broken({name: getattr(cfg, name) for name in LORA_RULES}, LORA_RULES, "model.")
    for name in ("freeze_finetune_updates", "lora_rank"):
        if cfg.linear_probe and getattr(cfg, name):
            problems.append(
                f"model.linear_probe trains the head alone, so that model.{name}={getattr(cfg, name)} has no "
                "meaning; remove one of the two keys"
            )
    if cfg.lora_rank and cfg.context != TRANSFORMER:
        problems.append(
            f"model.lora_rank={cfg.lora_rank} puts adapters beside attention projections, but model.context="
            f"{cfg.context} has none: set it to 0, or train the head alone with model.linear_probe"
        )
    if problems:
        raise ConfigError("; ".join(problems))


def build_encoder(cfg: FinetuningConfig) -> ECGTransformerModel:
    """The encoder of a fine-tuned model, with the weights of `cfg.model_path` where there are any.

    Logs which parameters were loaded, which were missing and which were unused.
    """
    check_finetuning_config(cfg)
    encoder = ECGTransformerModel(cfg)
    if not cfg.model_path or cfg.no_pretrained_weights:
        logger.info("encoder: random initialisation")
        return encoder
    load_pretrained(encoder, cfg.model_path, teacher=cfg.pretrained_part == TEACHER)
    return encoder


class FreezeAtFirst:
    """Mix-in: the encoder is pre-trained, and trains as a whole, by its adapters, not at first, or never."""

    encoder: ECGEncoder
    freeze_finetune_updates = 0
    linear_probe = False
    num_updates = 0

    @classmethod
    def build_model(cls, cfg: FinetuningConfig, task: Any = None) -> Any:
        check_keys(cls, cfg, "model")
        model: Any = cls(build_encoder(cfg), cfg.num_labels, cfg.final_dropout)  # type: ignore[call-arg]
        model.freeze_finetune_updates, model.linear_probe = cfg.freeze_finetune_updates, cfg.linear_probe
        if cfg.linear_probe or cfg.lora_rank:
            model.encoder.requires_grad_(False)
            if model.encoder.encoder.layer_mix is not None:  # it belongs to the head
                model.encoder.encoder.layer_mix.requires_grad_(True)
        if cfg.lora_rank:
            add_adapters(model.encoder, cfg.lora_rank, cfg.lora_alpha, cfg.lora_dropout, cfg.lora_targets)
        name_groups(model)
        check_groups(model, cfg)
        return model

    def set_num_updates(self, num_updates: int) -> None:
        """Take note of the update (fairseq calls it before every update)."""
        super().set_num_updates(num_updates)  # type: ignore[misc]
        self.num_updates = num_updates

    def train(self, mode: bool = True) -> Any:
        """Training or evaluation mode; the encoder of a linear probe is always in evaluation mode."""
        super().train(mode)  # type: ignore[misc]
        if self.linear_probe:
            self.encoder.eval()
        return self

    def pooled(self, *inputs: Any, **named: Any) -> Tensor:
        """As `PooledEncoder.pooled`, without gradient while the encoder is frozen at first."""
        frozen = self.num_updates < self.freeze_finetune_updates
        with torch.no_grad() if frozen else contextlib.nullcontext():
            return super().pooled(*inputs, **named)  # type: ignore[misc]
