"""`ecg_vq`: segments as codes, one a frame, from which they are redrawn (VQ-VAE, arXiv:1711.00937)."""

from dataclasses import dataclass, field

from fairseq.models import register_model

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import ConfiguredModel
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.modules.front_end import find_front_end
from fairseq_signals.modules.input_norm import NONE
from fairseq_signals.modules.segment_codes import SegmentCodes
from fairseq_signals.modules.token_decoder import decoder_heads, width_problems
from fairseq_signals.safety.rules import broken, integer, number


@dataclass
class ECGVQConfig(ECGTransformerConfig):
    """Options of codes and decoder, in addition to the encoder's."""

    codes: int = field(default=1024, metadata={"help": "codes K"})
    code_dim: int = field(default=64, metadata={"help": "their width"})
    code_momentum: float = field(default=0.99, metadata={"help": "share of a code that stays"})
    code_patience: int = field(
        default=100,
        metadata={"help": "updates without a frame after which a code becomes a frame's; 0: it waits"},
    )
    decoder_dim: int = field(default=256, metadata={"help": "width of the decoder"})
    decoder_layers: int = field(default=2, metadata={"help": "its layers"})
    decoder_conv: int = field(
        default=15, metadata={"help": "kernel of its convolution over frames; 0: there is none"}
    )


_RULES = {
    "codes": integer(2, 1 << 20),
    "code_dim": integer(1, 1 << 16),
    "code_momentum": number(0, 1),
    "code_patience": integer(0, 1 << 20),
    "decoder_dim": integer(2, 1 << 16),
    "decoder_layers": integer(1, 512),
    "decoder_conv": integer(0, 1 << 10),
}


@register_model("ecg_vq", dataclass=ECGVQConfig)
class ECGVQModel(SegmentCodes, ConfiguredModel):
    """The shared encoder, a codebook, and a decoder; `masked_sentence` is its criterion."""

    def __init__(self, cfg: ECGVQConfig):
        check_vq_config(cfg)
        super().__init__(begin_encoder(cfg), cfg)


def check_vq_config(cfg: ECGVQConfig) -> None:
    """Raise ConfigError for values that make no such model; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
    if find_front_end(cfg.frontend).per_lead:
        problems.append(
            f"model.frontend={cfg.frontend} makes frames of single leads, but a code is of all: set it to "
            "patch or conv"
        )
    if cfg.input_norm != NONE:
        problems.append(
            f"model.input_norm={cfg.input_norm}: codes of what was standardised have no millivolts; set it "
            f"to {NONE}"
        )
    width = cfg.decoder_dim
    problems += width_problems("decoder", width, decoder_heads(width) if width > 1 else 1, cfg.decoder_conv)
    if problems:
        raise ConfigError("; ".join(problems))
