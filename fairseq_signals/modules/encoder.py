"""The ECG encoder that every model shares: signal -> latent frames -> contextual frames."""

import functools
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.conv_features import (
    ConvFeatureExtractor,
    conv_output_length,
    parse_conv_layers,
)
from fairseq_signals.modules.encoder_config import ENCODER_RULES
from fairseq_signals.modules.lead_front_end import LeadFeatureExtractor, LeadNames
from fairseq_signals.modules.present_leads import PresentLeads, all_present, require_a_lead
from fairseq_signals.modules.span_mask import span_mask
from fairseq_signals.modules.transformer import ConvPositionalEncoding, TransformerEncoder
from fairseq_signals.safety.rules import broken

# the options that decide the encoder's shape: a checkpoint must agree with a model in all of them
ARCHITECTURE = (
    "encoder_layers",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "layer_norm_first",
    "extractor_mode",
    "conv_feature_layers",
    "in_d",
    "lead_encoding",
    "lead_mixer",
    "lead_mixer_rounds",
    "conv_bias",
    "conv_pos",
    "conv_pos_groups",
)


@dataclass
class EncoderOutput:
    """What the encoder makes of a batch of B segments, F frames each.

    Attributes:
        x: (B, F, D) contextual frames C: what the last layer gives, or the mix of all (`layer_mix`).
        padding_mask: (B, F) bool, True on padding, or None where nothing is padded.
        latents: (B, F, C) layer-normed latent frames Z, before projection and masking.
        span_mask: (B, F) bool, True where a frame was masked, or None.
        feature_penalty: mean of the squared latent frames before the norm (the penalty of wav2vec 2.0).
    """

    x: Tensor
    padding_mask: Optional[Tensor]
    latents: Tensor
    span_mask: Optional[Tensor]
    feature_penalty: Tensor


class ECGEncoder(nn.Module):
    """f and h of the paper (Sec. 3.1): 12 x 2500 samples in mV to 156 frames.

    Args:
        cfg: any object with the attributes of `EncoderConfig` (see `encoder_config.py`).
    """

    def __init__(self, cfg: Any):
        super().__init__()
        layers = parse_conv_layers(cfg.conv_feature_layers)
        check_encoder_config(cfg)
        self.cfg = cfg
        self.conv_layer_sizes = layers
        self.latent_dim = layers[-1][0]
        self.dim = cfg.encoder_embed_dim
        self.feature_extractor: nn.Module
        if cfg.lead_encoding == "tokens":
            self.feature_extractor = LeadFeatureExtractor(layers, cfg.extractor_mode, cfg.conv_bias)
            self.lead_names = LeadNames(cfg)
        else:
            self.feature_extractor = ConvFeatureExtractor(cfg.in_d, layers, cfg.extractor_mode, cfg.conv_bias)
        self.layer_norm = nn.LayerNorm(self.latent_dim)
        self.post_extract_proj = nn.Linear(self.latent_dim, self.dim) if self.latent_dim != self.dim else None
        self.lead_flags = nn.Linear(cfg.in_d, self.dim, bias=False) if cfg.lead_encoding == "flags" else None
        self.dropout_input = nn.Dropout(cfg.dropout_input)
        if cfg.apply_mask:
            self.mask_emb = nn.Parameter(torch.empty(self.dim).uniform_())
        self.conv_pos = ConvPositionalEncoding(self.dim, cfg.conv_pos, cfg.conv_pos_groups)
        self.encoder = TransformerEncoder(cfg)

    def latent_frames(self, source: Tensor, lead_present: Optional[Tensor] = None) -> Tensor:
        """Front end f: (B, leads, samples) in mV -> (B, F, C); `lead_present` as of `forward`."""
        if source.dim() != 3 or source.shape[1] != self.cfg.in_d:
            raise ValueError(
                f"source must be (B, {self.cfg.in_d}, samples), but is {tuple(source.shape)} instead; "
                "leads that a record lacks are zeros"
            )
        if conv_output_length(source.shape[2], self.conv_layer_sizes) < 1:
            raise ValueError(f"a segment of {source.shape[2]} samples is too short for one frame")
        if self.cfg.lead_encoding == "zeros":
            return self.feature_extractor(source).transpose(1, 2)
        lead_present = all_present(source, lead_present)
        require_a_lead(lead_present)
        if self.cfg.lead_encoding == "flags":
            return self.feature_extractor(source.masked_fill(~lead_present[..., None], 0.0)).transpose(1, 2)
        leads = PresentLeads.of(lead_present)
        frames = self.feature_extractor(source[leads.segment, leads.lead][:, None], leads)
        return self.lead_names(frames.transpose(1, 2), leads)

    def frame_padding_mask(self, padding_mask: Optional[Tensor], n_frames: int) -> Optional[Tensor]:
        """Padding over frames, (B, F), or None without any: a frame counts if all its samples do.

        Padding is at the end of a row; its mask is (B, samples) bool, True on padding.
        """
        if padding_mask is None or not padding_mask.any():
            return None
        n_valid = conv_output_length((~padding_mask).sum(dim=1), self.conv_layer_sizes)
        return torch.arange(n_frames, device=padding_mask.device) >= n_valid[:, None]

    def project(self, latents: Tensor) -> Tensor:
        """Layer-normed latent frames (B, F, C) to the Transformer's width (B, F, D)."""
        x = latents if self.post_extract_proj is None else self.post_extract_proj(latents)
        return self.dropout_input(x)

    def draw_span_mask(
        self, shape: Tuple[int, int], padding_mask: Optional[Tensor], device: torch.device
    ) -> Optional[Tensor]:
        """A random span mask over frames by the configuration, (B, F) bool."""
        cfg = self.cfg
        if cfg.mask_prob <= 0:
            return None
        return span_mask(
            shape,
            cfg.mask_prob,
            cfg.mask_length,
            padding_mask,
            cfg.mask_selection,
            cfg.mask_other,
            no_overlap=cfg.no_mask_overlap,
            min_space=cfg.mask_min_space,
            equal_rows=cfg.mask_equal_rows,
            device=device,
        )

    def mask_channels(self, x: Tensor) -> Tensor:
        """Zero random spans of channels of (B, F, D), each over all frames of its segment."""
        cfg = self.cfg
        if cfg.mask_channel_prob <= 0:
            return x
        mask = span_mask(
            (x.shape[0], x.shape[2]),
            cfg.mask_channel_prob,
            cfg.mask_channel_length,
            None,
            cfg.mask_channel_selection,
            cfg.mask_channel_other,
            min_masks=0,
            no_overlap=cfg.no_mask_channel_overlap,
            min_space=cfg.mask_channel_min_space,
            device=x.device,
        )
        return x.masked_fill(mask[:, None, :], 0.0)

    def positioned(self, x: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
        """What the Transformer takes, (B, F, D): frames and their positions.

        Padded frames are zeroed only after the position convolution, like in the authors' code.
        """
        x = x + self.conv_pos(x)
        return x if padding_mask is None else x.masked_fill(padding_mask[..., None], 0.0)

    def with_flags(self, x: Tensor, source: Tensor, lead_present: Optional[Tensor]) -> Tensor:
        """Frames (B, F, D) with a vector of the present leads added to each, where the encoder has them."""
        if self.lead_flags is None:
            return x
        return x + self.lead_flags(all_present(source, lead_present).to(x.dtype))[:, None]

    def each_layer(self, source: Tensor, lead_present: Optional[Tensor] = None) -> Iterator[Tensor]:
        """As `TransformerEncoder.each_layer`, of (B, leads, samples) without padding."""
        latents = self.layer_norm(self.latent_frames(source, lead_present))
        x = self.with_flags(self.project(latents), source, lead_present)
        return self.encoder.each_layer(self.positioned(x))

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        mask: bool = False,
        spans: Optional[Tensor] = None,
        to_input: Any = None,
        layer: Optional[int] = None,
        lead_present: Optional[Tensor] = None,
    ) -> EncoderOutput:
        """Encode a batch.

        Args:
            source: (B, leads, samples) float, mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            mask: mask spans of frames (and channels) as configured.
            spans: (B, F) bool span mask to use in place of a random one.
            to_input: maps latent frames (B, F, C) to Transformer input (B, F, D) in place of `project`.
            layer: which layer's frames to give, see `TransformerEncoder.forward`.
            lead_present: (B, leads) bool, True where a lead is present, a flat one too; None: all are. With
                `lead_encoding=zeros` it says nothing that the zeros do not.
        """
        n_frames = max(conv_output_length(source.shape[-1], self.conv_layer_sizes), 0)
        padding = self.frame_padding_mask(padding_mask, n_frames)
        if not mask:
            spans = None
        elif spans is None:
            spans = self.draw_span_mask((len(source), n_frames), padding, source.device)
        encode = functools.partial(self._encode, mask=mask, to_input=to_input, layer=layer)
        chunk = self.cfg.encoder_chunk
        if not chunk or len(source) <= chunk or not (self.training and torch.is_grad_enabled()):
            x, latents, power = encode(source, padding, spans, lead_present)
        else:
            inputs = ((None,) * -(-len(source) // chunk) if t is None else t.split(chunk)
                      for t in (source, padding, spans, lead_present))  # fmt: skip
            parts = [checkpoint(encode, *part, use_reentrant=False) for part in zip(*inputs)]
            x, latents, power = (torch.cat(part) for part in zip(*parts))
        return EncoderOutput(x, padding, latents, spans, power.mean())

    def _encode(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor],
        spans: Optional[Tensor],
        lead_present: Optional[Tensor],
        mask: bool,
        to_input: Any,
        layer: Optional[int],
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Contextual frames (B, F, D), latent frames (B, F, C), and mean square latents (B,)."""
        latents = self.latent_frames(source, lead_present)
        power = latents.float().pow(2).mean(dim=(1, 2))
        latents = self.layer_norm(latents)
        x = (to_input or self.project)(latents)
        if spans is not None:
            x = torch.where(spans[..., None], self.mask_emb.to(x.dtype), x)
        if mask:
            x = self.mask_channels(x)
        x = self.with_flags(x, source, lead_present)
        # no frame attends to padding
        return self.encoder(self.positioned(x, padding_mask), padding_mask, layer), latents, power


def check_encoder_config(cfg: Any) -> None:
    """Raise ConfigError for values that cannot make an encoder; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in ENCODER_RULES}, ENCODER_RULES, "model.")
    for name in () if problems else ("encoder_attention_heads", "conv_pos_groups"):
        if cfg.encoder_embed_dim % getattr(cfg, name):
            problems.append(
                f"model.encoder_embed_dim ({cfg.encoder_embed_dim}) must be a multiple of {name} "
                f"({getattr(cfg, name)})"
            )
    if problems:
        raise ConfigError("; ".join(problems))


def count_weights(cfg: Any) -> int:
    """How many numbers the weight matrices of an encoder hold, without making it."""
    layers, dim = parse_conv_layers(cfg.conv_feature_layers), cfg.encoder_embed_dim
    inputs = [cfg.in_d, *(width for width, _, _ in layers)]
    mixer = 0
    if cfg.lead_encoding == "tokens":
        inputs[0] = 1
        mixer = 2 * cfg.lead_mixer_rounds * inputs[-1] ** 2  # of messages; the others have two and four times
    front_end = sum(n * width * kernel for n, (width, kernel, _) in zip(inputs, layers))
    positions = dim * (dim // cfg.conv_pos_groups) * cfg.conv_pos
    layer = 4 * dim**2 + 2 * dim * cfg.encoder_ffn_embed_dim
    return front_end + mixer + positions + cfg.encoder_layers * layer
