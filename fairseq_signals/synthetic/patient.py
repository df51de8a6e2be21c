"""Synthetic patients: what does not change between recordings, and who has how many of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairseq_signals.synthetic.config import CorpusConfig, Subset
from fairseq_signals.synthetic.leadfield import patient_lead_field
from fairseq_signals.synthetic.morphology import Morphology, draw_morphology, largest_deflection


def patient_name(number: int) -> str:
    """The patient's id in the files, e.g. p00012."""
    return f"p{number:05d}"


@dataclass(frozen=True)
class Patient:
    """A person: what does not change between recordings."""

    number: int
    subset: Subset
    age: int
    female: bool
    morphology: Morphology
    lead_field: np.ndarray  # (8, 3)
    resting_bpm: float
    usual_rhythm: str
    disorders: frozenset[str]
    traits: np.ndarray  # (8,) uniform: how the patient's disorders look, how fast the heart beats in them
    n_sessions: int


@dataclass(frozen=True)
class PlannedRecord:
    """A record by name: which session of which patient it is, and in which subset."""

    subset: Subset
    record_id: str
    patient: int
    session: int

    @property
    def patient_id(self) -> str:
        return patient_name(self.patient)


def _pick(table: dict[str, float], level: float) -> str:
    """The entry of a table of probabilities in which a level in [0, 1) falls."""
    edges = np.cumsum(list(table.values()))
    return list(table)[int(np.searchsorted(edges / edges[-1], level, side="right"))]


def _balanced_levels(seed: int, number: int, n: int) -> np.ndarray:
    """n numbers in [0, 1), evenly spread over consecutive patients (Kronecker sequence with a random start).

    Independent draws would leave a small corpus with three or thirty patients of a disorder, by luck.
    """
    primes = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61])
    return (np.random.default_rng([seed, 0]).random(n) + number * np.sqrt(primes[:n])) % 1


def make_patient(config: CorpusConfig, number: int) -> Patient:
    """The patient of this number (from 0)."""
    rng = np.random.default_rng([config.seed, 1, number])
    level = _balanced_levels(config.seed, number, 3 + len(config.disorders))
    folder = _pick({subset.folder: subset.share for subset in config.subsets}, level[0])
    subset = next(subset for subset in config.subsets if subset.folder == folder)
    female = bool(rng.random() < 0.5)
    age = int(np.clip(rng.normal(60, 16), 18, 89))
    has = {name for (name, chance), u in zip(config.disorders.items(), level[3:]) if u < chance}
    for kept, dropped in (("RBBB", "LBBB"), ("LAD", "RAD"), ("RBBB", "TInv"), ("LBBB", "TInv")):
        if kept in has:
            has.discard(dropped)
    morphology = draw_morphology(rng, female, config.spread)
    lead_field = patient_lead_field(rng, config.spread)
    lead_field[2:] *= min(1.0, 3.2 / largest_deflection(morphology.qrs, lead_field[2:]))
    return Patient(
        number=number,
        subset=subset,
        age=age,
        female=female,
        morphology=morphology,
        lead_field=lead_field,
        resting_bpm=float(np.clip(rng.normal(74, 6), 63, 90)),
        usual_rhythm=_pick(config.rhythms, level[1]),
        disorders=frozenset(has),
        traits=rng.random(8),
        n_sessions=config.sessions[0] + int(level[2] * (config.sessions[1] - config.sessions[0] + 1)),
    )


def plan_records(config: CorpusConfig) -> list[PlannedRecord]:
    """All records of the corpus in order of patient and session, numbered within their subset."""
    following = {subset.folder: subset.first for subset in config.subsets}
    planned = []
    for number in range(config.patients):
        patient = make_patient(config, number)
        subset = patient.subset
        for session in range(patient.n_sessions):
            record_id = f"{subset.prefix}{following[subset.folder]:0{subset.digits}d}"
            following[subset.folder] += 1
            planned.append(PlannedRecord(subset, record_id, number, session))
    return planned
