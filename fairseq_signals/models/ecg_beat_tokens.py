"""`ecg_beat_tokens`: beats as words, and the codes of masked ones (after HeartLang, arXiv:2502.10707).

Without `tokenizer` it makes one (stage 1): beats through the encoder, a codebook and a decoder, which redraws
them. With the checkpoint of such a model (stage 2) the encoder tells the codes of beats that it is not given.
"""

from dataclasses import dataclass, field
from typing import Optional

import torch
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.config import ConfiguredModel
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.given_path import given_path
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.modules.code_tokens import RedrawnSentence, Sentence, Tokenizer, valid_tokens
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.front_end import BEAT
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.modules.present_leads import PresentLeads, all_present
from fairseq_signals.modules.token_decoder import TokenDecoder, decoder_heads
from fairseq_signals.modules.token_mask import mask_share
from fairseq_signals.safety.rules import broken, integer, number


@dataclass
class ECGBeatTokensConfig(ECGTransformerConfig):
    """Options of codes and masks, in addition to the encoder's."""

    frontend: str = field(default=BEAT, metadata={"help": "must be 'beat'"})
    lead_encoding: str = field(default="tokens", metadata={"help": "must be 'tokens': words are of leads"})
    position: str = field(default="sincos", metadata={"help": "of a beat among the segment's"})
    patch_samples: int = field(default=480, metadata={"help": "samples of a word: .96 s"})
    mask_ratio: float = field(default=0.5, metadata={"help": "share of the words that is masked"})
    tokenizer: Optional[str] = field(
        default=None,
        metadata={"help": "checkpoint of this model that gives the codes; null: train one that will"},
    )
    codes: int = field(default=8192, metadata={"help": "stage 1: codes K"})
    code_dim: int = field(default=128, metadata={"help": "stage 1: their width"})
    code_momentum: float = field(default=0.99, metadata={"help": "stage 1: share of a code that stays"})
    decoder_dim: int = field(default=768, metadata={"help": "stage 1: width of the decoder"})
    decoder_layers: int = field(default=2, metadata={"help": "stage 1: its layers"})


_RULES = {
    "mask_ratio": number(0, 1, below=True),
    "codes": integer(2, 1 << 20),
    "code_dim": integer(1, 1 << 16),
    "code_momentum": number(0, 1),
    "decoder_dim": integer(2, 1 << 16),
    "decoder_layers": integer(1, 512),
}


@dataclass
class MaskedSentence(Sentence):
    """What stage 2 makes of them.

    Attributes:
        masked: (B, N) bool, True on words that the encoder was not given.
        logits: (B, N, K).
    """

    masked: Tensor
    logits: Tensor


@register_model("ecg_beat_tokens", dataclass=ECGBeatTokensConfig)
class ECGBeatTokensModel(ConfiguredModel):
    """The shared encoder on words, and a tokenizer: one in training, or one that is frozen."""

    tokenizer: Tokenizer

    def __init__(self, cfg: ECGBeatTokensConfig):
        super().__init__()
        check_beat_config(cfg)
        self.cfg = cfg
        self.encoder = begin_encoder(cfg)
        self.label_encoder: Optional[ECGEncoder] = None
        if cfg.tokenizer:
            self._read(cfg.tokenizer)
            self.final_proj = nn.Linear(self.encoder.dim, len(self.tokenizer.codebook.codes))
            return
        self.tokenizer = Tokenizer(self.encoder.dim, cfg.codes, cfg.code_dim, cfg.code_momentum)
        width = cfg.decoder_dim
        self.decoder = TokenDecoder(
            cfg.code_dim,
            width,
            cfg.decoder_layers,
            decoder_heads(width),
            cfg.patch_samples,
            n_leads=cfg.in_d,
        )

    def _read(self, path: str) -> None:
        """The tokenizer of a checkpoint, and the encoder that it is on, both frozen."""
        checkpoint = load_checkpoint(given_path(path))
        prefix = "tokenizer."
        state = {k.removeprefix(prefix): v for k, v in checkpoint.state.items() if k.startswith(prefix)}
        if "codebook.codes" not in state or checkpoint.model_cfg.get("tokenizer"):
            raise CheckpointError(
                f"model.tokenizer: {checkpoint.path} makes no codes; give the checkpoint of an "
                "ecg_beat_tokens that was trained without model.tokenizer"
            )
        config, (n, dim) = checkpoint.config, state["codebook.codes"].shape
        for name in ("frontend", "patch_samples", "in_d", "input_norm"):
            if getattr(config, name) != getattr(self.cfg, name):
                raise ConfigError(
                    f"model.{name} is {getattr(self.cfg, name)!r}, but the tokenizer {checkpoint.path} has "
                    f"{getattr(config, name)!r}: words would not be the same"
                )
        encoder, tokenizer = ECGEncoder(config), Tokenizer(config.encoder_embed_dim, n, dim, 1.0)
        encoder.load_state_dict(checkpoint.encoder_state, strict=False, assign=True)
        tokenizer.load_state_dict({name: value.clone() for name, value in state.items()}, assign=True)
        self.label_encoder, self.tokenizer = encoder.requires_grad_(False), tokenizer.requires_grad_(False)

    def train(self, mode: bool = True) -> "ECGBeatTokensModel":
        """Training or evaluation mode; a frozen tokenizer is always in evaluation mode."""
        super().train(mode)
        if self.label_encoder is not None:
            self.label_encoder.eval()
            self.tokenizer.eval()
        return self

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        spans: Optional[Tensor] = None,
        contribute: bool = True,
    ) -> Sentence:
        """Redraw the words of segments, or tell the codes of masked ones.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            spans: (B, N) bool, the words that are masked (stage 2); None: draw them.
            contribute: count this batch in the codes over all data-parallel workers.
        """
        inputs = {"source": source, "padding_mask": padding_mask, "lead_present": lead_present}
        if self.label_encoder is None:
            return self._redrawn(inputs, contribute)
        with torch.no_grad():
            seen = self.label_encoder(**inputs)
        valid = valid_tokens(seen)
        if spans is None:
            spans = mask_share(valid, self.cfg.mask_ratio)
        out = self.encoder(**inputs, mask=True, spans=spans)
        codes, logits = self.tokenizer(seen.x), self.final_proj(out.x)
        g = mean_over_frames(out.x, out.padding_mask)
        return MaskedSentence(valid, codes, logits.shape[2], g, spans & valid, logits)

    def _redrawn(self, inputs: dict, contribute: bool) -> RedrawnSentence:
        out = self.encoder(**inputs)
        valid = valid_tokens(out)
        codes, given, told, quantised = self.tokenizer.coded(out.x, valid, contribute)
        source = self.encoder.normed(inputs["source"], inputs["lead_present"], inputs["padding_mask"])
        leads = PresentLeads.of(all_present(source, inputs["lead_present"]))
        words, _ = self.encoder.feature_extractor.words(leads.grouped(source[leads.segment, leads.lead]))
        every = torch.arange(valid.shape[1], device=valid.device).expand(len(valid), -1)
        redrawn = self.decoder(given, every, valid.shape[1], out.padding_mask, leads.grouped(leads.lead))
        g = mean_over_frames(out.x, out.padding_mask)
        return RedrawnSentence(valid, codes, self.cfg.codes, g, words.flatten(1, 2), redrawn, told, quantised)

    @staticmethod
    def global_representation(output: Sentence) -> Tensor:
        """g of each segment, (B, D)."""
        return output.g


def check_beat_config(cfg: ECGBeatTokensConfig) -> None:
    """Raise ConfigError for values that make no such model; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
    if cfg.frontend != BEAT:
        problems.append(f"model.frontend must be {BEAT} with ecg_beat_tokens, but is {cfg.frontend} instead")
    if cfg.tokenizer and not cfg.apply_mask:
        problems.append("model.tokenizer gives the codes of masked words: set model.apply_mask to true")
    if problems:
        raise ConfigError("; ".join(problems))
