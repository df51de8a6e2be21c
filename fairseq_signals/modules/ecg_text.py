"""Encoders of ECGs and texts, whose vectors are compared in a joint space; usable without fairseq."""

import math
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.heads import PooledEncoder
from fairseq_signals.modules.text_encoder import TextConfig, text_encoder

LARGEST_SCALE = 100.0


class JointSpace(nn.Module):
    """Linear maps of both sides without bias, and how far apart their cosines are spread (CLIP, SigLIP)."""

    def __init__(self, dim: int, options: TextConfig):
        super().__init__()
        self.ecg = nn.Linear(dim, options.joint_dim, bias=False)
        self.text = nn.Linear(dim, options.joint_dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(options.initial_scale)))
        self.bias = nn.Parameter(torch.zeros(()))

    @property
    def scale(self) -> Tensor:
        """The factor on cosines."""
        return self.log_scale.float().exp().clamp(max=LARGEST_SCALE)


class ECGText(PooledEncoder):
    """Unit vectors of ECGs and texts in a joint space (MERL, arXiv:2403.06659, Sec. 3; CLIP, 2103.00020).

    As a `PooledEncoder` its representation is that of the ECG encoder, and its head the joint space.

    Args:
        encoder: of ECGs.
        options: of the text side.
        tokenizer: (n,) uint8, the bytes of what makes pieces of texts; None: none, or it is elsewhere.
    """

    tokenizer: Optional[Tensor]

    def __init__(self, encoder: ECGEncoder, options: TextConfig, tokenizer: Optional[Tensor] = None):
        super().__init__(encoder)
        self.register_buffer("tokenizer", tokenizer)
        self.text_options = options
        self.text = text_encoder(options, encoder.cfg)
        self.joint = JointSpace(encoder.dim, options)

    def head(self, pooled: Tensor) -> Tensor:
        """The representations (B, D) of ECGs in the joint space: (B, J), of length 1."""
        return F.normalize(self.joint.ecg(pooled).float(), dim=-1)

    def of_texts(self, text: Tensor) -> Tensor:
        """Texts in the joint space: (B, M) pieces or (B, E) vectors to (B, J), of length 1."""
        return F.normalize(self.joint.text(self.text(text)).float(), dim=-1)
