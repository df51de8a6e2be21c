"""What models share whose targets are made by a moving average of themselves."""

import functools
from dataclasses import dataclass, field
from typing import Any, Callable, List, Optional

from fairseq_signals.models.config import ConfiguredModel, OpenConfig
from fairseq_signals.modules.ema import SCHEDULES, EMATeacher, momentum_at
from fairseq_signals.safety.rules import integer, number, one_of


@dataclass
class TeacherConfig(OpenConfig):
    """Options of the momentum."""

    ema_momentum: float = field(default=0.996, metadata={"help": "m of the teacher, at first"})
    ema_schedule: str = field(
        default="constant", metadata={"help": "of m: 'constant', or to 1 'linear' or 'cosine'"}
    )
    ema_updates: int = field(default=0, metadata={"help": "updates until m is 1, where it is not constant"})


TEACHER_RULES = {
    "ema_momentum": number(0, 1),
    "ema_schedule": one_of(*SCHEDULES),
    "ema_updates": integer(0, 1 << 40),
}


def momentum_of(cfg: Any) -> Callable[[int], float]:
    """m after so many updates; of configurations without `ema_end` it ends at 1."""
    return functools.partial(
        momentum_at,
        start=cfg.ema_momentum,
        schedule=cfg.ema_schedule,
        total=cfg.ema_updates,
        end=getattr(cfg, "ema_end", 1.0),
    )


def schedule_problems(cfg: TeacherConfig) -> List[str]:
    """What is wrong where m is to change, but nobody says until when."""
    if cfg.ema_schedule == "constant" or cfg.ema_updates:
        return []
    return [
        f"model.ema_schedule={cfg.ema_schedule} brings the momentum to 1 within model.ema_updates, which "
        "is 0; set it to the number of updates of the training"
    ]


class TaughtModel(ConfiguredModel):
    """Base of models that have a `teacher`, or None."""

    teacher: Optional[EMATeacher]

    def set_num_updates(self, num_updates: int) -> None:
        """Let the teacher follow (fairseq calls it before every micro-batch)."""
        super().set_num_updates(num_updates)
        if self.teacher is not None and self.teacher.follow(self, num_updates):
            self.teacher_stepped()

    def teacher_stepped(self) -> None:
        """Called once an update, after the teacher's step."""
