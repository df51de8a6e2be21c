"""Structured state spaces (S4, arXiv:2111.00396), real and dense, for states of up to some 16 numbers.

A channel with input u has a state of N numbers, x' = A x + B u, and the output C x + D u. A and B at first
are HiPPO-LegS (arXiv:2008.07669); the bilinear rule with a step of its own, Delta, makes each channel
discrete. For small N the matrices are small enough to be used as they are: no complex numbers, no Cauchy
kernel.
"""

import math
from contextlib import nullcontext
from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = (0.001, 0.1)  #: range of Delta at first


def legs(n: int) -> Tuple[Tensor, Tensor]:
    """A (N, N) and B (N,) of HiPPO-LegS, in float64."""
    root = (2 * torch.arange(n, dtype=torch.float64) + 1).sqrt()
    a = -(root[:, None] * root).tril(-1) - torch.diag(torch.arange(1, n + 1, dtype=torch.float64))
    return a, root


def discrete(a: Tensor, b: Tensor, step: Tensor) -> Tuple[Tensor, Tensor]:
    """The bilinear rule: A (N, N), B (H, N), Delta (H,) -> (H, N, N) and (H, N)."""
    half = step[:, None, None] / 2 * a
    eye = torch.eye(len(a), dtype=a.dtype, device=a.device)
    both = torch.cat([eye + half, step[:, None, None] * b[..., None]], dim=-1)
    solved = torch.linalg.solve(eye - half, both)
    return solved[..., :-1], solved[..., -1]


def powers(a: Tensor, b: Tensor, length: int) -> Tensor:
    """B, A B, A^2 B ... of A (H, N, N), B (H, N): (H, N, L), by doubling."""
    v, a_l = b[..., None], a
    while v.shape[-1] < length:
        v = torch.cat([v, a_l @ v], dim=-1)
        a_l = a_l @ a_l
    return v[..., :length]


def causal_convolution(u: Tensor, kernel: Tensor) -> Tensor:
    """Sum over j of K[j] u[i - j], of u (B, H, L) and K (H, L), through Fourier space."""
    length = u.shape[-1]
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        padded = F.pad(u, (length - 1, 0))
        return F.conv1d(padded, kernel.flip(-1)[:, None].to(u.dtype), groups=len(kernel))
    n, wide = 1 << (2 * length - 1).bit_length(), torch.promote_types(u.dtype, torch.float32)
    spectrum = torch.fft.rfft(u.to(wide), n=n) * torch.fft.rfft(kernel.to(wide), n=n)
    return torch.fft.irfft(spectrum, n=n)[..., :length].to(u.dtype)


def without_autocast(device: str) -> Any:
    """A context in which PyTorch chooses no lower precision."""
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else nullcontext()


class S4(nn.Module):
    """State spaces of H channels, each by itself: (B, F, H) -> (B, F, H).

    Args:
        dim: H.
        state: N.
        causal: a frame depends on no later one; else another C reads the sequence backwards, and both add up.
    """

    a: Tensor
    fixed: Optional[Tensor]

    def __init__(self, dim: int, state: int, causal: bool):
        super().__init__()
        a, b = legs(state)
        self.register_buffer("a", a.float(), persistent=False)
        self.register_buffer("fixed", None, persistent=False)
        low, high = map(math.log, STEPS)
        self.log_step = nn.Parameter(low + (high - low) * torch.rand(dim))
        self.b = nn.Parameter(b.float().repeat(dim, 1))
        self.c = nn.Parameter(torch.randn(1 if causal else 2, dim, state))
        self.d = nn.Parameter(torch.randn(dim))

    def kernels(self, length: int) -> Tensor:
        """Of L steps: (1, H, L), and (2, H, L) where the sequence is read both ways; in float32."""
        if self.fixed is not None:
            return self.fixed
        with without_autocast(self.b.device.type):
            a, b = discrete(self.a.float(), self.b.float(), self.log_step.float().exp())
            return torch.einsum("khn,hnl->khl", self.c.float(), powers(a, b, length))

    def fix(self, length: int) -> None:
        """Keep the kernels of L steps, for programs that have one length: what makes them is not in ONNX."""
        self.fixed = self.kernels(length).detach()

    def forward(self, x: Tensor) -> Tensor:
        u = x.transpose(1, 2)
        kernels = self.kernels(u.shape[-1])
        y = causal_convolution(u, kernels[0])
        if len(kernels) == 2:  # of later frames alone: frame i takes from i + 1 on
            later = causal_convolution(u.flip(-1), kernels[1]).flip(-1)
            y = y + F.pad(later[..., 1:], (0, 1))
        return (y + self.d[:, None].to(u.dtype) * u).transpose(1, 2)


class S4Layer(nn.Module):
    """State spaces, GELU, a gated linear layer, and the norm of what is added to the input.

    Args:
        dim, state, causal: see `S4`.
        dropout: of channels, over all frames alike.
    """

    def __init__(self, dim: int, state: int, causal: bool, dropout: float):
        super().__init__()
        self.s4, self.mix, self.norm = S4(dim, state, causal), nn.Linear(dim, 2 * dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, keep: Optional[Tensor] = None) -> Tensor:
        """(B, F, D) -> the same; `keep` (B, 1, 1, F) bool is False on padding, which counts as zeros."""
        u = x if keep is None else x * keep[:, 0, 0, :, None]
        y = self._dropped(F.gelu(self.s4(u)))
        return self.norm(x + self._dropped(F.glu(self.mix(y), dim=-1)))

    def _dropped(self, x: Tensor) -> Tensor:
        return self.dropout(x.transpose(1, 2)).transpose(1, 2)
