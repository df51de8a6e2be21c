"""Context network h: Z -> C: convolutional positions and a Transformer encoder (wav2vec 2.0, Sec. 2)."""

import math
from dataclasses import fields
from typing import Any, Iterable, Iterator, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from fairseq_signals.modules.encoder_config import TRANSFORMER, EncoderConfig
from fairseq_signals.modules.fft_convolution import fft_convolution
from fairseq_signals.modules.s4 import S4Layer

#: From this kernel on, in float32 on a CPU, the position convolution goes through Fourier space.
FFT_KERNEL = 32


class ConvPositionalEncoding(nn.Module):
    """Relative positions from a grouped convolution over frames: (B, F, D) -> (B, F, D)."""

    def __init__(self, dim: int, kernel: int, groups: int):
        super().__init__()
        conv = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups)
        nn.init.normal_(conv.weight, mean=0.0, std=math.sqrt(4.0 / (kernel * dim)))
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.pos_conv = nn.Sequential(weight_norm(conv, name="weight", dim=2))
        self.surplus = 1 - kernel % 2  # an even kernel gives one frame too many

    def forward(self, x: Tensor) -> Tensor:
        # (B, F, D) -> (B, D, F)
        y = self._convolve(x.transpose(1, 2))
        y = y[:, :, : y.shape[2] - self.surplus]
        return F.gelu(y).transpose(1, 2)

    def _convolve(self, x: Tensor) -> Tensor:
        conv: nn.Conv1d = self.pos_conv[0]  # type: ignore
        direct = conv.kernel_size[0] < FFT_KERNEL or x.device.type != "cpu" or x.dtype != torch.float32
        if direct or torch.is_autocast_enabled() or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return self.pos_conv(x)
        assert conv.bias is not None
        return fft_convolution(x, conv.weight, conv.bias, conv.groups)


class SelfAttention(nn.Module):
    """Multi-head attention through PyTorch's scaled dot-product kernels, among frames or to other ones."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim) for _ in range(3))
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, keep: Optional[Tensor], other: Optional[Tensor] = None) -> Tensor:
        """Attend over frames, or over those of `other` (B, K, D); K is F where it is None.

        Args:
            keep: (B, 1, 1 or F, K) bool, True where a frame may be attended to.
        """
        b, f, d = x.shape
        seen = x if other is None else other
        # (B, F or K, D) -> (B, heads, F or K, D / heads)
        q, k, v = (
            proj(frames).view(b, frames.shape[1], self.heads, d // self.heads).transpose(1, 2)
            for proj, frames in ((self.q_proj, x), (self.k_proj, seen), (self.v_proj, seen))
        )
        p = self.dropout if self.training else 0.0
        if p > 0 and x.device.type == "cpu":  # without a fused kernel for dropout, PyTorch keeps more copies
            weights = (q * (d // self.heads) ** -0.5) @ k.transpose(2, 3)
            if keep is not None:
                weights = weights.masked_fill(~keep, -math.inf)
            y = F.dropout(torch.softmax(weights, dim=-1), p) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=keep, dropout_p=p)
        return self.out_proj(y.transpose(1, 2).reshape(b, f, d))


class DropPath(nn.Module):
    """Leaves out a branch of some rows in training (stochastic depth, arXiv:1603.09382); others count more.

    Args:
        probability: q of a row; what stays is divided by 1 - q.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return x
        stays = torch.rand(x.shape[0], *(1,) * (x.dim() - 1), device=x.device) >= self.probability
        return x * stays.to(x.dtype) / (1 - self.probability)


class TransformerLayer(nn.Module):
    """One encoder layer, norm after (`layer_norm_first=False`) or before each sub-layer.

    Args:
        drop_path: probability that its branches are left out.
    """

    def __init__(self, cfg: EncoderConfig, drop_path: float = 0.0):
        super().__init__()
        self.drop_path = DropPath(drop_path)
        dim, ffn_dim = cfg.encoder_embed_dim, cfg.encoder_ffn_embed_dim
        self.layer_norm_first = cfg.layer_norm_first
        self.dropout, self.activation_dropout = nn.Dropout(cfg.dropout), nn.Dropout(cfg.activation_dropout)
        self.self_attn = SelfAttention(dim, cfg.encoder_attention_heads, cfg.attention_dropout)
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1, self.fc2 = nn.Linear(dim, ffn_dim), nn.Linear(ffn_dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation_dropout(F.gelu(self.fc1(x))))

    def _branch(self, x: Tensor) -> Tensor:
        return self.drop_path(self.dropout(x))

    def forward(self, x: Tensor, keep: Optional[Tensor]) -> Tensor:
        if self.layer_norm_first:
            x = x + self._branch(self.self_attn(self.self_attn_layer_norm(x), keep))
            return x + self._branch(self._feed_forward(self.final_layer_norm(x)))
        x = self.self_attn_layer_norm(x + self._branch(self.self_attn(x, keep)))
        return self.final_layer_norm(x + self._branch(self._feed_forward(x)))


class TransformerEncoder(nn.Module):
    """A stack of L layers, Transformer's or state spaces, with layer drop: (B, F, D) -> (B, F, D).

    With `layer_mix` it gives the mean of what all layers give and of the first one's input, weighted by the
    softmax of L + 1 learnt numbers, zero at first (as in SUPERB, arXiv:2105.01051).
    """

    def __init__(self, cfg: EncoderConfig):
        super().__init__()
        self.layer_norm_first, self.layerdrop = cfg.layer_norm_first, cfg.encoder_layerdrop
        self.dropout = nn.Dropout(cfg.dropout)
        rates = [cfg.drop_path * i / max(cfg.encoder_layers - 1, 1) for i in range(cfg.encoder_layers)]
        self.layers = nn.ModuleList(self._layer(cfg, rate) for rate in rates)
        self.layer_norm = nn.LayerNorm(cfg.encoder_embed_dim)
        self.layer_mix = nn.Parameter(torch.zeros(len(self.layers) + 1)) if cfg.layer_mix else None
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):  # as in BERT
                nn.init.normal_(module.weight, mean=0.0, std=0.02)
                nn.init.zeros_(module.bias)

    @staticmethod
    def _layer(cfg: EncoderConfig, drop_path: float) -> nn.Module:
        if cfg.context == TRANSFORMER:
            return TransformerLayer(cfg, drop_path)
        return S4Layer(cfg.encoder_embed_dim, cfg.s4_state, cfg.s4_causal, cfg.dropout)

    def forward(
        self,
        x: Tensor,
        padding_mask: Optional[Tensor] = None,
        layer: Optional[int] = None,
        allowed: Optional[Tensor] = None,
        position: Optional[Tensor] = None,
    ) -> Tensor:
        """Encode frames.

        Args:
            padding_mask: (B, F) bool, True on padding, or None.
            layer: give what this layer gives, from 1 to L, or 0, the first one's input; by default the last
                one, or the mix.
            allowed: (B, F, F) bool, which frames a frame may attend to, padding apart; None: all.
            position: (B, F, D) or (F, D), added to what each layer but the first one takes; None: nothing is.
        """
        return self.chosen(self.each_layer(x, padding_mask, allowed, position), layer)

    def chosen(self, outputs: Iterable[Tensor], layer: Optional[int] = None) -> Tensor:
        """Of what `each_layer` gives, that of a layer, see `forward`."""
        if layer is None and self.layer_mix is not None:
            mixed: Any = 0
            for weight, y in zip(self.layer_mix.float().softmax(dim=0), outputs):
                mixed = mixed + weight.to(y.dtype) * y
            return mixed
        wanted = len(self.layers) if layer is None else layer
        for i, y in enumerate(outputs):
            if i == wanted:
                return y
        raise ValueError(f"layer must be from 0 to {len(self.layers)}, but is {layer} instead")

    def each_layer(
        self,
        x: Tensor,
        padding_mask: Optional[Tensor] = None,
        allowed: Optional[Tensor] = None,
        position: Optional[Tensor] = None,
    ) -> Iterator[Tensor]:
        """What the first layer takes and what each layer gives, the last one normed: L + 1 tensors."""
        keep = None if allowed is None else allowed[:, None]
        if padding_mask is not None:
            # a row of nothing but padding attends to itself: without any frame its softmax would be NaN
            frames = (~padding_mask | padding_mask.all(dim=1, keepdim=True))[:, None, None, :]
            keep = frames if keep is None else keep & frames
            if allowed is not None:  # and so does a token of an absent lead where no other is allowed to it
                keep = keep | ~keep.any(dim=-1, keepdim=True)
        if not self.layer_norm_first:
            x = self.layer_norm(x)
        x = self.dropout(x)
        for i, layer in enumerate(self.layers):
            yield x
            if position is not None and i > 0:
                x = x + position
            if not (self.training and self.layerdrop > 0 and torch.rand(()).item() < self.layerdrop):
                x = layer(x, keep)
        yield self.layer_norm(x) if self.layer_norm_first else x


class FramePredictor(nn.Module):
    """Layers of the encoder's kind over all frames, and a linear map: (B, F, D) -> (B, F, D).

    Args:
        cfg: encoder options, and `predictor_layers`.
    """

    def __init__(self, cfg: Any):
        super().__init__()
        known = [option.name for option in fields(EncoderConfig)]
        options = {name: getattr(cfg, name) for name in known}
        self.encoder = TransformerEncoder(
            EncoderConfig(**{**options, "encoder_layers": cfg.predictor_layers})
        )
        self.head = nn.Linear(cfg.encoder_embed_dim, cfg.encoder_embed_dim)

    def forward(self, x: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
        return self.head(self.encoder(x, padding_mask))
