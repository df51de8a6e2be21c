"""An encoder that begins with the weights of a checkpoint."""

import logging
from pathlib import Path
from typing import Union

from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.errors import CheckpointError
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig, ECGTransformerModel
from fairseq_signals.models.given_path import given_model
from fairseq_signals.modules.encoder import ECGEncoder

logger = logging.getLogger(__name__)
#: Parameters of an encoder that a pre-trained one need not have.
TRAINED_LATER = ("mask_emb", "encoder.layer_mix")


def begin_encoder(cfg: ECGTransformerConfig) -> ECGTransformerModel:
    """The encoder of a pre-training, of random weights or those of `cfg.model_path`."""
    encoder = ECGTransformerModel(cfg)
    if cfg.model_path:
        load_pretrained(encoder, cfg.model_path)
    return encoder


def load_pretrained(encoder: ECGEncoder, model_path: Union[str, Path], teacher: bool = False) -> None:
    """Give an encoder the weights of a pre-trained one; where the file is gone, its own stay, with a warning.

    Logs which parameters were loaded, which were missing and which were unused.

    Args:
        model_path: checkpoint, ours or the authors', saved model, or the name of weights of the package.
        teacher: take the encoder of its teacher.

    Raises:
        CheckpointError: it is of another architecture, or lacks parameters.
    """
    path = given_model(model_path)
    if not path.exists():
        logger.warning(
            "encoder: %s is gone; random initialisation, until a checkpoint of this model is loaded",
            path,
        )
        return
    checkpoint = load_checkpoint(path, teacher=teacher)
    state = checkpoint.encoder_state
    try:
        result = encoder.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: another architecture than the model's: {error}") from error
    loaded = [key for key in state if key not in result.unexpected_keys]
    unused = sorted(set(checkpoint.state) - {f"encoder.{key}" for key in loaded})
    logger.info(
        "encoder: loaded %d parameters from %s%s; missing: %s; unused: %s",
        len(loaded),
        path,
        " (authors' key names)" if checkpoint.from_authors else "",
        ", ".join(result.missing_keys) or "none",
        ", ".join(unused) or "none",
    )
    missing = [key for key in result.missing_keys if key not in TRAINED_LATER]
    if missing:
        raise CheckpointError(f"{path}: lacks parameters of the encoder: {', '.join(missing[:5])}")
