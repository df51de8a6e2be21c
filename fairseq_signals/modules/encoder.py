"""The ECG encoder that every model shares: signal -> latent frames -> contextual frames."""

import functools
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.configured_masks import draw_spans, mask_channels
from fairseq_signals.modules.cross_pattern import cross_pattern
from fairseq_signals.modules.encoder_checks import check_encoder_config, dropping_problems, length_problem
from fairseq_signals.modules.encoder_config import FULL
from fairseq_signals.modules.extra_tokens import ExtraTokens, Sequence
from fairseq_signals.modules.front_end import find_front_end
from fairseq_signals.modules.input_norm import NONE, InputNorm
from fairseq_signals.modules.lead_front_end import LeadNames, MixedLeads
from fairseq_signals.modules.positions import TablePositions
from fairseq_signals.modules.present_leads import PresentLeads, all_present, is_traced, require_a_lead
from fairseq_signals.modules.tokens import take, taken
from fairseq_signals.modules.transformer import ConvPositionalEncoding, TransformerEncoder


@dataclass
class EncoderOutput:
    """What the encoder makes of a batch of B segments, N tokens each.

    Tokens are frames in time, N = F; where the front end makes some of each lead, N = M F of the M present
    leads, those of one after those of another.

    Attributes:
        x: (B, N, D) contextual frames C: what the last layer gives, or the mix of all (`layer_mix`); of the
            tokens that were kept.
        padding_mask: (B, N) bool, True on padding and absent leads, or None where there are none.
        latents: (B, N, C) layer-normed latent frames Z, before projection and masking; of all tokens.
        span_mask: (B, N) bool, True where a frame was masked, or None.
        feature_penalty: mean of the squared latent frames before the norm (the penalty of wav2vec 2.0).
        extra: (B, E, D) registers and separators; E may be 0.
        layers: what the layers that were asked for give, each like `x`.
    """

    x: Tensor
    padding_mask: Optional[Tensor]
    latents: Tensor
    span_mask: Optional[Tensor]
    feature_penalty: Tensor
    extra: Tensor
    layers: Tuple[Tensor, ...] = ()


class ECGEncoder(nn.Module):
    """f and h of the paper (Sec. 3.1): 12 x 2500 samples in mV to 156 frames.

    Args:
        cfg: any object with the attributes of `EncoderConfig` (see `encoder_config.py`).
    """

    def __init__(self, cfg: Any):
        super().__init__()
        check_encoder_config(cfg)
        front_end, by_lead = find_front_end(cfg.frontend), cfg.lead_encoding == "tokens"
        self.cfg, self.dim, self.per_lead = cfg, cfg.encoder_embed_dim, front_end.per_lead
        self.input_norm = None if cfg.input_norm == NONE else InputNorm(cfg.input_norm, cfg.input_deviations)
        self.latent_dim: int = front_end.width(cfg)
        self.feature_extractor: Any = front_end.build(cfg, 1 if by_lead else cfg.in_d)
        if by_lead and self.per_lead:
            named = cfg.position != "sincos_2d"  # else positions tell the lead
            self.lead_names = LeadNames(cfg.in_d, self.dim, 0.02, named)
        elif by_lead:
            self.lead_names = MixedLeads(cfg, self.latent_dim)
        self.layer_norm = nn.LayerNorm(self.latent_dim) if front_end.normed(cfg) else nn.Identity()
        self.post_extract_proj = nn.Linear(self.latent_dim, self.dim) if self.latent_dim != self.dim else None
        self.lead_flags = nn.Linear(cfg.in_d, self.dim, bias=False) if cfg.lead_encoding == "flags" else None
        self.dropout_input = nn.Dropout(cfg.dropout_input)
        if cfg.apply_mask:
            self.mask_emb = nn.Parameter(torch.empty(self.dim).uniform_())
        self.conv_pos = self.table_pos = None
        if cfg.position == "conv":
            self.conv_pos = ConvPositionalEncoding(self.dim, cfg.conv_pos, cfg.conv_pos_groups)
        elif cfg.position != "none":
            self.table_pos = TablePositions(cfg)
        self.encoder = TransformerEncoder(cfg)
        self.extra_tokens = ExtraTokens(cfg.registers, cfg.separators, self.dim)

    def n_frames(self, n_samples: Any) -> Any:
        """Frames in time of a number of samples (an int, or an integer tensor of any shape)."""
        return self.feature_extractor.n_frames(n_samples)

    @property
    def stride(self) -> int:
        """Samples from one frame in time to the next."""
        return self.feature_extractor.stride

    def latent_frames(self, source: Tensor, lead_present: Optional[Tensor] = None) -> Tensor:
        """Front end f: (B, leads, samples) in mV -> (B, N, C); `lead_present` as of `forward`."""
        if source.dim() != 3 or source.shape[1] != self.cfg.in_d:
            raise ValueError(
                f"source must be (B, {self.cfg.in_d}, samples), but is {tuple(source.shape)} instead; "
                "leads that a record lacks are zeros"
            )
        if problem := length_problem(self, source.shape[2]):
            raise ConfigError(problem)
        if self.n_frames(source.shape[2]) < 1:
            raise ValueError(f"a segment of {source.shape[2]} samples is too short for one frame")
        if self.cfg.lead_encoding == "zeros":
            return self.feature_extractor(source).transpose(1, 2)
        lead_present = all_present(source, lead_present)
        require_a_lead(lead_present)
        if self.cfg.lead_encoding == "flags":
            return self.feature_extractor(source.masked_fill(~lead_present[..., None], 0.0)).transpose(1, 2)
        leads = PresentLeads.of(lead_present)
        frames = self.feature_extractor(source[leads.segment, leads.lead][:, None], leads).transpose(1, 2)
        return leads.grouped(frames).flatten(1, 2) if self.per_lead else self.lead_names(frames, leads)

    def token_padding_mask(
        self, padding_mask: Optional[Tensor], source: Tensor, lead_present: Optional[Tensor] = None
    ) -> Optional[Tensor]:
        """Padding and absent leads over tokens, (B, N), or None without any.

        A frame counts if all its samples do, or where the front end does not call it empty. Padding is at the
        end of a row; its mask is (B, samples) bool, True on padding.
        """
        n_frames, mask = max(self.n_frames(source.shape[2]), 0), None
        if padding_mask is not None and padding_mask.any():
            n_valid = self.n_frames((~padding_mask).sum(dim=1))
            mask = torch.arange(n_frames, device=padding_mask.device) >= n_valid[:, None]
        if hasattr(self.feature_extractor, "empty"):
            mask = self.feature_extractor.empty(source, lead_present)
        if not self.per_lead:
            return mask
        absent = ~PresentLeads.of(all_present(source, lead_present)).valid
        if mask is None and not is_traced() and not absent.any():
            return None
        time = absent.new_zeros(absent.shape[0], n_frames) if mask is None else mask
        return (absent[:, :, None] | time[:, None]).flatten(1)

    def project(self, latents: Tensor) -> Tensor:
        """Layer-normed latent frames (B, N, C) to the Transformer's width (B, N, D)."""
        x = latents if self.post_extract_proj is None else self.post_extract_proj(latents)
        return self.dropout_input(x)

    def positioned(self, x: Tensor, padding_mask: Optional[Tensor] = None, leads: Any = None) -> Tensor:
        """Frames (B, N, D) and their positions; with `leads`, those of tokens of leads, their names too.

        Padded frames are zeroed only after the position convolution, like in the authors' code.
        """
        if self.conv_pos is not None:
            x = x + self.conv_pos(x)
        elif self.table_pos is not None:
            x = x + self.table_pos.of_tokens(x, leads)
        if leads is not None:
            names = self.names_of(leads, x)
            x = x + names.repeat_interleave(x.shape[1] // names.shape[1], dim=1)
        return x if padding_mask is None else x.masked_fill(padding_mask[..., None], 0.0)

    def with_flags(self, x: Tensor, source: Tensor, lead_present: Optional[Tensor]) -> Tensor:
        """Frames (B, F, D) with a vector of the present leads added to each, where the encoder has them."""
        if self.lead_flags is None:
            return x
        return x + self.lead_flags(all_present(source, lead_present).to(x.dtype))[:, None]

    def in_time(self, x: Tensor, source: Tensor, lead_present: Optional[Tensor] = None) -> Tensor:
        """Tokens (B, N, D) as frames in time (B, F, D): those of leads by their mean."""
        if not self.per_lead:
            return x
        leads = PresentLeads.of(all_present(source, lead_present))
        x = leads.mean(x.unflatten(1, (leads.valid.shape[1], -1)))
        at = getattr(self.feature_extractor, "in_time", None)
        return x if at is None else at(x, self.normed(source, lead_present), lead_present)

    def normed(
        self, source: Tensor, lead_present: Optional[Tensor] = None, padding_mask: Optional[Tensor] = None
    ) -> Tensor:
        """The input, standardised where the configuration says so."""
        if self.input_norm is None:
            return source
        return self.input_norm(source, all_present(source, lead_present), padding_mask)

    def each_layer(self, source: Tensor, lead_present: Optional[Tensor] = None) -> Iterator[Tensor]:
        """As `TransformerEncoder.each_layer`, of (B, leads, samples) without padding: frames in time."""
        layers = tuple(range(len(self.encoder.layers) + 1))
        for x in self(source, lead_present=lead_present, layers=layers).layers:
            yield self.in_time(x, source, lead_present)

    def _sequence(
        self,
        x: Tensor,
        padding_mask: Optional[Tensor],
        source: Tensor,
        lead_present: Optional[Tensor],
        keep: Optional[Tensor] = None,
    ) -> Sequence:
        """What the layers over frames take of projected frames (B, N, D)."""
        x = self.with_flags(x, source, lead_present)
        leads = PresentLeads.of(all_present(source, lead_present)) if self.per_lead else None
        position = None
        if self.cfg.position_every_layer and self.table_pos is not None:
            position = self.table_pos.of_tokens(x, leads).expand_as(x)
        x = self.positioned(x, padding_mask, leads)
        n_tokens = x.shape[1]
        if keep is not None:
            x, padding_mask = take(x, keep), taken(padding_mask, keep)
            position = None if position is None else take(position, keep)
        names, valid = (None, None) if leads is None else (self.names_of(leads, x), leads.valid)
        given, allowed = self.extra_tokens.before(x, padding_mask, names, valid), None
        position = None if position is None else F.pad(position, (0, 0, given.n_extra, 0))
        if leads is not None and self.cfg.attention != FULL:
            n_frames = n_tokens // leads.valid.shape[1]
            allowed = cross_pattern(n_tokens, n_frames, keep, given.n_extra, x.device)
        # torch.export of PyTorch 2.6 knows no `_replace`
        return Sequence(given.x, given.padding_mask, given.n_extra, allowed, position)

    def names_of(self, leads: PresentLeads, like: Tensor) -> Tensor:
        """The vectors of the present leads' names, (B, M, D); zeros where positions tell the lead."""
        vectors = self.lead_names.vectors
        if vectors is None:
            return like.new_zeros(*leads.valid.shape, self.dim)
        return leads.grouped(vectors.to(like.dtype)[leads.lead])

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        mask: bool = False,
        spans: Optional[Tensor] = None,
        to_input: Any = None,
        layer: Optional[int] = None,
        lead_present: Optional[Tensor] = None,
        keep: Optional[Tensor] = None,
        layers: Tuple[int, ...] = (),
    ) -> EncoderOutput:
        """Encode a batch.

        Args:
            source: (B, leads, samples) float, mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            mask: mask spans of frames (and channels) as configured.
            spans: (B, N) bool span mask to use in place of a random one.
            to_input: maps latent frames (B, N, C) to Transformer input (B, N, D) in place of `project`.
            layer, layers: whose frames to give, see `TransformerEncoder.forward`, and whose besides.
            lead_present: (B, leads) bool, True where a lead is present, a flat one too; None: all are. It
                says more than the zeros if the configuration `tells_leads`.
            keep: (B, k) indices of the tokens that go through the Transformer; None: all do.

        Raises:
            ConfigError: tokens are left out, but positions are told by a convolution over all of them.
        """
        if keep is not None and (problems := dropping_problems(self.cfg)):
            raise ConfigError("; ".join(problems))
        source = self.normed(source, lead_present, padding_mask)
        padding = self.token_padding_mask(padding_mask, source, lead_present)
        if not mask:
            spans = None
        elif spans is None:
            n_tokens = max(self.n_frames(source.shape[-1]), 0)
            if self.per_lead:
                n_tokens *= PresentLeads.of(all_present(source, lead_present)).valid.shape[1]
            spans = draw_spans(self.cfg, (len(source), n_tokens), padding, source.device)
        encode = functools.partial(self._encode, mask=mask, to_input=to_input, layer=layer, layers=layers)
        chunk, inputs = self.cfg.encoder_chunk, (source, padding, spans, lead_present, keep)
        if not chunk or len(source) <= chunk or not (self.training and torch.is_grad_enabled()):
            x, latents, power, extra, *noted = encode(*inputs)
        else:
            n = -(-len(source) // chunk)
            split = ((None,) * n if t is None else t.split(chunk) for t in inputs)
            parts = [checkpoint(encode, *part, use_reentrant=False) for part in zip(*split)]
            x, latents, power, extra, *noted = (torch.cat(part) for part in zip(*parts))
        padding = padding if keep is None else taken(padding, keep)
        return EncoderOutput(x, padding, latents, spans, power.mean(), extra, tuple(noted))

    def _encode(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor],
        spans: Optional[Tensor],
        lead_present: Optional[Tensor],
        keep: Optional[Tensor],
        mask: bool,
        to_input: Any,
        layer: Optional[int],
        layers: Tuple[int, ...],
    ) -> Tuple[Tensor, ...]:
        """Contextual frames, latent frames (B, N, C), mean square latents (B,), extra tokens, `layers`."""
        latents = self.latent_frames(source, lead_present)
        power = latents.float().pow(2).mean(dim=(1, 2))
        latents = self.layer_norm(latents)
        x = (to_input or self.project)(latents)
        if spans is not None:
            x = torch.where(spans[..., None], self.mask_emb.to(x.dtype), x)
        if mask:
            x = mask_channels(self.cfg, x)
        given = self._sequence(x, padding_mask, source, lead_present, keep)
        n, frames = given.n_extra, (given.x, given.padding_mask)
        more: Any = {"allowed": given.allowed, "position": given.position}
        outputs = tuple(self.encoder.each_layer(*frames, **more)) if layers else ()
        y = self.encoder.chosen(outputs, layer) if layers else self.encoder(*frames, layer, **more)
        return (y[:, n:], latents, power, y[:, :n], *(outputs[i][:, n:] for i in layers))
