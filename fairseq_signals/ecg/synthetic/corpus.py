"""Synthetic patients and their recordings: who has what, and the twelve leads of each record.

A record is a pure function of (seed, patient, session): it does not depend on how many others are made, in which
order or by how many processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from fairseq_signals.ecg.synthetic import morphology as shapes
from fairseq_signals.ecg.synthetic import rhythm as rhythms
from fairseq_signals.ecg.synthetic.leadfield import (
    ELECTRODES_TO_LEADS,
    patient_lead_field,
    shift_electrodes,
    to_adu,
)
from fairseq_signals.ecg.synthetic.morphology import Morphology
from fairseq_signals.ecg.synthetic.noise import electrode_noise
from fairseq_signals.ecg.synthetic.rhythm import Beats
from fairseq_signals.ecg.synthetic.waves import add_waves
from fairseq_signals.errors import ConfigError

ADC_GAIN = 1000.0  # adu/mV, as in PhysioNet/CinC 2021

# The SNOMED CT codes of the PhysioNet/CinC 2021 label table.
SNOMED_CODES = {
    "NSR": "426783006",
    "SB": "426177001",
    "STach": "427084000",
    "SA": "427393009",
    "AF": "164889003",
    "AFL": "164890007",
    "IAVB": "270492004",
    "RBBB": "59118001",
    "LBBB": "164909002",
    "LAD": "39732003",
    "RAD": "47665007",
    "PVC": "427172004",
    "PAC": "284470004",
    "TInv": "59931005",
    "LQRSV": "251146004",
}


@dataclass(frozen=True)
class Subset:
    """One source of the corpus: folder, how its records are numbered, mains frequency, share of the patients."""

    folder: str
    prefix: str
    digits: int
    mains_hz: float
    share: float
    first: int = 1


SUBSETS = (
    Subset("WFDB_CPSC2018", "A", 4, 50.0, 0.15),
    Subset("WFDB_CPSC2018_2", "Q", 4, 50.0, 0.10),
    Subset("WFDB_PTBXL", "HR", 5, 50.0, 0.25),
    Subset("WFDB_Ga", "E", 5, 60.0, 0.20),
    Subset("WFDB_ChapmanShaoxing", "JS", 5, 50.0, 0.12),
    Subset("WFDB_Ningbo", "JS", 5, 50.0, 0.18, first=10647),
)


@dataclass(frozen=True)
class CorpusConfig:
    """What corpus to make.

    Attributes:
        patients: number of patients.
        sessions: fewest and most recordings of a patient; the number is uniform in between.
        seed: another seed gives other patients.
        fs: sampling rate, Hz.
        duration_s: length of a record.
        spread: how much patients differ; 1 as in adults, 0 makes all hearts alike but for their disorders.
        noise: factor of all noise; 0 gives clean signals.
        rhythms: probability of each rhythm in a session; sums to 1.
        disorders: probability that a patient who can have it does.
        subsets: the folders to spread patients over.
    """

    patients: int = 500
    sessions: tuple[int, int] = (1, 4)
    seed: int = 1
    fs: int = 500
    duration_s: float = 10.0
    spread: float = 1.0
    noise: float = 1.0
    rhythms: dict[str, float] = field(
        default_factory=lambda: {"NSR": 0.31, "SB": 0.14, "STach": 0.14, "SA": 0.12, "AF": 0.16, "AFL": 0.13}
    )
    disorders: dict[str, float] = field(
        default_factory=lambda: {
            "IAVB": 0.22,
            "RBBB": 0.13,
            "LBBB": 0.11,
            "LAD": 0.14,
            "RAD": 0.12,
            "PVC": 0.15,
            "PAC": 0.17,
            "TInv": 0.18,
            "LQRSV": 0.12,
        }
    )
    subsets: tuple[Subset, ...] = SUBSETS

    def __post_init__(self) -> None:
        low, high = self.sessions
        if self.patients < 1 or not 1 <= low <= high:
            raise ConfigError(
                f"patients must be >= 1 and sessions low..high with 1 <= low <= high, "
                f"but are {self.patients} and {low}..{high} instead"
            )
        if self.fs < 100 or self.duration_s < 2:
            raise ConfigError(
                f"fs must be >= 100 Hz and duration_s >= 2, but are {self.fs} and {self.duration_s} instead"
            )
        if abs(sum(self.rhythms.values()) - 1) > 1e-6:
            raise ConfigError(f"rhythms must sum to 1, but sum to {sum(self.rhythms.values())} instead")
        unknown = (set(self.rhythms) | set(self.disorders)) - set(SNOMED_CODES)
        if unknown:
            raise ConfigError(f"unknown classes {sorted(unknown)}; known: {', '.join(SNOMED_CODES)}")

    @property
    def n_samples(self) -> int:
        return round(self.fs * self.duration_s)


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
    traits: np.ndarray  # (6,) uniform, how the patient's disorders look
    n_sessions: int


@dataclass(frozen=True)
class SyntheticRecord:
    """One recording.

    Attributes:
        adu: (12, T) int16, canonical lead order, `ADC_GAIN` adu/mV, baseline 0.
        classes: abbreviations of what the record shows, keys of `SNOMED_CODES`.
        age: years, or None where the header says NaN.
        beats: the true beats inside the record.
        morphology: the true waves and intervals behind it.
        lead_field: (8, 3) of this session.
    """

    adu: np.ndarray
    fs: int
    classes: tuple[str, ...]
    age: int | None
    female: bool
    patient: int
    session: int
    beats: Beats
    morphology: Morphology
    lead_field: np.ndarray

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(SNOMED_CODES[name] for name in self.classes)

    @property
    def patient_id(self) -> str:
        return patient_name(self.patient)


def patient_name(number: int) -> str:
    """The patient's id in the files, e.g. p00012."""
    return f"p{number:05d}"


def make_patient(config: CorpusConfig, number: int) -> Patient:
    """The patient of this number (from 0)."""
    rng = np.random.default_rng([config.seed, 1, number])
    n_sessions = int(rng.integers(config.sessions[0], config.sessions[1] + 1))
    shares = np.array([subset.share for subset in config.subsets])
    subset = config.subsets[int(rng.choice(len(shares), p=shares / shares.sum()))]
    female = bool(rng.random() < 0.5)
    age = int(np.clip(rng.normal(60, 16), 18, 89))
    usual = str(rng.choice(list(config.rhythms), p=list(config.rhythms.values())))
    has = {name for name, chance in config.disorders.items() if rng.random() < chance}
    for kept, dropped in (("RBBB", "LBBB"), ("LAD", "RAD"), ("RBBB", "TInv"), ("LBBB", "TInv")):
        if kept in has:
            has.discard(dropped)
    morphology = shapes.draw_morphology(rng, female, config.spread)
    lead_field = patient_lead_field(rng, config.spread)
    lead_field[2:] *= min(1.0, 3.2 / shapes.largest_deflection(morphology.qrs, lead_field[2:]))
    return Patient(
        number=number,
        subset=subset,
        age=age,
        female=female,
        morphology=morphology,
        lead_field=lead_field,
        resting_bpm=float(np.clip(rng.normal(74, 8), 62, 95)),
        usual_rhythm=usual,
        disorders=frozenset(has),
        traits=rng.random(6),
        n_sessions=n_sessions,
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


def _classes_of_session(
    config: CorpusConfig, patient: Patient, rng: np.random.Generator
) -> tuple[str, float, set[str]]:
    """Rhythm, rate (bpm) and further classes of one session."""
    rhythm = patient.usual_rhythm
    if rng.random() < 0.6:
        rhythm = str(rng.choice(list(config.rhythms), p=list(config.rhythms.values())))
    low, high = rhythms.RATES_BPM.get(rhythm, (60, 100))
    if rhythm in ("NSR", "SA"):
        rate = float(np.clip(patient.resting_bpm + rng.normal(0, 7), low, high))
    else:
        rate = float(rng.uniform(low, high))
    others = {name for name in sorted(patient.disorders) if rng.random() < 0.9}  # a set's order is not fixed
    if rhythm not in ("NSR", "SB", "SA") or rate > 90:
        others.discard("IAVB")
    if rhythm not in ("NSR", "SB", "STach"):
        others.discard("PAC")
    if rhythm in ("SA", "AFL") or "PAC" in others:
        others.discard("PVC")
    return rhythm, rate, others


def _with_disorders(patient: Patient, classes: set[str], rng: np.random.Generator) -> Morphology:
    m, trait = patient.morphology, patient.traits
    if "LAD" in classes:
        m = shapes.with_axis(m, -35 - 35 * trait[0])
    if "RAD" in classes:
        m = shapes.with_axis(m, 105 + 40 * trait[0])
    if "LBBB" in classes:
        m = shapes.left_bundle_branch_block(
            m, np.random.default_rng([patient.number, 7]), 0.85 + 0.45 * trait[1]
        )
    if "RBBB" in classes:
        m = shapes.right_bundle_branch_block(m, 0.75 + 0.6 * trait[1])
    if "TInv" in classes:
        m = shapes.inverted_t(m, 0.6 + 0.5 * trait[2])
    if "LQRSV" in classes:
        m = shapes.low_voltage(m, 0.28 + 0.15 * trait[3])
    if "IAVB" in classes:
        m = replace(m, pr_s=0.23 + 0.09 * trait[4])
    return replace(m, pr_s=m.pr_s + rng.normal(0, 0.004))


def make_record(
    config: CorpusConfig, number: int, session: int, patient: Patient | None = None
) -> SyntheticRecord:
    """One recording of one patient.

    Args:
        number, session: from 0; a session beyond the patient's `n_sessions` is as valid as any other.
        patient: `make_patient(config, number)` if the caller has it already.
    """
    patient = make_patient(config, number) if patient is None else patient
    rng = np.random.default_rng([config.seed, 2, number, session])
    rhythm, rate, others = _classes_of_session(config, patient, rng)
    m = _with_disorders(patient, others, rng)
    gain = np.exp(rng.normal(0, 0.05))
    lead_field = shift_electrodes(patient.lead_field, rng) * gain
    respiration_hz = rng.uniform(0.16, 0.33)

    flutter_hz = rng.uniform(4.3, 5.6)
    if rhythm == "AF":
        beats = rhythms.fibrillation_beats(rng, rate, config.duration_s)
    elif rhythm == "AFL":
        beats = rhythms.flutter_beats(rng, flutter_hz, config.duration_s)
    else:
        beats = rhythms.sinus_beats(rng, rhythm, rate, config.duration_s, respiration_hz)
    for name, kind in (("PVC", "V"), ("PAC", "A")):
        if name in others:
            beats = rhythms.add_ectopics(beats, kind, rng, config.duration_s, chance=rng.uniform(0, 0.15))

    dipole = ventricular_and_sinus_dipole(m, beats, config.n_samples, config.fs)
    if rhythm == "AF":
        waves = rhythms.fibrillatory_waves(rng, config.n_samples, config.fs, rng.uniform(0.035, 0.085))
        dipole += m.f_direction[:, None] * waves[0] + 0.5 * m.f_direction[[1, 2, 0], None] * waves[1]
    if rhythm == "AFL":
        amplitude = rng.uniform(0.09, 0.17)
        dipole += m.flutter_direction[:, None] * rhythms.flutter_wave(
            beats, flutter_hz, config.n_samples, config.fs, amplitude
        )
    _breathe(dipole, rng, respiration_hz, config.fs)

    leads_mv = lead_field @ dipole
    noise = electrode_noise(rng, config.n_samples, config.fs, patient.subset.mains_hz, config.noise)
    adu = to_adu(leads_mv + ELECTRODES_TO_LEADS @ noise, ADC_GAIN)
    return SyntheticRecord(
        adu=adu,
        fs=config.fs,
        classes=(rhythm, *(name for name in SNOMED_CODES if name in others)),
        age=patient.age if patient.traits[5] > 0.02 else None,
        female=patient.female,
        patient=number,
        session=session,
        beats=beats.within(config.duration_s),
        morphology=m,
        lead_field=lead_field,
    )


def ventricular_and_sinus_dipole(m: Morphology, beats: Beats, n_samples: int, fs: float) -> np.ndarray:
    """The dipole (3, T) of P, QRS and T of all beats, in mV."""
    dipole = np.zeros((3, n_samples))
    normal, premature = beats.kind != "V", beats.kind == "A"
    rate_rr = (
        0.7 * beats.rr_s.mean() + 0.3 * beats.rr_s
    )  # QT follows the mean rate, and single intervals a little
    stretch = np.clip(rate_rr, 0.35, 1.6) ** m.qt_exponent
    pr = m.pr_s * np.clip(rate_rr, 0.35, 1.2) ** 0.2

    onset = m.qrs.onset_s
    for ectopic, p in ((False, m.p), (True, m.ectopic_p)):
        rows = beats.has_p & (premature == ectopic)
        add_waves(dipole, fs, beats.time_s[rows] + onset - pr[rows] - p.onset_s, p)
    add_waves(dipole, fs, beats.time_s[normal], m.qrs)
    t_peak = onset + stretch * (m.qt_s - m.t.fall_s[0] * 2)
    add_waves(dipole, fs, (beats.time_s + t_peak)[normal], m.t, stretch[normal])

    add_waves(dipole, fs, beats.time_s[~normal], m.pvc_qrs)
    pvc_peak = m.pvc_qrs.onset_s + stretch * (m.qt_s + 0.05 - m.pvc_t.fall_s[0] * 2)
    add_waves(dipole, fs, (beats.time_s + pvc_peak)[~normal], m.pvc_t, stretch[~normal])
    return dipole


def _breathe(dipole: np.ndarray, rng: np.random.Generator, respiration_hz: float, fs: float) -> None:
    """Respiration turns the heart in the frontal plane by some degrees and changes the amplitude a little."""
    phase = 2 * np.pi * respiration_hz * np.arange(dipole.shape[1]) / fs + rng.uniform(0, 2 * np.pi)
    turn = np.deg2rad(rng.uniform(1, 4)) * np.sin(phase)
    amplitude = 1 + rng.uniform(0.01, 0.05) * np.cos(phase)
    x, y = dipole[0].copy(), dipole[1].copy()
    dipole[0], dipole[1] = x - turn * y, y + turn * x
    dipole *= amplitude
