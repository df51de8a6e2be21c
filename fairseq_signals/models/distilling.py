"""Distillation from a moving average of the model itself, for models that can have such a teacher."""

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_transformer import ECGTransformerModel
from fairseq_signals.models.teacher import (
    TEACHER_RULES,
    TaughtModel,
    TeacherConfig,
    momentum_of,
    schedule_problems,
)
from fairseq_signals.modules.dino import Centre, Prototypes
from fairseq_signals.modules.ema import EMATeacher
from fairseq_signals.modules.mlp_head import MLPHead
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.safety.rules import broken, integer, number, one_of

NO_TEACHER, SEGMENT, FRAMES = "none", "segment", "frames"
COSINE, DINO = "cosine", "dino"


@dataclass
class DistillationConfig(TeacherConfig):
    """Options of the teacher and of the heads on both sides."""

    distill_level: str = field(
        default=NO_TEACHER,
        metadata={
            "help": "what is compared with the teacher's: 'segment', the mean over frames, or 'frames', each "
            "with that at the same time; 'none': there is no teacher"
        },
    )
    distill_loss: str = field(
        default=COSINE,
        metadata={
            "help": "'cosine': of the student's prediction with the teacher's vector, of heads with batch "
            "normalisation; 'dino': cross entropy between shares of prototypes"
        },
    )
    distill_dim: int = field(default=256, metadata={"help": "width P of what the heads give"})
    distill_hidden: int = field(default=2048, metadata={"help": "width of the heads' hidden layers"})
    prototypes: int = field(default=4096, metadata={"help": "'dino': their number K"})
    centre_momentum: float = field(default=0.9, metadata={"help": "'dino': of the teacher's mean logits"})


_WIDTH = integer(1, 1 << 20)
_RULES = {
    "distill_level": one_of(NO_TEACHER, SEGMENT, FRAMES),
    "distill_loss": one_of(COSINE, DINO),
    "distill_dim": _WIDTH,
    "distill_hidden": _WIDTH,
    "prototypes": integer(2, 1 << 20),
    "centre_momentum": number(0, 1),
    **TEACHER_RULES,
}


def check_distillation_config(cfg: DistillationConfig) -> None:
    """Raise ConfigError for values that make no teacher; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
    problems = problems or schedule_problems(cfg)
    if problems:
        raise ConfigError("; ".join(problems))


@dataclass
class Distilled:
    """What the student gives of S rows and the teacher of T, each a segment.

    Attributes:
        student: (S, P) predictions or (S, K) logits; of frames (S, F, ...).
        teacher: (T, P) or (T, K), of frames (T, F, ...); without gradient.
        padding_mask: (S, F) bool of the student's frames, True on padding, or None.
        centre: (K,) of the teacher's logits; None where vectors are compared.
    """

    student: Tensor
    teacher: Tensor
    padding_mask: Optional[Tensor]
    centre: Optional[Tensor]


def divided(
    is_teacher: Optional[Tensor], **inputs: Optional[Tensor]
) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
    """The student's rows of inputs (B, ...), and the teacher's, for which `is_teacher` (B,) is True.

    Without it all are the student's. What is None is left out.
    """
    given = {name: value for name, value in inputs.items() if value is not None}
    if is_teacher is None:
        return given, {}
    students, teachers = (
        {name: value[rows] for name, value in given.items()} for rows in (~is_teacher, is_teacher)
    )
    return students, teachers


def with_targets(
    is_teacher: Optional[Tensor], **inputs: Optional[Tensor]
) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
    """As `divided`, with each row of the teacher's repeated for its students, which follow each other."""
    students, teachers = divided(is_teacher, **inputs)
    if teachers:
        times = len(students["source"]) // len(teachers["source"])
        teachers = {name: value.repeat_interleave(times, dim=0) for name, value in teachers.items()}
    return students, teachers


class Distilling(TaughtModel):
    """Base of models with an `encoder` that can have a teacher: heads on the encoder, and copies of both.

    The teacher is of the student's encoder and `distill_head`; a `predictor` is the student's alone.
    """

    encoder: ECGTransformerModel

    def add_teacher(self, cfg: DistillationConfig) -> None:
        """Make heads and teacher as configured; to be called when the encoder is there.

        Raises:
            ConfigError: see `check_distillation_config`.
        """
        check_distillation_config(cfg)
        self.distill_level, self.teacher, self.centre = cfg.distill_level, None, None
        if cfg.distill_level == NO_TEACHER:
            return
        dim, hidden, width = self.encoder.dim, cfg.distill_hidden, cfg.distill_dim
        if cfg.distill_loss == DINO:
            self.distill_head = MLPHead([dim, hidden, hidden, width], activation=nn.GELU)
            self.distill_head.append(Prototypes(width, cfg.prototypes))
            self.predictor = MLPHead([cfg.prototypes])
            self.centre = Centre(cfg.prototypes, cfg.centre_momentum)
        else:
            self.distill_head = MLPHead([dim, hidden, width], norm=True, last_norm=True)
            self.predictor = MLPHead([width, hidden, width], norm=True)
        self.teacher = EMATeacher(self, ("encoder", "distill_head"), momentum_of(cfg))

    def teacher_stepped(self) -> None:
        """Let the centre follow too."""
        if self.centre is not None:
            self.centre.step()

    def distil(
        self, x: Tensor, padding_mask: Optional[Tensor], inputs: Dict[str, Tensor], contribute: bool = True
    ) -> Distilled:
        """Compare the student's frames with what the teacher makes of its own rows.

        Args:
            x: (S, F, D) contextual frames of the student.
            padding_mask: (S, F) bool, True on padding, or None.
            inputs: of the teacher's encoder, T rows.
            contribute: count this batch in statistics over all data-parallel workers.
        """
        assert self.teacher is not None
        dtype = next(self.teacher.parameters()).dtype
        out = self.teacher("encoder", **{**inputs, "source": inputs["source"].to(dtype)})
        targets = self.teacher("distill_head", self._rows(out.x, out.padding_mask), contribute)
        if self.centre is not None and self.training:
            self.centre.add(targets, contribute)
        rows = self.distill_head(self._rows(x, padding_mask), contribute)
        return Distilled(
            student=self._laid_out(self.predictor(rows, contribute), x, padding_mask),
            teacher=self._laid_out(targets, out.x, out.padding_mask),
            padding_mask=padding_mask,
            centre=None if self.centre is None else self.centre.value,
        )

    def _rows(self, x: Tensor, padding_mask: Optional[Tensor]) -> Tensor:
        """What the heads take of frames (B, F, D): (N, D), of segments or of frames that are not padding."""
        if self.distill_level == SEGMENT:
            return mean_over_frames(x, padding_mask)
        return x.flatten(0, 1) if padding_mask is None else x[~padding_mask]

    def _laid_out(self, rows: Tensor, x: Tensor, padding_mask: Optional[Tensor]) -> Tensor:
        """What the heads gave of `_rows`, (N, P), as (B, P) or (B, F, P) with zeros on padding."""
        if self.distill_level == SEGMENT:
            return rows
        if padding_mask is None:
            return rows.unflatten(0, x.shape[:2])
        laid_out = rows.new_zeros(*x.shape[:2], rows.shape[-1])
        laid_out[~padding_mask] = rows
        return laid_out
