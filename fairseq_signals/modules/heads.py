"""Encoder and head for the two downstream tasks; usable without fairseq."""

from typing import Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.encoder import ECGEncoder, EncoderOutput
from fairseq_signals.modules.pooling import FrameStatistics, mean_over_frames


class PooledEncoder(nn.Module):
    """An encoder and its global representation; the base of both tasks' models.

    Args:
        pooling: the representation is these statistics, see `FrameStatistics`; none: the mean over frames.

    Attributes:
        skip_zero_frames: see `mean_over_frames`; a matter of how the model is used, and no parameter.
    """

    skip_zero_frames = False

    def __init__(self, encoder: ECGEncoder, final_dropout: float = 0.0, pooling: Sequence[str] = ()):
        super().__init__()
        self.encoder = encoder
        self.final_dropout = nn.Dropout(final_dropout)
        self.statistics: Optional[FrameStatistics] = None
        if pooling:
            self.statistics = FrameStatistics(pooling, len(encoder.encoder.layers), encoder.dim)

    @property
    def dim(self) -> int:
        """Width D of the global representation."""
        return self.encoder.dim if self.statistics is None else self.statistics.dim

    @property
    def layers(self) -> Tuple[int, ...]:
        """The layers that `represent` needs, besides what the encoder gives."""
        return () if self.statistics is None else self.statistics.layers

    def pooled(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
    ) -> Tensor:
        """The representation: (B, leads, samples) -> (B, D); the arguments are those of `ECGEncoder`."""
        mask = self.encoder.training and self.encoder.cfg.apply_mask
        out = self.encoder(source, padding_mask, mask=mask, lead_present=lead_present, layers=self.layers)
        return self.represent(out)

    def represent(self, out: EncoderOutput) -> Tensor:
        """The representation (B, D) out of what the encoder gave with `layers` first among its layers."""
        if self.statistics is None:
            return self.pool(out.x, out.padding_mask)
        return self.statistics(out.layers, out.padding_mask)

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
    ) -> Tensor:
        """What the head makes of the global representation: (B, leads, samples) -> (B, K)."""
        return self.head(self.final_dropout(self.pooled(source, padding_mask, lead_present)))

    def head(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, K); without a head the representation itself."""
        return pooled

    def pool(self, frames: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
        """Mean over frames: (B, F, D) -> (B, D)."""
        return mean_over_frames(frames, padding_mask, self.skip_zero_frames)


class ECGClassifier(PooledEncoder):
    """The representation, then one linear layer: (B, leads, samples) -> logits (B, classes)."""

    def __init__(
        self, encoder: ECGEncoder, num_labels: int, final_dropout: float = 0.0, pooling: Sequence[str] = ()
    ):
        super().__init__(encoder, final_dropout, pooling)
        self.proj = nn.Linear(self.dim, num_labels)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def head(self, pooled: Tensor) -> Tensor:
        return self.proj(pooled)


class ECGIdentifier(PooledEncoder):
    """L2-normalised mean over frames: (B, leads, samples) -> embeddings (B, D).

    `cosine_logits` compares them with one learnt direction a training patient (ArcFace, arXiv:1801.07698);
    identification itself compares embeddings only.
    """

    def __init__(self, encoder: ECGEncoder, num_labels: int, final_dropout: float = 0.0):
        super().__init__(encoder, final_dropout)
        self.kernel = nn.Parameter(torch.empty(num_labels, encoder.dim))
        nn.init.xavier_uniform_(self.kernel)

    def head(self, pooled: Tensor) -> Tensor:
        return F.normalize(pooled.float(), dim=-1)

    def cosine_logits(self, embedding: Tensor) -> Tensor:
        """Cosine of embeddings (B, D) with every training patient's direction: (B, patients)."""
        return F.linear(embedding.float(), F.normalize(self.kernel.float(), dim=-1)).clamp(-1.0, 1.0)
