"""Between twelve leads and the vectorcardiogram: the Dower matrix, its inverse, and the rotation of a heart.

The vectorcardiogram is the cardiac dipole (X, Y, Z) over time. Axes are Frank's: X to the patient's left,
Y to the feet, Z to the back. The forward matrix is that of G. E. Dower, H. B. Machado, J. A. Osborne, "On
deriving the electrocardiogram from vectorcardiographic leads", Clin Cardiol 3:87-95, 1980.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS, complete_leads

_INDEPENDENT = [LEADS.index(name) for name in INDEPENDENT_LEADS]

#: (8, 3): leads = DOWER @ dipole, for the leads of INDEPENDENT_LEADS.
DOWER = np.array(
    [
        [0.632, -0.235, 0.059],  # I
        [0.235, 1.066, -0.132],  # II
        [-0.515, 0.157, -0.917],  # V1
        [0.044, 0.164, -1.387],  # V2
        [0.882, 0.098, -1.277],  # V3
        [1.213, 0.127, -0.601],  # V4
        [1.125, 0.127, -0.086],  # V5
        [0.831, 0.076, 0.230],  # V6
    ]
)

#: (12, 3): all twelve leads of a dipole, in canonical order.
DOWER_12 = complete_leads(DOWER)


@lru_cache(maxsize=2 ** len(LEADS))
def inverse_dower_12(present: tuple[bool, ...] = (True,) * len(LEADS)) -> np.ndarray:
    """The (3, 12) matrix that gives the dipole of twelve leads of which only some were recorded.

    It is the least-squares fit to the independent leads that are present, of least norm where they are fewer
    than three. Columns of absent and of derived leads are zeros. L. Edenbrandt and O. Pahlm, J Electrocardiol
    21:361-367, 1988, print the one of all leads, the inverse Dower matrix, to three decimals.
    """
    matrix = np.zeros((3, len(LEADS)))
    rows = [row for row, lead in enumerate(_INDEPENDENT) if present[lead]]
    matrix[:, [_INDEPENDENT[row] for row in rows]] = np.linalg.pinv(DOWER[rows])
    matrix.flags.writeable = False  # shared by all who ask
    return matrix


def rotation_matrix(angles_deg: Sequence[float] | np.ndarray) -> np.ndarray:
    """The (3, 3) matrix that turns a dipole about the axes X, then Y, then Z, each by the right-hand rule."""
    angles = np.deg2rad(np.asarray(angles_deg, dtype=np.float64))
    (cos_x, cos_y, cos_z), (sin_x, sin_y, sin_z) = np.cos(angles).tolist(), np.sin(angles).tolist()
    about_x = np.array([[1, 0, 0], [0, cos_x, -sin_x], [0, sin_x, cos_x]])
    about_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    about_z = np.array([[cos_z, -sin_z, 0], [sin_z, cos_z, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
