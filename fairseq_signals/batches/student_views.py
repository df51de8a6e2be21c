"""Views of a segment for a teacher and its students: all leads as they are, and some, transformed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import List, Optional

import numpy as np

from fairseq_signals.ecg.leads import LEAD_SETS, LEADS
from fairseq_signals.errors import ConfigError

STUDENT_LEADS = ("all", "random", "sets")
_SETS = [[LEADS.index(name) for name in names] for names in LEAD_SETS.values()]


class StudentViews:
    """One view of a segment for the teacher, and several for its students.

    The first has all loaded leads, and no transform changes it. Of the others each has its own leads and
    transforms.

    Args:
        leads: indices of the loaded leads.
        students: number of views for students, at least 1.
        student_leads: "all"; "random": their number is uniform from `min_leads` to `max_leads`, then which
            they are; "sets": one of the paper's lead sets. Only leads that the record has are chosen, fewer
            where it has not so many.
        min_leads, max_leads: of "random".

    Raises:
        ConfigError: values that contradict each other; names the key.
    """

    fixed, n_teacher = False, 1  #: as of `Views`

    def __init__(
        self,
        leads: Sequence[int],
        students: int,
        student_leads: str = "random",
        min_leads: int = 1,
        max_leads: int = 6,
    ):
        if student_leads not in STUDENT_LEADS:
            raise ConfigError(
                f"task.student_leads must be one of {', '.join(STUDENT_LEADS)}, but is {student_leads!r} "
                "instead"
            )
        if students < 1:
            raise ConfigError(f"task.student_views must be 0 or more, but is {students} instead")
        if not 1 <= min_leads <= max_leads:
            raise ConfigError(
                "task.student_min_leads must be at least 1 and at most task.student_max_leads, but they are "
                f"{min_leads} and {max_leads}"
            )
        self.canonical = sorted(leads)
        self.students, self.student_leads = students, student_leads
        self.min_leads, self.max_leads = min_leads, max_leads

    def __len__(self) -> int:
        return 1 + self.students

    def draw(
        self, rng: Optional[np.random.Generator], present: Optional[np.ndarray] = None
    ) -> List[List[int]]:
        """The leads of each view, the teacher's first.

        Args:
            rng: draws them.
            present: (12,) bool, True for leads that the record has; None: it has all.
        """
        assert rng is not None, "students' leads are drawn"
        there = [lead for lead in self.canonical if present is None or present[lead]] or self.canonical
        return [self.canonical, *(self._drawn(there, rng) for _ in range(self.students))]

    def _drawn(self, there: List[int], rng: np.random.Generator) -> List[int]:
        if self.student_leads == "all":
            return there
        if self.student_leads == "sets":
            sets = [leads for leads in ([lead for lead in each if lead in there] for each in _SETS) if leads]
            return sets[rng.integers(len(sets))] if sets else there
        most = min(self.max_leads, len(there))
        size = rng.integers(min(self.min_leads, most), most + 1)
        return sorted(rng.choice(there, size=size, replace=False).tolist())
