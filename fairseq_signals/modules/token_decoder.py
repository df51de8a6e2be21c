"""Decoders of masked autoencoders and predictors: a small Transformer on the whole grid of tokens."""

from typing import Any, List, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.positions import sinusoids
from fairseq_signals.modules.tokens import restore
from fairseq_signals.modules.transformer import ConvPositionalEncoding, TransformerEncoder

CONV_GROUPS = 8


class TokenDecoder(nn.Module):
    """Encoder tokens (B, k, D) at places of a grid, mask tokens elsewhere, to an output of each token.

    Args:
        dim: D, of the encoder.
        width, layers, heads: of the decoder; its feed-forward layers are four times as wide.
        n_out: numbers that each token gives.
        n_leads: of leads with vectors of their names, added to their tokens; 0: there are none.
        conv: kernel of a convolution over frames that tells positions, in addition to sines and cosines; as
            the grid is whole here, nothing leaks. 0: none. It must be 0 where tokens are of leads.
        head_conv: kernel of a convolution over frames before the output; 0: none.
        flags: add a linear map of which leads are to be told.
        every_layer: add positions to what each layer takes, not the first one alone.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        layers: int,
        heads: int,
        n_out: int,
        n_leads: int = 0,
        conv: int = 0,
        head_conv: int = 0,
        flags: int = 0,
        every_layer: bool = False,
    ):
        super().__init__()
        self.width, self.every_layer = width, every_layer
        self.embed = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.empty(width).normal_(std=0.02))
        self.lead_vectors = nn.Parameter(torch.empty(n_leads, width).normal_(std=0.02)) if n_leads else None
        self.lead_flags = nn.Linear(flags, width, bias=False) if flags else None
        self.conv_pos = ConvPositionalEncoding(width, conv, CONV_GROUPS) if conv else None
        cfg = EncoderConfig(
            encoder_layers=layers,
            encoder_embed_dim=width,
            encoder_ffn_embed_dim=4 * width,
            encoder_attention_heads=heads,
            layer_norm_first=True,
            dropout=0.0,
            attention_dropout=0.0,
        )
        self.encoder = TransformerEncoder(cfg)
        self.head_conv = nn.Conv1d(width, width, head_conv, padding=head_conv // 2) if head_conv else None
        self.head = nn.Linear(width, n_out)

    def forward(
        self,
        x: Tensor,
        keep: Tensor,
        n_tokens: int,
        padding_mask: Optional[Tensor] = None,
        lead: Optional[Tensor] = None,
        flags: Optional[Tensor] = None,
    ) -> Tensor:
        """Give (B, N, `n_out`).

        Args:
            x: (B, k, D).
            keep: (B, k) their places among N.
            n_tokens: N.
            padding_mask: (B, N) bool, True on padding and absent leads, or None.
            lead: (B, M) the lead of each of M runs of tokens, or None where tokens are of all leads.
            flags: (B, L) bool, the leads that are to be told, where the decoder takes them.
        """
        y = restore(self.embed(x), keep, n_tokens, self.mask_token)
        n_frames = n_tokens if lead is None else n_tokens // lead.shape[1]
        position = sinusoids(torch.arange(n_frames, device=y.device), self.width).to(y.dtype)
        position = position if lead is None else position.repeat(lead.shape[1], 1)
        y = y + position
        if self.lead_vectors is not None and lead is not None:
            y = y + self.lead_vectors.to(y.dtype)[lead].repeat_interleave(n_frames, dim=1)
        if self.lead_flags is not None and flags is not None:
            y = y + self.lead_flags(flags.to(y.dtype))[:, None]
        if self.conv_pos is not None:
            y = y + self.conv_pos(y)
        if padding_mask is not None:
            y = y.masked_fill(padding_mask[..., None], 0.0)
        y = self.encoder(y, padding_mask, position=position if self.every_layer else None)
        return self.head(self._smoothed(y))

    def _smoothed(self, x: Tensor) -> Tensor:
        if self.head_conv is None:
            return x
        return F.gelu(self.head_conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)


class LeadDecoder(TokenDecoder):
    """The same on each lead by itself, between the two separators of the lead (ST-MEM, arXiv:2402.09450).

    Which lead it is, the encoder's tokens must tell.
    """

    def of_leads(
        self,
        x: Tensor,
        keep: Tensor,
        n_leads: int,
        n_frames: int,
        separators: Tensor,
        padding_mask: Optional[Tensor] = None,
    ) -> Tensor:
        """Give (B, M F, `n_out`).

        Args:
            x: (B, M k, D), as many tokens of each of M leads.
            keep: (B, M k) their places, sorted.
            n_leads, n_frames: M, F.
            separators: (B, 2 M, D) those of all leads, the first ones before the second ones; or (B, 0, D).
            padding_mask: (B, M F) bool, True on padding and absent leads, or None.
        """
        b = x.shape[0]
        kept = keep.reshape(b * n_leads, -1) % n_frames
        if padding_mask is not None:
            padding_mask = padding_mask.view(b * n_leads, n_frames)
        y = restore(self.embed(x).view(b * n_leads, kept.shape[1], -1), kept, n_frames, self.mask_token)
        position = sinusoids(torch.arange(n_frames, device=y.device), self.width).to(y.dtype)
        y = y + position
        if self.conv_pos is not None:
            y = y + self.conv_pos(y)
        if padding_mask is not None:
            y = y.masked_fill(padding_mask[..., None], 0.0)
        n_before = 0
        if separators.shape[1]:
            ends = self.embed(separators).view(b, 2, n_leads, -1).transpose(1, 2).reshape(b * n_leads, 2, -1)
            y, n_before = torch.cat([ends[:, :1], y, ends[:, 1:]], dim=1), 1
            padding_mask = None if padding_mask is None else F.pad(padding_mask, (1, 1))
        again = F.pad(position, (0, 0, n_before, n_before)) if self.every_layer else None
        y = self.encoder(y, padding_mask, position=again)[:, n_before : n_before + n_frames]
        return self.head(self._smoothed(y)).view(b, n_leads * n_frames, -1)


def decoder_heads(width: int) -> int:
    """Heads of 64 numbers, or fewer of more where that does not divide the width."""
    return next(n for n in range(max(width // 64, 1), 0, -1) if width % n == 0)


def width_problems(name: str, width: int, heads: int, conv: int = 0) -> List[str]:
    """What is wrong with the width of a decoder whose options are called `name`_dim and so on."""
    parts = {"2, of sines and cosines": 2, f"{name}_heads ({heads})": heads or 1}
    if conv:
        parts[f"{CONV_GROUPS}, the groups of {name}_conv"] = CONV_GROUPS
    return [
        f"model.{name}_dim ({width}) must be a multiple of {what}" for what, n in parts.items() if width % n
    ]


def options_of(cfg: Any) -> dict:
    """The arguments of a decoder that a configuration names `decoder_*`."""
    width = cfg.decoder_dim
    return {
        "width": width,
        "layers": cfg.decoder_layers,
        "heads": cfg.decoder_heads or decoder_heads(width),
        "conv": cfg.decoder_conv,
        "head_conv": cfg.decoder_head_conv,
    }
