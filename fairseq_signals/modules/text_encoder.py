"""The text side of a model: pieces of a tokenizer, or vectors that another model made, to a vector a text."""

from dataclasses import dataclass, field
from typing import Dict

import torch
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.mlp_head import MLPHead
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.modules.positions import sinusoids
from fairseq_signals.modules.transformer import TransformerEncoder
from fairseq_signals.safety.rules import Rule, integer, number

#: The piece that fills up short texts of a batch.
PAD = 1


@dataclass
class PiecesConfig:
    """Options of what reads the pieces of a text."""

    vocab_size: int = field(
        default=0, metadata={"help": "pieces of the tokenizer; 0 = as many as that of the manifests has"}
    )
    text_layers: int = field(
        default=2,
        metadata={
            "help": "Transformer layers over pieces, as wide as those over frames; 0: their mean alone"
        },
    )


@dataclass
class TextConfig(PiecesConfig):
    """Options of the text side and of the space in which it is compared with ECGs."""

    text_vector_dim: int = field(
        default=0,
        metadata={
            "help": "texts come as vectors of this width, made by a model that does not train with this one, "
            "and two layers follow; 0: as pieces"
        },
    )
    joint_dim: int = field(
        default=256, metadata={"help": "width of the space in which ECGs and texts are compared"}
    )
    initial_scale: float = field(
        default=1 / 0.07, metadata={"help": "factor on cosines at first; it is learnt, and at most 100"}
    )


#: What each of these options must be, in a configuration or in a checkpoint.
TEXT_RULES: Dict[str, Rule] = {
    "vocab_size": integer(0, 1 << 20),
    "text_vector_dim": integer(0, 1 << 16),
    "text_layers": integer(0, 128),
    "joint_dim": integer(1, 1 << 16),
    "initial_scale": number(1e-3, 100),
}


class TextEncoder(nn.Module):
    """A Transformer over the pieces of a text, and their mean: (B, M) -> (B, D).

    Positions are sines and cosines, so that a text may be of any length. Each distinct row is encoded once:
    with dropout, too, texts that are alike have one vector (see `pair_contrast.softmax_loss`).

    Args:
        options: of the text side.
        like: the encoder of ECGs, whose width, heads and dropouts this one has.

    Raises:
        ConfigError: that width cannot be shared among those heads.
    """

    def __init__(self, options: PiecesConfig, like: EncoderConfig):
        super().__init__()
        self.dim, heads = like.encoder_embed_dim, like.encoder_attention_heads
        if self.dim % (2 * heads):
            raise ConfigError(
                f"model.encoder_embed_dim={self.dim} is no multiple of twice model.encoder_attention_heads="
                f"{heads}, which the text's layers have too: change one of them"
            )
        # small, and scaled up in `forward`: so they learn as fast as what comes after them
        self.embedding = nn.Embedding(options.vocab_size, self.dim)
        nn.init.normal_(self.embedding.weight, std=self.dim**-0.5)
        self.encoder = TransformerEncoder(
            EncoderConfig(
                encoder_layers=options.text_layers,
                encoder_embed_dim=self.dim,
                encoder_ffn_embed_dim=like.encoder_ffn_embed_dim,
                encoder_attention_heads=heads,
                layer_norm_first=like.layer_norm_first,
                dropout=like.dropout,
                attention_dropout=like.attention_dropout,
                activation_dropout=like.activation_dropout,
            )
        )

    def of_pieces(self, text: Tensor) -> Tensor:
        """Encode each piece: (B, M) long, with `PAD` behind the last one, to (B, M, D)."""
        x = self.embedding(text) * self.dim**0.5
        x = x + sinusoids(torch.arange(x.shape[1], device=x.device), self.dim).to(x.dtype)
        return self.encoder(x, text == PAD)

    def forward(self, text: Tensor) -> Tensor:
        """Encode texts; `text` is (B, M) long, with `PAD` behind the last piece."""
        distinct, place = torch.unique(text, dim=0, return_inverse=True)
        return mean_over_frames(self.of_pieces(distinct), distinct == PAD)[place]


def text_encoder(options: TextConfig, like: EncoderConfig) -> nn.Module:
    """What makes a vector as wide as `like` of a text: (B, M) long, or (B, E) of given vectors, to (B, D).

    Raises:
        ConfigError: neither the number of pieces nor the width of vectors is known; or both.
    """
    if (options.vocab_size > 0) == (options.text_vector_dim > 0):
        raise ConfigError(
            f"model.vocab_size={options.vocab_size} and model.text_vector_dim={options.text_vector_dim}: one "
            "must be above 0, as texts come as pieces or as vectors; task ecg_text_pretraining takes it from "
            "its manifests"
        )
    if options.vocab_size:
        return TextEncoder(options, like)
    dim = like.encoder_embed_dim
    return MLPHead([options.text_vector_dim, dim, dim], activation=nn.GELU)
