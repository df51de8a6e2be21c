"""Synthetic recordings: the twelve leads of one session of one patient.

A record is a pure function of (seed, patient, session): it does not depend on how many others are made, in
which order or by how many processes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fairseq_signals.synthetic import morphology as shapes
from fairseq_signals.synthetic import rhythm as rhythms
from fairseq_signals.synthetic.config import SNOMED_CODES, CorpusConfig
from fairseq_signals.synthetic.leadfield import ELECTRODES_TO_LEADS, shift_electrodes, to_adu
from fairseq_signals.synthetic.morphology import Morphology
from fairseq_signals.synthetic.noise import electrode_noise
from fairseq_signals.synthetic.patient import Patient, make_patient, patient_name
from fairseq_signals.synthetic.rhythm import Beats
from fairseq_signals.synthetic.waves import add_waves

ADC_GAIN = 1000.0  # adu/mV, as in PhysioNet/CinC 2021


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


def synthetic_ecg(person: int = 0, session: int = 0, rhythm: str | None = None) -> np.ndarray:
    """A made-up recording of a made-up person, for a first try: (12, 5000) float32 in mV, at 500 Hz.

    Args:
        person, session: whose, and which of theirs, from 0.
        rhythm: of it: NSR, SB, STach, SA, AF or AFL; by default one that the person may have.

    Raises:
        ConfigError: there is no such rhythm.
    """
    config = CorpusConfig() if rhythm is None else CorpusConfig(rhythms={rhythm: 1.0})
    return (make_record(config, person, session).adu / ADC_GAIN).astype(np.float32)


def _classes_of_session(
    config: CorpusConfig, patient: Patient, rng: np.random.Generator
) -> tuple[str, float, set[str]]:
    """Rhythm, rate (bpm) and further classes of one session."""
    rhythm = patient.usual_rhythm
    if rng.random() >= config.usual_rhythm:
        rhythm = str(rng.choice(list(config.rhythms), p=list(config.rhythms.values())))
    low, high = rhythms.RATES_BPM.get(rhythm, (60, 100))
    if rhythm in ("NSR", "SA"):
        rate = float(np.clip(patient.resting_bpm + rng.normal(0, 5), low, high))
    else:
        rate = low + (high - low) * float(np.clip(patient.traits[6] + rng.normal(0, 0.12), 0, 1))
    # sorted: the order of a set of strings differs between processes
    others = {name for name in sorted(patient.disorders) if rng.random() < config.disorder_shows}
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
            m, np.random.default_rng((trait * 2**32).astype(np.int64)), 0.85 + 0.45 * trait[1]
        )
    if "RBBB" in classes:
        m = shapes.right_bundle_branch_block(m, 0.75 + 0.6 * trait[1])
    if "TInv" in classes:
        m = shapes.inverted_t(m, 0.6 + 0.5 * trait[2])
    if "LQRSV" in classes:
        m = shapes.low_voltage(m, 0.28 + 0.15 * trait[3])
    else:  # whatever the disorders did, it is not low
        m = replace(m, qrs=shapes.within_limb_voltage(m.qrs, 0.65, np.inf))
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

    flutter_hz = 4.3 + 1.3 * float(np.clip(patient.traits[7] + rng.normal(0, 0.12), 0, 1))
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
    # QT follows the mean rate, and single intervals a little
    rate_rr = 0.7 * beats.rr_s.mean() + 0.3 * beats.rr_s
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
    turn = np.deg2rad(rng.uniform(2, 6)) * np.sin(phase)
    amplitude = 1 + rng.uniform(0.02, 0.08) * np.cos(phase)
    x, y = dipole[0].copy(), dipole[1].copy()
    dipole[0], dipole[1] = x - turn * y, y + turn * x
    dipole *= amplitude
