"""Two streams of tokens, of ECGs and of texts, that look at each other (M3AE, arXiv:2209.07098, Sec. 3.2)."""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.transformer import SelfAttention, TransformerLayer


def fusion_options(like: EncoderConfig) -> EncoderConfig:
    """Options of a layer as wide as an encoder's, with its heads and dropouts, and norms first."""
    return EncoderConfig(
        encoder_embed_dim=like.encoder_embed_dim,
        encoder_ffn_embed_dim=like.encoder_ffn_embed_dim,
        encoder_attention_heads=like.encoder_attention_heads,
        layer_norm_first=True,
        dropout=like.dropout,
        attention_dropout=like.attention_dropout,
        activation_dropout=like.activation_dropout,
    )


class FusionLayer(TransformerLayer):
    """Tokens look at each other, then at those of the other stream; norms are before each sub-layer."""

    def __init__(self, cfg: EncoderConfig):
        super().__init__(cfg)
        self.cross_attn = SelfAttention(
            cfg.encoder_embed_dim, cfg.encoder_attention_heads, cfg.attention_dropout
        )
        self.cross_attn_layer_norm = nn.LayerNorm(cfg.encoder_embed_dim)

    def forward(
        self,
        x: Tensor,
        keep: Optional[Tensor],
        other: Optional[Tensor] = None,
        other_keep: Optional[Tensor] = None,
    ) -> Tensor:
        """(B, F, D) to the same.

        Args:
            keep: as of `SelfAttention`.
            other: (B, K, D) tokens of the other stream; None: there is none, and nothing to look at.
            other_keep: (B, 1, 1, K) bool, which of them may be looked at.
        """
        x = x + self._branch(self.self_attn(self.self_attn_layer_norm(x), keep))
        if other is not None:
            x = x + self._branch(self.cross_attn(self.cross_attn_layer_norm(x), other_keep, other))
        return x + self._branch(self._feed_forward(self.final_layer_norm(x)))


class Stream(nn.Module):
    """The layers of one of the two streams, and the vector that marks its tokens."""

    def __init__(self, cfg: EncoderConfig, layers: int):
        super().__init__()
        self.kind = nn.Parameter(torch.empty(cfg.encoder_embed_dim).normal_(std=0.02))
        self.layers = nn.ModuleList(FusionLayer(cfg) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(cfg.encoder_embed_dim)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):  # as in the encoders
                nn.init.normal_(module.weight, mean=0.0, std=0.02)
                nn.init.zeros_(module.bias)

    def alone(self, x: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
        """Its tokens (B, F, D) where the other stream is absent."""
        x, keep = x + self.kind, attended(padding_mask)
        for layer in self.layers:
            x = layer(x, keep)
        return self.layer_norm(x)


class Fusion(nn.Module):
    """N layers of either stream, in each of which both look at what the other was before it.

    Args:
        like: the encoder of ECGs, whose width, heads and dropouts the layers have.
        layers: N.
    """

    def __init__(self, like: EncoderConfig, layers: int):
        super().__init__()
        cfg = fusion_options(like)
        self.ecg, self.text = Stream(cfg, layers), Stream(cfg, layers)

    def forward(
        self,
        ecg: Tensor,
        ecg_padding: Optional[Tensor],
        text: Tensor,
        text_padding: Optional[Tensor],
    ) -> Tuple[Tensor, Tensor]:
        """Tokens of ECGs (B, F, D) and texts (B, M, D) to what they are together.

        Args:
            ecg_padding, text_padding: (B, F) and (B, M) bool, True on padding; None: there is none.
        """
        ecg_keep, text_keep = attended(ecg_padding), attended(text_padding)
        ecg, text = ecg + self.ecg.kind, text + self.text.kind
        for of_ecg, of_text in zip(self.ecg.layers, self.text.layers):
            ecg, text = (
                of_ecg(ecg, ecg_keep, text, text_keep),
                of_text(text, text_keep, ecg, ecg_keep),
            )
        return self.ecg.layer_norm(ecg), self.text.layer_norm(text)


def attended(padding_mask: Optional[Tensor]) -> Optional[Tensor]:
    """(B, 1, 1, F) bool, which tokens may be looked at; of a row of nothing but padding, all (no NaN)."""
    if padding_mask is None:
        return None
    return (~padding_mask | padding_mask.all(dim=1, keepdim=True))[:, None, None, :]
