"""`ecg_hubert`: the cluster of masked frames is told (HuBERT, arXiv:2106.07447; after HuBERT-ECG, medRxiv
2024.11.14.24317328, and HuBERT++, arXiv:2605.12241)."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import torch
import torch.nn.functional as F
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.checkpoints.clusters import STATISTICS, ClusterFile
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.distilling import with_targets
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.given_path import given_path
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.models.teacher import TaughtModel
from fairseq_signals.modules.clusters import Clusters, OnlineClusters, frame_statistics
from fairseq_signals.modules.ema import EMATeacher, momentum_at
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.safety.rules import broken, integer, number


@dataclass
class ECGHuBERTConfig(ECGTransformerConfig):
    """Options of the clusters, in addition to the encoder's."""

    apply_mask: bool = field(default=True, metadata={"help": "mask spans of frames"})
    clusters: Optional[str] = field(
        default=None,
        metadata={
            "help": "file of `fairseq-signals clusters`; null: prototypes that follow a teacher's frames"
        },
    )
    num_clusters: int = field(default=128, metadata={"help": "prototypes, where there is no file"})
    cluster_momentum: float = field(default=0.99, metadata={"help": "of the prototypes"})
    ema_momentum: float = field(default=0.999, metadata={"help": "of the teacher whose frames they follow"})
    final_dim: int = field(default=256, metadata={"help": "width in which frames and clusters are compared"})
    logit_temp: float = field(default=0.1, metadata={"help": "temperature of the cosines (> 0)"})


_RULES = {
    "num_clusters": integer(2, 1 << 20),
    "cluster_momentum": number(0, 1),
    "ema_momentum": number(0, 1),
    "final_dim": integer(1, 1 << 16),
    "logit_temp": number(1e-6, 1e6),
}


@dataclass
class ClusterPrediction:
    """Logits and labels of the frames of B segments.

    Attributes:
        logits: (B, F, K) cosine / temperature.
        labels: (B, F) the cluster of each frame, or (B, F, K) shares.
        masked: (B, F) bool, True on frames that were masked.
        valid: (B, F) bool, False on padding.
        g: (B, D) mean of the contextual frames.
    """

    logits: Tensor
    labels: Tensor
    masked: Tensor
    valid: Tensor
    g: Tensor


@register_model("ecg_hubert", dataclass=ECGHuBERTConfig)
class ECGHuBERTModel(TaughtModel):
    """The shared encoder, a projection, a vector for each cluster; labels are of the unmasked signal."""

    views_for_teacher = None  #: takes the labels from those of all leads, where there are some

    def __init__(self, cfg: ECGHuBERTConfig):
        super().__init__()
        problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
        if cfg.apply_mask and not cfg.mask_prob and not cfg.mask_channel_prob:
            problems.append(
                "model.apply_mask is true, but model.mask_prob and model.mask_channel_prob are 0, so that "
                "all frames would be told as they are: raise mask_prob, or set apply_mask to false"
            )
        if problems:
            raise ConfigError("; ".join(problems))
        self.cfg = cfg
        self.encoder = begin_encoder(cfg)
        self.teacher = None
        self.label_encoder: Optional[ECGEncoder] = None
        n, self.layer = cfg.num_clusters, 0
        if cfg.clusters:
            self.clusters: nn.Module = self._read(given_path(cfg.clusters))
            n = len(self.clusters.centres)  # type: ignore[arg-type]
        else:
            self.clusters = OnlineClusters(n, self.encoder.dim, cfg.cluster_momentum)
            self.teacher = EMATeacher(
                self, ("encoder",), functools.partial(momentum_at, start=cfg.ema_momentum)
            )
        self.final_proj = nn.Linear(self.encoder.dim, cfg.final_dim)
        self.cluster_vectors = nn.Parameter(torch.empty(n, cfg.final_dim).normal_())

    def _read(self, path: Path) -> Clusters:
        """The clusters of a file, and the encoder whose frames they are of."""
        found = ClusterFile.read(path)
        if found.stride != self.encoder.stride:
            raise ConfigError(
                f"model.clusters: {path} has clusters of frames {found.stride} samples apart, but the "
                f"encoder's are {self.encoder.stride}; make them with `fairseq-signals clusters --stride "
                f"{self.encoder.stride}`"
            )
        clusters = Clusters(*found.centres.shape)
        for name in ("centres", "mean", "deviation"):
            getattr(clusters, name).copy_(torch.from_numpy(getattr(found, name)))
        if found.source != STATISTICS:
            checkpoint = load_checkpoint(given_path(found.source))
            encoder, self.layer = ECGEncoder(checkpoint.config), found.layer
            encoder.load_state_dict(checkpoint.encoder_state, strict=False)
            self.label_encoder = encoder.requires_grad_(False)
        of_leads = self.label_encoder is not None and self.label_encoder.per_lead
        if of_leads != self.encoder.per_lead:
            kinds = ("frames of all leads", "tokens of a lead each")
            raise ConfigError(
                f"model.clusters: {path} has clusters of {kinds[of_leads]}, but those of "
                f"model.frontend={self.cfg.frontend} are {kinds[not of_leads]}; take another front end, or "
                "set clusters to null"
            )
        wanted = 3 * self.encoder.cfg.in_d if self.label_encoder is None else self.label_encoder.dim
        if found.centres.shape[1] != wanted:
            raise ConfigError(
                f"model.clusters: {path} has clusters of {found.centres.shape[1]} numbers a frame, but "
                f"{found.source} has {wanted} with model.in_d={self.encoder.cfg.in_d}"
            )
        return clusters

    def train(self, mode: bool = True) -> "ECGHuBERTModel":
        """Training or evaluation mode; the encoder of labels is always in evaluation mode."""
        super().train(mode)
        if self.label_encoder is not None:
            self.label_encoder.eval()
        return self

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        is_teacher: Optional[Tensor] = None,
        spans: Optional[Tensor] = None,
        contribute: bool = True,
    ) -> ClusterPrediction:
        """Tell the clusters of each segment's frames.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            is_teacher: (B,) bool, True on rows that the labels of the others are made of, in their order;
                None: each row's are made of itself.
            spans: (B, F) bool span mask, or None to draw one.
            contribute: count this batch in statistics over all data-parallel workers.
        """
        inputs, whole = with_targets(
            is_teacher, source=source, padding_mask=padding_mask, lead_present=lead_present
        )
        out = self.encoder(**inputs, mask=self.cfg.apply_mask, spans=spans)
        valid = torch.ones(out.x.shape[:2], dtype=torch.bool, device=out.x.device)
        if out.padding_mask is not None:
            valid = ~out.padding_mask
        vectors = F.normalize(self.cluster_vectors, dim=1)
        logits = F.normalize(self.final_proj(out.x), dim=2) @ vectors.T / self.cfg.logit_temp
        labels = self.labels(whole or inputs, valid, contribute)
        masked = valid if out.span_mask is None else out.span_mask & valid
        return ClusterPrediction(logits, labels, masked, valid, mean_over_frames(out.x, out.padding_mask))

    @torch.no_grad()
    def labels(self, inputs: dict, valid: Tensor, contribute: bool = True) -> Tensor:
        """The clusters of frames of unmasked segments: (B, F), or shares (B, F, K)."""
        source = inputs["source"]
        if self.teacher is not None:
            dtype = next(self.teacher.parameters()).dtype
            frames = self.teacher("encoder", **{**inputs, "source": source.to(dtype)}).x
            shares = frames.new_zeros(*frames.shape[:2], self.cfg.num_clusters)
            shares[valid] = self.clusters(frames[valid], contribute).to(shares.dtype)
            return shares
        if self.label_encoder is None:
            return self.clusters(frame_statistics(source, self.encoder.stride, valid.shape[1]))
        return self.clusters(self.label_encoder(**inputs, layer=self.layer).x)

    @staticmethod
    def global_representation(output: ClusterPrediction) -> Tensor:
        """g of each segment, (B, D)."""
        return output.g
