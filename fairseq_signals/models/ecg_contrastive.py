"""`ecg_contrastive`: the shared encoder and one vector a segment, for global objectives alone.

With a teacher, a predictor or prototypes it serves BYOL (arXiv:2006.07733), MoCo v3 (arXiv:2104.02057) and
SwAV (arXiv:2006.09882); with a network that masks the signal against it, Bo et al. (arXiv:2211.07889).
"""

from dataclasses import dataclass, field
from typing import Any, Optional

import torch
import torch.nn.functional as F
from fairseq.models import register_model
from fairseq.modules import GradMultiply
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.adversary import Adversary, AdversaryConfig
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.models.teacher import (
    TEACHER_RULES,
    TaughtModel,
    TeacherConfig,
    momentum_of,
    schedule_problems,
)
from fairseq_signals.modules.dino import Prototypes
from fairseq_signals.modules.ema import EMATeacher
from fairseq_signals.modules.mlp_head import MLPHead
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.modules.queue import Queue
from fairseq_signals.modules.segment_sequences import SegmentSequences
from fairseq_signals.safety.rules import broken, integer, one_of

PROJECTIONS = ("none", "linear", "mlp", "mlp_norm")


@dataclass
class ECGContrastiveConfig(ECGTransformerConfig, AdversaryConfig, TeacherConfig):
    """Options of the projection and what comes after it, in addition to the encoder's."""

    projection: str = field(
        default="none",
        metadata={
            "help": "head between the mean over frames and the loss, not used downstream: 'none', 'linear', "
            "'mlp' (linear, ReLU, linear; SimCLR), or 'mlp_norm', with batch normalisation before each ReLU"
        },
    )
    final_dim: int = field(default=256, metadata={"help": "width of the projection"})
    projection_hidden: int = field(
        default=0, metadata={"help": "width of its hidden layers; 0: that of the encoder"}
    )
    projection_layers: int = field(default=2, metadata={"help": "'mlp', 'mlp_norm': linear layers"})
    projection_last_norm: bool = field(
        default=False, metadata={"help": "'mlp_norm': batch normalisation after the last layer too (MoCo v3)"}
    )
    teacher: bool = field(
        default=False,
        metadata={"help": "a moving average of encoder and projection makes what is compared with"},
    )
    predictor_hidden: int = field(
        default=0,
        metadata={
            "help": "of a teacher's student: width of two layers after the projection; 0: there are none"
        },
    )
    prototypes: int = field(
        default=0, metadata={"help": "directions that vectors are compared with; 0: none"}
    )
    freeze_prototypes_updates: int = field(
        default=0, metadata={"help": "updates for which the prototypes stay as they are (SwAV)"}
    )
    queue: int = field(
        default=0,
        metadata={"help": "embeddings of earlier batches that prototypes are shared out among too; 0: none"},
    )
    queue_after_updates: int = field(default=0, metadata={"help": "updates before they count"})
    sequence_layers: int = field(
        default=0,
        metadata={"help": "recurrent layers over the segments of an item, for criterion smd; 0: none"},
    )
    sequence_dim: int = field(default=256, metadata={"help": "their width"})


_WIDTH = integer(0, 1 << 20)
_RULES = {
    "projection": one_of(*PROJECTIONS),
    "final_dim": integer(1, 1 << 20),
    "projection_hidden": _WIDTH,
    "projection_layers": integer(1, 16),
    "predictor_hidden": _WIDTH,
    **TEACHER_RULES,
    "prototypes": _WIDTH,
    "freeze_prototypes_updates": integer(0, 1 << 40),
    "queue": _WIDTH,
    "queue_after_updates": integer(0, 1 << 40),
    "sequence_layers": integer(0, 64),
    "sequence_dim": integer(1, 1 << 16),
}


@dataclass
class ContrastiveOutput:
    """What the criterions need, for B segments of F frames.

    Attributes:
        g: (B, P) global representations, projected where the model has a projection.
        x: (B, F, D) contextual frames.
        padding_mask: (B, F) bool, True on padding, or None.
        frames: (B, F, P) contextual frames, projected as `g` is; None where nobody asked for them.
        predicted: (B, P) `g` after the predictor, or `g`.
        teacher: (B, P) the teacher's `g`, without gradient; None without a teacher.
        scores: (B, K) cosine of `g` with each prototype; None without any.
        earlier_scores: (Q, K) the same of earlier batches' rows of all workers, without gradient; or None.
        local: (B', P) `g` of the short views, B' / S of each of S segments; None without any.
        teacher_x: (B, F, D) the teacher's contextual frames, of the whole segment; None without a teacher.
        span_mask: (B, F) bool, True on frames that the student was not given, or None.
        sequences: (S, P) of each of S sequences of segments, projected; None where nobody asked for them.
        masked_shares: (B', N) of the adversary's N masks of B' segments; None without any.
    """

    g: Tensor
    x: Tensor
    padding_mask: Optional[Tensor]
    frames: Optional[Tensor] = None
    predicted: Optional[Tensor] = None
    teacher: Optional[Tensor] = None
    scores: Optional[Tensor] = None
    earlier_scores: Optional[Tensor] = None
    local: Optional[Tensor] = None
    teacher_x: Optional[Tensor] = None
    span_mask: Optional[Tensor] = None
    sequences: Optional[Tensor] = None
    masked_shares: Optional[Tensor] = None


@register_model("ecg_contrastive", dataclass=ECGContrastiveConfig)
class ECGContrastiveModel(TaughtModel):
    """Mean over the frames of each segment, then a projection (SimCLR, arXiv:2002.05709, Sec. 2.1)."""

    views_for_teacher = False  #: the teacher sees what its student sees
    num_updates = 0

    def __init__(self, cfg: ECGContrastiveConfig):
        super().__init__()
        check_contrastive_config(cfg)
        self.cfg = cfg
        self.encoder = begin_encoder(cfg)
        self.projection = projection_head(cfg, self.encoder.dim)
        width = self.encoder.dim if cfg.projection == "none" else cfg.final_dim
        self.predictor = self.prototypes = self.teacher = self.queue = None
        if cfg.predictor_hidden:
            norm = cfg.projection_last_norm
            self.predictor = MLPHead([width, cfg.predictor_hidden, width], norm=True, last_norm=norm)
        if cfg.prototypes:
            self.prototypes = Prototypes(width, cfg.prototypes)
        if cfg.queue:
            self.queue = Queue(cfg.queue, width)
        self.sequences = self.sequence_projection = None
        if cfg.sequence_layers:
            self.sequences = SegmentSequences(self.encoder.dim, cfg.sequence_dim, cfg.sequence_layers)
            self.sequence_projection = projection_head(cfg, cfg.sequence_dim)
        if cfg.teacher:
            self.teacher = EMATeacher(self, ("encoder", "projection"), momentum_of(cfg))
        self.adversary = None
        if cfg.adversarial_mask:
            self.adversary = Adversary(cfg)

    def set_num_updates(self, num_updates: int) -> None:
        """Let the teacher follow, and remember it for what waits (fairseq: before every micro-batch)."""
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        *,
        local_source: Optional[Tensor] = None,
        local_present: Optional[Tensor] = None,
        sequences: Optional[Tensor] = None,
        masked_rows: Optional[Tensor] = None,
        spans: Optional[Tensor] = None,
        project_frames: bool = False,
        contribute: bool = True,
    ) -> ContrastiveOutput:
        """Represent each segment by one vector.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            local_source: (B', leads, samples') short views of the segments, for the student alone; or None.
            local_present: (B', leads) bool, as `lead_present`.
            sequences: (S, T) which rows each sequence has, -1 behind its last one; None: there are none.
            masked_rows: (B,) bool, True on segments that the adversary masks; with one only.
            spans: (B, F) bool span mask, or None to draw one.
            project_frames: project each frame, and take the mean of that, in place of projecting the mean.
            contribute: count this batch in statistics over all data-parallel workers.
        """
        shares = None
        if self.adversary is not None:
            source, shares = self.adversary.masked(source, masked_rows, padding_mask, lead_present)
        out = self.encoder(
            source, padding_mask, mask=self.cfg.apply_mask, spans=spans, lead_present=lead_present
        )
        # projected here, not in the criterion: data-parallel wrappers look for parameters in `forward` only
        if project_frames:
            frames = self.projection(out.x)
            g = mean_over_frames(frames, out.padding_mask)
            return ContrastiveOutput(g, out.x, out.padding_mask, frames, masked_shares=shares)
        pooled = mean_over_frames(out.x, out.padding_mask)
        g = projected(self.projection, pooled, contribute)
        found = ContrastiveOutput(g, out.x, out.padding_mask, span_mask=out.span_mask, masked_shares=shares)
        if self.sequences is not None and sequences is not None:
            summary = self.sequences(pooled, sequences)
            found.sequences = projected(self.sequence_projection, summary, contribute)
        if local_source is not None:
            seen = self.encoder(local_source, lead_present=local_present)
            found.local = projected(self.projection, mean_over_frames(seen.x, None), contribute)
        found.predicted = g if self.predictor is None else self.predictor(g, contribute)
        if self.prototypes is not None:
            self._compare(self.prototypes, found, contribute)
        if self.teacher is not None:
            dtype = next(self.teacher.parameters()).dtype
            seen = self.teacher("encoder", source.to(dtype), padding_mask, lead_present=lead_present)
            pooled = mean_over_frames(seen.x, seen.padding_mask)
            with torch.no_grad():
                found.teacher = projected(self.teacher.projection, pooled, contribute)
            found.teacher_x = seen.x
        return found

    def _compare(self, prototypes: Prototypes, found: ContrastiveOutput, contribute: bool) -> None:
        """Note the scores of prototypes, and then the rows themselves for later batches."""
        g, directions = F.normalize(found.g, dim=-1), F.normalize(prototypes.weight, dim=-1)
        if self.num_updates < self.cfg.freeze_prototypes_updates:
            directions = GradMultiply.apply(directions, 0.0)
        found.scores = F.linear(g, directions)
        if self.queue is None or not self.training:
            return
        if self.num_updates >= self.cfg.queue_after_updates:
            found.earlier_scores = F.linear(self.queue.rows().to(g.dtype), directions).detach()
        self.queue.add(g, contribute)

    @staticmethod
    def global_representation(output: ContrastiveOutput) -> Tensor:
        """The vector of each segment that the loss compares, (B, P)."""
        return output.g


def projected(head: Any, x: Tensor, contribute: bool) -> Tensor:
    """What a head makes of (B, D), of whatever kind it is."""
    return head(x, contribute) if isinstance(head, MLPHead) else head(x)


def projection_head(cfg: Any, dim: int) -> nn.Module:
    """The projection (..., dim) -> (..., `final_dim`); the identity for "none"."""
    if cfg.projection == "none":
        return nn.Identity()
    if cfg.projection == "linear":
        return nn.Linear(dim, cfg.final_dim)
    hidden = [getattr(cfg, "projection_hidden", 0) or dim] * (getattr(cfg, "projection_layers", 2) - 1)
    norm = cfg.projection == "mlp_norm"
    return MLPHead([dim, *hidden, cfg.final_dim], norm, norm and cfg.projection_last_norm)


def check_contrastive_config(cfg: ECGContrastiveConfig) -> None:
    """Raise ConfigError for values that contradict each other; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
    if not problems and cfg.predictor_hidden and not cfg.teacher:
        problems.append(
            "model.predictor_hidden is of a teacher's student, but model.teacher is false: set it to true"
        )
    if not problems and cfg.queue and not cfg.prototypes:
        problems.append(
            "model.queue is of rows that prototypes are compared with: set model.prototypes, or it to 0"
        )
    problems = problems or schedule_problems(cfg)
    if problems:
        raise ConfigError("; ".join(problems))
