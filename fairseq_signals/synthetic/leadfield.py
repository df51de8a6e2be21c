"""From the cardiac dipole to twelve leads: lead field, electrodes and integers.

Axes are Frank's: X to the patient's left, Y to the feet, Z to the back. The lead field is the Dower matrix.
"""

from __future__ import annotations

import numpy as np

from fairseq_signals.ecg.leads import complete_leads
from fairseq_signals.ecg.vcg import DOWER

ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")


def _electrodes_to_leads() -> np.ndarray:
    """The (8, 9) matrix that turns electrode potentials into the independent leads."""
    matrix = np.zeros((8, 9))
    matrix[0, [0, 1]] = -1, 1  # I = LA - RA
    matrix[1, [0, 2]] = -1, 1  # II = LL - RA
    matrix[2:, :3] = -1 / 3  # chest leads against Wilson's central terminal
    matrix[2:, 3:] = np.eye(6)
    return matrix


ELECTRODES_TO_LEADS = _electrodes_to_leads()


def patient_lead_field(rng: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    """A patient's own (8, 3) lead field: the Dower matrix, seen through another thorax.

    The chest rows change smoothly from V1 to V6 (shape of the thorax, place of the heart in it) and together
    (distance to the heart); the limb rows change little, because limb electrodes are far away.
    """
    field = DOWER.copy()
    across = np.linspace(0, 1, 6)
    smooth = np.stack([np.cos(k * np.pi * across) for k in range(3)], axis=1)  # (6 electrodes, 3 shapes)
    weights = rng.normal(0, 0.12 * spread, (3, 3))
    norm = np.linalg.norm(field[2:], axis=1, keepdims=True)
    field[2:] += norm * (smooth @ weights)
    field[2:] *= np.exp(rng.normal(0, 0.15 * spread))
    field[:2] += rng.normal(0, 0.04 * spread, (2, 3))
    return field


def shift_electrodes(field: np.ndarray, rng: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    """The lead field of one session: chest electrodes glued a little beside where they were last time.

    Each electrode moves along the row of its neighbours by a fraction of their distance (the whole row by
    about 0.10, each alone by about 0.06) and a little up or down.
    """
    along = rng.normal(0, 0.10 * spread) + rng.normal(0, 0.06 * spread, 6)
    position = np.clip(np.arange(6) + along, 0, 5)
    moved = field.copy()
    for axis in range(3):
        moved[2:, axis] = np.interp(position, np.arange(6), field[2:, axis])
    moved[2:, 1] += rng.normal(0, 0.04 * spread) + rng.normal(0, 0.02 * spread, 6)
    moved[:2] += rng.normal(0, 0.01 * spread, (2, 3))
    return moved


def to_adu(independent_mv: np.ndarray, adc_gain: float = 1000.0) -> np.ndarray:
    """Twelve leads in ADC units, (12, T) int16 in canonical order, from the independent leads (8, T) in mV.

    I and II are rounded to even numbers, so that the halves in Goldberger's formulas are integers: I + III =
    II, aVR = -(I + II) / 2, aVL = (I - III) / 2 and aVF = (II + III) / 2 then hold in every sample, without
    a remainder. The price is a limb-lead resolution of 2 adu (2 uV at the usual gain).
    """
    # at most 16382, so that differences of two limb leads fit as well
    limb = 2 * np.clip(np.rint(independent_mv[:2] * (adc_gain / 2)), -8191, 8191)
    chest = np.clip(np.rint(independent_mv[2:] * adc_gain), -32767, 32767)
    return complete_leads(np.concatenate([limb, chest])).astype(np.int16)
