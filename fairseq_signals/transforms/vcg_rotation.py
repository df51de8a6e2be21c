"""Rotation and scaling of the heart's dipole, the spatial half of 3KG.

B. Gopal, R. W. Han, G. Raghupathi, A. Y. Ng, G. H. Tison, P. Rajpurkar, "3KG: Contrastive Learning of 12-Lead
Electrocardiograms using Physiologically-Inspired Augmentations", ML4H 2021, arXiv:2106.04452.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fairseq_signals.ecg.vcg import DOWER_12, inverse_dower_12, rotation_matrix
from fairseq_signals.transforms.noise import leads_of_zeros
from fairseq_signals.transforms.params import check_between, check_range, check_types


def change_vcg(signal_mv: np.ndarray, matrix: np.ndarray, keep_residual: bool = True) -> np.ndarray:
    """Twelve leads (12, T) after a linear change of their vectorcardiogram by a (3, 3) matrix M.

    With D the Dower matrix and X = D^-1 x the dipole that fits the independent leads best: x + D (M - 1) X
    where `keep_residual`, else D M X. The derived limb leads change by what follows from I and II. The dipole
    is estimated from the leads that have a signal; one of zeros stays so.

    Args:
        signal_mv: the leads x.
        matrix: M.
        keep_residual: keep what no dipole explains, so that M = 1 changes nothing.
    """
    zeros = leads_of_zeros(signal_mv)
    dipole = inverse_dower_12(tuple((~zeros).tolist())).astype(signal_mv.dtype) @ signal_mv
    effect = DOWER_12 @ (matrix - np.eye(3) if keep_residual else matrix)  # (12, 3)
    effect[zeros] = 0.0
    changed = effect.astype(signal_mv.dtype) @ dipole
    return changed + signal_mv if keep_residual else changed


@dataclass(frozen=True)
class VCGRotation:
    """Turns the dipole about X, then Y, then Z, and scales it along each axis.

    Args:
        max_angle_deg: each angle is uniform between minus this and this.
        min_scale, max_scale: range of each axis' factor, uniform.
        keep_residual: see `change_vcg`; 3KG itself keeps the dipole alone.

    Raises:
        ConfigError: a value out of range; names the key.
    """

    name: ClassVar[str] = "vcg_rotation"
    max_angle_deg: float = 45.0
    min_scale: float = 1.0
    max_scale: float = 1.5
    keep_residual: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_between(self, "max_angle_deg", 0, 180)
        check_range(self, "min_scale", "max_scale")

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A random (3, 3) matrix: rotation, then scaling."""
        angles = rng.uniform(-self.max_angle_deg, self.max_angle_deg, 3)
        scales = rng.uniform(self.min_scale, self.max_scale, 3)
        return scales[:, None] * rotation_matrix(angles)

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return change_vcg(signal_mv, self.draw(rng), self.keep_residual)
