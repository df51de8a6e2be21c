"""What a report says of a synthetic record: its rhythm, the other findings in any order, and a summary.

There are two wordings of each finding: that of training, and another one, of the same words, that training
does not see, for reports of test patients and for prompts. A report is a function of seed, patient, session
and wording; it draws nothing of what the signal is made of.
"""

from __future__ import annotations

import numpy as np

from fairseq_signals.errors import ConfigError
from fairseq_signals.synthetic.config import SNOMED_CODES, CorpusConfig
from fairseq_signals.synthetic.morphology import frontal_axis
from fairseq_signals.synthetic.record import SyntheticRecord

Phrases = dict[str, tuple[str, ...]]

#: Numbers in braces are measured: the rate per minute, PR in ms, the axis in degrees.
TRAINING: Phrases = {
    "NSR": ("normal sinus rhythm", "regular sinus rhythm", "sinus rhythm at a normal rate"),
    "SB": ("sinus bradycardia at a slow rate", "slow sinus rhythm", "bradycardic sinus rhythm"),
    "STach": ("sinus tachycardia at a fast rate", "fast sinus rhythm", "tachycardic sinus rhythm"),
    "SA": ("sinus arrhythmia with breathing", "irregular sinus rhythm", "phasic sinus rhythm"),
    "AF": ("atrial fibrillation with irregular response", "auricular fibrillation", "afib"),
    "AFL": ("atrial flutter with sawtooth waves", "auricular flutter", "flutter waves"),
    "IAVB": ("first degree av block with a long pr", "prolonged pr interval", "pr prolonged to {pr} ms"),
    "RBBB": ("rbbb", "complete block of the right bundle branch", "right bundle branch block, wide qrs"),
    "LBBB": ("lbbb", "complete block of the left bundle branch", "left bundle branch block, wide qrs"),
    "LAD": ("leftward axis", "axis deviation to the left", "axis is shifted left to {axis} degrees"),
    "RAD": ("rightward axis", "axis deviation to the right", "axis is shifted right to {axis} degrees"),
    "PVC": ("ventricular extrasystoles", "ventricular ectopic beats", "premature ventricular complexes"),
    "PAC": ("atrial extrasystoles", "atrial ectopic beats", "premature atrial complexes"),
    "TInv": ("inverted t waves", "t waves are inverted", "t wave inversion in several leads"),
    "LQRSV": ("low voltage in the limb leads", "small qrs complexes", "low qrs amplitude in all leads"),
    "normal": ("normal ecg", "within normal limits"),
    "abnormal": ("abnormal ecg", "pathological tracing"),
    "rate": ("ventricular rate {rate} per minute", "rate {rate} bpm"),
}
UNSEEN: Phrases = {
    "NSR": ("sinus rhythm", "sinus rhythm, regular rate"),
    "SB": ("sinus bradycardia", "sinus bradycardic rhythm"),
    "STach": ("sinus tachycardia", "sinus tachycardic rhythm"),
    "SA": ("sinus arrhythmia", "phasic sinus arrhythmia"),
    "AF": ("atrial fibrillation", "irregular atrial fibrillation"),
    "AFL": ("atrial flutter", "sawtooth atrial flutter"),
    "IAVB": ("first degree av block", "long pr interval"),
    "RBBB": ("right bundle branch block", "complete right bundle branch block"),
    "LBBB": ("left bundle branch block", "complete left bundle branch block"),
    "LAD": ("left axis deviation", "axis to the left"),
    "RAD": ("right axis deviation", "axis to the right"),
    "PVC": ("premature ventricular beats", "ventricular premature complexes"),
    "PAC": ("premature atrial beats", "atrial premature complexes"),
    "TInv": ("t wave inversion", "inversion of the t wave"),
    "LQRSV": ("low qrs amplitude", "low qrs voltage"),
    "normal": ("the ecg is normal",),
    "abnormal": ("the ecg is abnormal", "abnormal tracing"),
    "rate": ("ventricular rate is {rate}", "rate {rate} per minute"),
}
WORDINGS = {"training": TRAINING, "unseen": UNSEEN}
#: The wording of each split's reports.
WORDING_OF = {"train": "training", "valid": "training", "test": "unseen"}
RATE_TOLD = 0.25
#: Shares of reports with something that cleaning takes away.
EDITED, LOUD, STARRED, UNSUITABLE = 0.05, 0.05, 0.04, 0.03


def split_of(config: CorpusConfig, patient: int) -> str:
    """The split of a patient: of each ten by number, two are for tests and one is for validation."""
    block, place = divmod(patient, 10)
    rank = np.random.default_rng([config.seed, 4, block]).permutation(10)[place]
    return "test" if rank < 2 else "valid" if rank == 2 else "train"


def report_of(record: SyntheticRecord, config: CorpusConfig, wording: str) -> str:
    """The report of a record, lines joined with "; ".

    Args:
        wording: "training" or "unseen".

    Raises:
        ConfigError: there is no such wording.
    """
    if wording not in WORDINGS:
        raise ConfigError(f"wording must be one of {', '.join(WORDINGS)}, but is {wording!r} instead")
    rng = np.random.default_rng([config.seed, 3, record.patient, record.session])
    rhythm, *others = record.classes
    findings = [rhythm, *(others[i] for i in rng.permutation(len(others)))]
    if rng.random() < RATE_TOLD:
        findings.insert(1, "rate")
    findings.append("normal" if record.classes == ("NSR",) else "abnormal")
    numbers = measured(record)
    levels = rng.random(len(findings))
    phrases = (WORDINGS[wording][finding] for finding in findings)
    lines = [one[int(u * len(one))].format(**numbers) for one, u in zip(phrases, levels)]
    return _with_flaws("; ".join(lines), record, rng)


def measured(record: SyntheticRecord) -> dict[str, int]:
    """The numbers of a record: `rate` per minute, `pr` in ms, `axis` in degrees."""
    rr_s = float(np.diff(record.beats.time_s).mean())
    pr_s = record.morphology.pr_s * np.clip(rr_s, 0.35, 1.2) ** 0.2  # as the record was made
    axis = frontal_axis(record.morphology.qrs)
    return {"rate": round(60 / rr_s), "pr": round(pr_s * 1000), "axis": round(axis)}


def _with_flaws(report: str, record: SyntheticRecord, rng: np.random.Generator) -> str:
    """A report as some are published: loud, with marks, with a line on the recording, or with its labels."""
    edited, loud, starred, unsuitable = rng.random(4) < (EDITED, LOUD, STARRED, UNSUITABLE)
    if loud:
        report = report.upper()
    if starred:
        report = f"*** {report} ***"
    if unsuitable:
        report += f"; Lead(s) unsuitable for analysis: V{rng.integers(1, 7)}"
    if edited:
        report += f" Edit: {', '.join(f'{name} 100' for name in record.classes)}, (NDT)"
    return report


def prompts() -> list[tuple[str, str]]:
    """Class and text of every prompt: the findings in the wording that training does not see."""
    return [(name, text) for name in SNOMED_CODES for text in UNSEEN[name]]


def label_table() -> list[tuple[int, str, str, str]]:
    """The rows of a label table of the corpus: index, name in that wording, abbreviation, code."""
    return [(i, UNSEEN[name][0], name, code) for i, (name, code) in enumerate(SNOMED_CODES.items())]
