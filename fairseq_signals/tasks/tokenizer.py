"""What tasks with texts share: the tokenizer of their manifests, in models and in checkpoints."""

import inspect
from functools import cached_property
from typing import Any, Dict

from fairseq.models import MODEL_DATACLASS_REGISTRY
from omegaconf import DictConfig, open_dict

from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.folder import TOKENIZER_FILE
from fairseq_signals.models.given_path import missing_path
from fairseq_signals.tasks.base import ECGTask
from fairseq_signals.text.tokenizer import Tokenizer


class TokenizerTask(ECGTask):
    """Base of tasks whose manifests have a tokenizer. A checkpoint keeps its bytes."""

    @property
    def reads_pieces(self) -> bool:
        """Whether models read pieces; else there is nothing to keep."""
        return True

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What makes pieces of texts."""
        path = self.folder / TOKENIZER_FILE
        if not path.is_file():
            raise ManifestError(
                f"{missing_path(path)}. Make the manifests with manifests/ecg_text.py or ecg_qa.py"
            )
        return Tokenizer(path.read_bytes(), str(path))

    def state_dict(self) -> Dict[str, Any]:
        """What a checkpoint keeps: the tokenizer, so that a trained model can read prompts."""
        state = dict(super().state_dict())
        if self.reads_pieces:
            state["tokenizer"] = self.tokenizer.model
        return state

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Take up what a checkpoint kept.

        Raises:
            ManifestError: its tokenizer has other pieces than that of the manifests.
        """
        state = dict(state_dict)
        noted = state.pop("tokenizer", None)
        if noted and self.reads_pieces:
            self.require_pieces(noted)
        super().load_state_dict(state)

    def require_pieces(self, model: bytes) -> None:
        """Raise ManifestError where the tokenizer of a checkpoint is not that of the manifests."""
        pieces = Tokenizer(model, "the checkpoint's tokenizer").pieces
        if pieces != self.tokenizer.pieces:
            raise ManifestError(
                f"{self.folder / TOKENIZER_FILE} has {len(self.tokenizer)} pieces, but the checkpoint "
                f"was trained with {len(pieces)} others; use the manifests of its training, or make these "
                "with its tokenizer"
            )


def complete_text_side(cfg: Any, found: Dict[str, int]) -> None:
    """Give a model that asks for them numbers of its text side that follow from the manifests.

    Args:
        cfg: the `model` node, with the user's keys.
        found: by option.

    Raises:
        ConfigError: the model's options say another one.
    """
    config_class = MODEL_DATACLASS_REGISTRY.get(getattr(cfg, "_name", None))
    if not isinstance(cfg, DictConfig) or config_class is None:
        return
    with open_dict(cfg):  # OmegaConf 2.0 refuses to look for keys that are not there, too
        for name in found.keys() & inspect.signature(config_class).parameters.keys():
            if cfg.get(name) not in (None, 0, found[name]):
                raise ConfigError(
                    f"model.{name} is {cfg[name]}, but by the manifests it is {found[name]}; remove the key"
                )
            cfg[name] = found[name]
