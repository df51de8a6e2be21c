"""Questions about ECGs of which the classes are known, in the types of ECG-QA (arXiv:2306.15681, Tab. 2).

Training, validation and test have different wordings, so that a model that only knows the words of training
is found out, and so is what was chosen by the words of validation. Of each class as many questions are
answered yes as no.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

YES, NO = "yes", "no"
SINGLE_VERIFY, SINGLE_CHOOSE, SINGLE_QUERY = "single-verify", "single-choose", "single-query"
NEW_VERIFY, NEW_QUERY = "comparison_consecutive-verify", "comparison_consecutive-query"
BOTH_VERIFY, BOTH_QUERY = "comparison_irrelevant-verify", "comparison_irrelevant-query"
#: By type, wordings of training, of validation and of test.
WORDINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    SINGLE_VERIFY: (
        (
            "Does this ECG show {}?",
            "Is there any sign of {} here?",
            "Is {} present in this recording?",
            "Would you say that this is {}?",
            "Do you see {} on this tracing?",
            "Tell me whether there is {}.",
            "Has this patient got {}?",
            "Is {} a finding of this ECG?",
        ),
        ("Can {} be seen in this ECG?", "Does the recording have {}?"),
        ("Does one find {} here?", "Is this a case of {}?"),
    ),
    SINGLE_CHOOSE: (
        (
            "Which of the two does this ECG show, {} or {}?",
            "Is this {} or {}?",
            "Of {} and {}, what is present here?",
            "Do you see {} or {} on this tracing?",
            "Tell me which there is, {} or {}.",
            "Has this patient got {} or {}?",
        ),
        ("Does the recording have {} or {}?", "What can be seen in this ECG, {} or {}?"),
        ("Which one is it, {} or {}?", "Does one find {} or {} here?"),
    ),
    SINGLE_QUERY: (
        (
            "What does this ECG show?",
            "Name all that is present in this recording.",
            "What is the finding here?",
            "What do you see on this tracing?",
            "Tell me what there is.",
            "What has this patient got?",
            "List the findings of this ECG.",
            "Which conditions are there?",
        ),
        ("Which findings does the ECG have?", "What can be seen in this recording?"),
        ("What does one find here?", "What are the findings of this recording?"),
    ),
    NEW_VERIFY: (
        (
            "Did {} newly appear in the second ECG?",
            "Is there {} in the second ECG that was not in the first?",
            "Compared with the first ECG, is {} new?",
            "Do you see {} on the second tracing alone?",
            "Tell me whether {} came after the first ECG.",
            "Has this patient now got {}, and not before?",
        ),
        ("Is {} new in the second recording?", "Has {} appeared since the first ECG?"),
        ("Is there now {}, unlike in the first ECG?", "Does one find {} in the second recording only?"),
    ),
    NEW_QUERY: (
        (
            "What newly appeared in the second ECG?",
            "Compared with the first ECG, what is new?",
            "What do you see on the second tracing alone?",
            "Tell me what came after the first ECG.",
            "What has this patient now got, and not before?",
            "List the new findings of the second ECG.",
            "Which conditions came after the first ECG?",
        ),
        ("Which findings are new in the second recording?", "What has appeared since the first ECG?"),
        ("What is there now, unlike in the first ECG?", "What does one find in the second recording only?"),
    ),
    BOTH_VERIFY: (
        (
            "Is {} present in both ECGs?",
            "Do the two ECGs have {} in common?",
            "Do you see {} on the first tracing and on the second?",
            "Tell me whether the two share {}.",
            "Have the two patients both got {}?",
        ),
        ("Can {} be seen in both recordings?", "Do both recordings show {}?"),
        ("Does one find {} in both recordings?", "Is {} there in the first ECG as well as in the second?"),
    ),
    BOTH_QUERY: (
        (
            "What do the two ECGs have in common?",
            "Name all that is present in both ECGs.",
            "What do you see on the first tracing and on the second?",
            "Tell me what the two share.",
            "What have the two patients both got?",
            "List the findings that the two ECGs share.",
            "Which conditions do the two share?",
        ),
        ("Which findings are in both recordings?", "What can be seen in both ECGs?"),
        (
            "What does one find in both recordings?",
            "What is there in the first ECG as well as in the second?",
        ),
    ),
}  # fmt: skip


class KnownECG(NamedTuple):
    """An ECG of which the classes are known.

    Args:
        record, patient: their ids.
        classes: numbers of its classes.
    """

    record: str
    patient: str
    classes: frozenset[int]


class Drawn(NamedTuple):
    """A question; answers are numbers of classes, then yes and no."""

    type: str
    text: str
    ecgs: tuple[str, ...]
    answers: tuple[int, ...]
    valid: tuple[int, ...]


#: ECGs that are asked about together, and the classes that are true of them.
Case = tuple[tuple[KnownECG, ...], frozenset[int]]


class QuestionDrawing:
    """Draws the questions of one split.

    Args:
        ecgs: in their order; a patient's are in the order of time.
        names: of the classes.
        wordings: in which of the three.
        rng: what draws.
    """

    def __init__(
        self, ecgs: Sequence[KnownECG], names: Sequence[str], wordings: int, rng: np.random.Generator
    ):
        self.ecgs, self.names, self.wordings = ecgs, names, wordings
        self.rng, self.yes, self.no = rng, len(names), len(names) + 1

    def draw(self, per_ecg: int) -> Iterator[Drawn]:
        """About each ECG, each two of a patient in a row, and as many of strangers, one open question; and
        on average up to `per_ecg` of each other type."""
        single: list[Case] = [((ecg,), ecg.classes) for ecg in self.ecgs]
        yield from self._verify(SINGLE_VERIFY, single, per_ecg)
        yield from self._choose(per_ecg)
        yield from self._query(SINGLE_QUERY, single)
        of_patient: dict[str, list[KnownECG]] = {}
        for ecg in self.ecgs:
            of_patient.setdefault(ecg.patient, []).append(ecg)
        new: list[Case] = [
            ((first, second), second.classes - first.classes)
            for own in of_patient.values()
            for first, second in pairwise(own)
        ]
        yield from self._verify(NEW_VERIFY, new, per_ecg)
        yield from self._query(NEW_QUERY, new)
        both: list[Case] = [
            ((first, second), first.classes & second.classes)
            for first in self.ecgs
            if (second := self._other(first)).patient != first.patient
        ]
        yield from self._verify(BOTH_VERIFY, both, per_ecg)
        yield from self._query(BOTH_QUERY, both)

    def _other(self, ecg: KnownECG) -> KnownECG:
        """Any ECG; half of the time one that has a class of `ecg`, as few of any two have one in common."""
        alike = [other for other in self.ecgs if other.classes & ecg.classes]
        among = alike if alike and self.rng.random() < 0.5 else self.ecgs
        return among[int(self.rng.integers(len(among)))]

    def _verify(self, kind: str, cases: Sequence[Case], per_ecg: int) -> Iterator[Drawn]:
        """Whether each class is true: of as many cases yes as no, so that words alone tell nothing."""
        sides = [
            [[ecgs for ecgs, true in cases if (i in true) == is_true] for is_true in (True, False)]
            for i in range(len(self.names))
        ]
        most = -(-len(cases) * per_ecg // (2 * max(sum(all(side) for side in sides), 1)))
        for name, both in zip(self.names, sides):
            n = min(most, *map(len, both))
            for side, answer in zip(both, (self.yes, self.no)):
                for k in self.rng.choice(len(side), n, replace=False) if n else ():
                    yield self._asked(kind, side[k], (answer,), (self.yes, self.no), name)

    def _choose(self, per_ecg: int) -> Iterator[Drawn]:
        """Which of two classes, one of which is true three times of four."""
        known = sorted(set().union(*(ecg.classes for ecg in self.ecgs)))
        for ecg in self.ecgs if len(known) > 1 else ():
            for _ in range(per_ecg):
                there = sorted(ecg.classes)
                first = int(self.rng.choice(there if there and self.rng.random() < 0.75 else known))
                second = int(self.rng.choice([i for i in known if i != first]))
                pair = (first, second) if self.rng.random() < 0.5 else (second, first)
                answers = tuple(sorted(ecg.classes.intersection(pair)))
                names = (self.names[i] for i in pair)
                yield self._asked(SINGLE_CHOOSE, (ecg,), answers, tuple(sorted(pair)), *names)

    def _query(self, kind: str, cases: Sequence[Case]) -> Iterator[Drawn]:
        for ecgs, true in cases:
            yield self._asked(kind, ecgs, tuple(sorted(true)), tuple(range(len(self.names))))

    def _asked(
        self,
        kind: str,
        ecgs: tuple[KnownECG, ...],
        answers: tuple[int, ...],
        valid: tuple[int, ...],
        *asked: str,
    ) -> Drawn:
        wordings = WORDINGS[kind][self.wordings]
        text = wordings[int(self.rng.integers(len(wordings)))].format(*asked)
        return Drawn(kind, text, tuple(ecg.record for ecg in ecgs), answers, valid)
