"""REFERENCE, not used by the package: the usual formulation of wav2vec 2.0 pre-training, to measure against.

Re-created from its published description: distractors gathered into a tensor of (K, B, M, D), cosine
similarity on the concatenation with the positive, fairseq's own quantizer with its dense one-hot times
codebook product, fairseq's span masks on the CPU, rows cut to the least masked one of the batch, and
attention whose weights are computed in full.
"""

from __future__ import annotations

from typing import Any, Optional

import measure  # noqa: F401  (puts the checkout to be measured on the path)
import torch
import torch.nn.functional as F
from fairseq.data.data_utils import compute_mask_indices
from fairseq.modules import GumbelVectorQuantizer
from torch import Tensor

from fairseq_signals.models.ecg_wav2vec2 import Wav2Vec2Output
from fairseq_signals.models.quantizer import Quantized, VectorQuantizer
from fairseq_signals.models.wav2vec2_cmsc import Wav2Vec2CMSCModel
from fairseq_signals.modules.transformer import SelfAttention


def gathered_logits(prediction: Tensor, targets: Tensor, distractors: Tensor, temperature: float) -> Tensor:
    """Logits (1 + K, B, M) of the positives and of distractors that are gathered first.

    Args:
        prediction, targets: (B, M, D).
        distractors: (B, M, K) long, frames of the same segment.
    """
    b, m, d = targets.shape
    k = distractors.shape[2]
    flat = (distractors + m * torch.arange(b)[:, None, None]).view(-1)
    negatives = targets.reshape(-1, d)[flat].view(b, m, k, d).permute(2, 0, 1, 3)  # (K, B, M, D)
    same = (targets == negatives).all(dim=-1)
    candidates = torch.cat([targets[None], negatives], dim=0)
    logits = F.cosine_similarity(prediction.float(), candidates.float(), dim=-1).type_as(prediction)
    logits = logits / temperature
    if same.any():
        logits[1:][same] = float("-inf")
    return logits


class ReferenceQuantizer(VectorQuantizer):
    """fairseq's own forward pass, whose result is put in our form."""

    def forward(self, x: Tensor) -> Quantized:  # type: ignore[override]
        result = GumbelVectorQuantizer.forward(self, x[None], produce_targets=True)
        zeros = x.new_zeros(self.groups, self.num_vars)
        quantized = Quantized(result["x"][0], result["targets"][0], zeros, zeros)
        quantized.prob_perplexity = result["prob_perplexity"]  # type: ignore[attr-defined]
        return quantized


class ReferenceModel(Wav2Vec2CMSCModel):
    """`wav2vec2_cmsc` with the usual forward pass."""

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        if self.quantizer is not None:
            self.quantizer.__class__ = ReferenceQuantizer
        for module in self.modules():
            if isinstance(module, SelfAttention):
                module.__class__ = ReferenceAttention

    def forward(self, source: Tensor, padding_mask: Optional[Tensor] = None, **_: Any) -> Wav2Vec2Output:
        cfg = self.cfg
        frames = source.shape[2] // 16
        drawn = compute_mask_indices((len(source), frames), None, cfg.mask_prob, cfg.mask_length, "static",
                                     min_masks=2)  # fmt: skip
        spans = torch.from_numpy(drawn)
        out = self.encoder(source, mask=True, spans=spans)
        b, d = len(source), out.latents.shape[2]
        assert self.quantizer is not None
        quantized = self.quantizer(out.latents[spans].view(-1, d))
        targets = self.project_q(quantized.x).view(b, -1, self.project_q.out_features)
        prediction = self.final_proj(out.x[spans].view(b, -1, out.x.shape[2]))
        m = targets.shape[1]
        drawn_indices = torch.randint(0, m - 1, (b, m, cfg.num_negatives))
        own = torch.arange(m)[None, :, None]
        drawn_indices = drawn_indices + (drawn_indices >= own).long()
        logits = gathered_logits(prediction, targets, drawn_indices, cfg.logit_temp)
        logits = logits.permute(1, 2, 0)  # (B, M, 1 + K)
        n_codes = self.quantizer.num_vars * self.quantizer.groups
        diversity = (n_codes - quantized.prob_perplexity) / n_codes
        valid = torch.ones(b, m, dtype=torch.bool)
        return Wav2Vec2Output(logits, valid, out.x, None, out.feature_penalty, diversity, {})


class ReferenceAttention(SelfAttention):
    """Attention with its (B, heads, F, F) weights in memory."""

    def forward(self, x: Tensor, keep: Optional[Tensor]) -> Tensor:
        b, f, d = x.shape
        q, k, v = (
            proj(x).view(b, f, self.heads, d // self.heads).transpose(1, 2).reshape(b * self.heads, f, -1)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        weights = torch.bmm(q * q.shape[-1] ** -0.5, k.transpose(1, 2)).softmax(dim=-1)
        weights = F.dropout(weights, self.dropout, self.training)
        y = torch.bmm(weights, v).view(b, self.heads, f, -1).transpose(1, 2)
        return self.out_proj(y.reshape(b, f, d))
