"""The recordings of a base that are nearest to one: their reports, and a vote over their codes.

ECG-report retrieval after Qiu et al. 2023 (PMLR 225:480); what a language model would be told of it after Yu
et al. 2023 (PMLR 225:650), without the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairseq_signals.ecg.record import Record
from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.claims import place_of
from fairseq_signals.inference.listing import ListedRecording
from fairseq_signals.manifest.labels import LabelTable
from fairseq_signals.metrics.identification import TIE_DECIMALS, l2_normalize
from fairseq_signals.safety.text import visible

_BLOCK_PAIRS = 2**23  # similarities computed at a time


@dataclass(frozen=True)
class Neighbour:
    """A recording of the base.

    Attributes:
        record, patient: what it is called, and whose it is; None: nothing says.
        similarity: cosine of its vector with the query's.
        codes: diagnosis codes, or the classes that they are of.
        report: statements about it; None: there are none.
    """

    record: str
    patient: str | None
    similarity: float
    codes: tuple[str, ...]
    report: str | None


@dataclass(frozen=True)
class Retrieved:
    """What is nearest to a query.

    Attributes:
        query: what it is called.
        patient: whose it is; None: nothing says, and nothing was left out as of the same patient.
        neighbours: the nearest first.
        votes: of each code of any neighbour, the share of them that have it; the largest first.
        facts: what its file tells of the query, in words.
    """

    query: str
    patient: str | None
    neighbours: tuple[Neighbour, ...]
    votes: dict[str, float]
    facts: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """All of it in plain containers."""
        rows = [{**vars(neighbour), "codes": list(neighbour.codes)} for neighbour in self.neighbours]
        return {"query": self.query, "patient": self.patient, "neighbours": rows, "votes": self.votes}


def nearest(
    queries: np.ndarray, base: np.ndarray, barred: Sequence[Sequence[int]], k: int
) -> Iterator[list[tuple[int, float]]]:
    """For each query the `k` nearest rows of a base, with their cosines; of equals the first in the base.

    Args:
        queries: (Q, D).
        base: (B, D).
        barred: (Q,) the rows that a query must not find; where too few are left, there are fewer.
    """
    rows, others = l2_normalize(queries, "query"), l2_normalize(base, "recording")
    step = max(1, _BLOCK_PAIRS // len(others))
    for start in range(0, len(rows), step):
        cosines = np.round(rows[start : start + step] @ others.T, TIE_DECIMALS)
        for found, out in zip(cosines, barred[start : start + step]):
            found[list(out)] = -np.inf
            order = np.argsort(-found, kind="stable")[: min(k, len(found) - len(out))]
            yield [(int(i), float(found[i])) for i in order]


def retrieve(
    queries: Sequence[ListedRecording],
    query_rows: np.ndarray,
    base: Sequence[ListedRecording],
    base_rows: np.ndarray,
    k: int,
    record_of: Callable[[Any], Record],
    labels: LabelTable | None = None,
) -> Iterator[Retrieved]:
    """What is nearest to each query among recordings of other patients, and not the query itself.

    Args:
        queries, base: recordings.
        query_rows, base_rows: their vectors, (Q, D) and (B, D).
        k: how many are looked for.
        record_of: reads the record of a source.
        labels: say classes in place of codes; codes of no class are not said.

    Raises:
        ConfigError: the base has nothing but the query's own.
    """
    order = np.argsort([named.name for named in base], kind="stable")  # ties go by name
    base, base_rows = [base[i] for i in order], base_rows[order]
    rows_of: dict[Any, set[int]] = {}
    for i, named in enumerate(base):
        for tie in _ties(named):
            rows_of.setdefault(tie, set()).add(i)
    barred = [sorted(set().union(*(rows_of.get(tie, ()) for tie in _ties(named)))) for named in queries]
    for named, found in zip(queries, nearest(query_rows, base_rows, barred, k)):
        if not found:
            raise ConfigError(f"{named.name}: the base has no recording of another patient")
        neighbours = []
        for i, similarity in found:
            record = record_of(base[i].source)
            codes = record.subject.codes if labels is None else _classes(labels, record.subject.codes)
            neighbours.append(Neighbour(base[i].name, base[i].patient, similarity, codes, record.report))
        counts = Counter(code for neighbour in neighbours for code in dict.fromkeys(neighbour.codes))
        votes = {code: n / len(neighbours) for code, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))}
        facts = tuple(facts_of(record_of(named.source)))
        yield Retrieved(named.name, named.patient, tuple(neighbours), votes, facts)


def facts_of(record: Record) -> Iterator[str]:
    """What a file tells of a recording, but for what is to be found out."""
    if record.subject.age is not None:
        yield f"age {record.subject.age:g} years"
    if record.subject.sex is not None:
        yield f"sex {record.subject.sex}"
    yield f"{record.n_samples / record.fs:g} s of leads {', '.join(record.leads)}"


def told(found: Retrieved) -> Iterator[str]:
    """The lines for people."""
    whose = "" if found.patient is None else f" (patient {found.patient})"
    yield visible(f"{found.query}{whose}")
    for rank, neighbour in enumerate(found.neighbours, 1):
        codes = ", ".join(neighbour.codes) or "no codes"
        what = f"{neighbour.record}  [{codes}]  {neighbour.report or '-'}"
        yield visible(f"{rank:4d}  {neighbour.similarity:.4f}  {what}")
    votes = ", ".join(f"{code} {share:.2f}" for code, share in found.votes.items())
    yield visible(f"vote: {votes or 'no codes'}")


def prompt(found: Retrieved, classes: Sequence[str] = ()) -> Iterator[str]:
    """The lines that a language model would be given: guidance, facts, what was retrieved, and the format.

    Args:
        found: what is nearest to a query.
        classes: what may be answered; none: any diagnosis.
    """
    yield "You read electrocardiograms. Decide what the ECG of this patient shows."
    if classes:
        yield f"Consider each of these: {', '.join(map(visible, classes))}."
    yield ""
    yield f"The ECG: {visible('; '.join(found.facts))}."
    yield ""
    yield (
        f"The {len(found.neighbours)} most similar ECGs of other patients, with the cosine of their "
        "representations:"
    )
    for rank, neighbour in enumerate(found.neighbours, 1):
        said = [f"report: {neighbour.report}"] if neighbour.report else []
        said += [f"diagnoses: {', '.join(neighbour.codes)}"] if neighbour.codes else []
        yield visible(f"{rank}. ({neighbour.similarity:.3f}) {'; '.join(said) or 'nothing is said of it'}")
    if found.votes:
        shares = ", ".join(f"{code} {share:.0%}" for code, share in found.votes.items())
        yield visible(f"Of these have: {shares}.")
    yield ""
    yield (
        'Answer in JSON: for each diagnosis {"diagnosis": ..., "present": true or false, '
        '"explanation": ...}. The reports are of other people: say so where they do not settle it.'
    )


def _classes(labels: LabelTable, codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(labels.names[c] for c in labels.targets(codes))


def _ties(named: ListedRecording) -> Iterator[tuple[str, Any]]:
    """By any of which two are one recording, or of one patient."""
    yield "name", named.name
    yield "place", place_of(named.source)
    if named.patient is not None:
        yield "patient", named.patient
