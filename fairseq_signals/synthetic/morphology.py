"""What a patient's heart looks like: the P, QRS and T waves, and what conduction disorders make of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fairseq_signals.ecg.vcg import DOWER, DOWER_12
from fairseq_signals.synthetic.waves import Waves, rotation_about

# (centre, rise, fall in ms; dipole in mV along X left, Y down, Z back). Centres of QRS waves are relative to
# the main deflection, those of P to its middle, those of T to its peak.
P = Waves.of(
    (-17, 18, 17, (0.045, 0.085, -0.045)),  # right atrium
    (17, 17, 19, (0.070, 0.060, 0.050)),  # left atrium
)
QRS = Waves.of(
    (-26, 9, 8, (-0.22, -0.06, -0.24)),  # septum
    (-9, 9, 9, (0.45, 0.35, -0.25)),  # apex
    (5, 10, 10, (0.75, 0.62, 0.45)),  # free wall of the left ventricle
    (27, 10, 11, (-0.18, -0.18, 0.42)),  # base
)
# How far each wave follows a turn of the axis; the last: a notch.
_QRS_TURN = np.array([1.0, 0.5, 1.0, 1.0, 1.0])
T = Waves.of(
    (0, 52, 36, (0.25, 0.20, -0.13)),
    (-60, 50, 45, (0.04, 0.03, -0.05)),  # upsloping ST
    (20, 25, 25, (0.03, 0.02, -0.02)),
)
U = Waves.of((165, 40, 45, (0.012, 0.012, -0.015)))

RBBB_TERMINAL = Waves.of((56, 13, 12, (-0.32, 0.05, -0.32)), (76, 15, 17, (-0.46, 0.02, -0.36)))
LBBB_QRS = Waves.of(
    (-34, 12, 12, (0.22, 0.12, 0.10)),
    (-6, 15, 15, (0.62, 0.36, 0.62)),
    (26, 15, 15, (0.42, 0.16, 0.90)),
    (54, 16, 17, (0.62, 0.20, 0.50)),
)
PVC_QRS = Waves.of(
    (-30, 24, 22, (0.35, 0.20, 0.15)), (12, 24, 26, (1.0, 0.55, 0.30)), (60, 22, 26, (0.55, 0.20, 0.20))
)
PVC_T = Waves.of((0, 75, 50, (-0.50, -0.24, -0.14)))


@dataclass(frozen=True)
class Morphology:
    """The waves of one patient in one state, and the intervals that place them.

    Attributes:
        p, ectopic_p, qrs, t: waves of a normally conducted beat; `ectopic_p` precedes atrial ectopic beats.
        pvc_qrs, pvc_t: waves of the patient's ventricular ectopic focus.
        pr_s: onset of P to onset of QRS at a RR interval of 1 s.
        qt_s: onset of QRS to end of T at a RR interval of 1 s (QTc).
        qt_exponent: QT = qt_s * RR ** qt_exponent (1/2 is Bazett's formula, 1/3 Fridericia's).
        f_direction, flutter_direction: (3,) unit-free dipole of fibrillatory and flutter waves.
    """

    p: Waves
    ectopic_p: Waves
    qrs: Waves
    t: Waves
    pvc_qrs: Waves
    pvc_t: Waves
    pr_s: float
    qt_s: float
    qt_exponent: float
    f_direction: np.ndarray
    flutter_direction: np.ndarray


def frontal_axis(qrs: Waves) -> float:
    """The mean electrical axis in degrees, from the net areas of QRS in leads I and aVF."""
    area_i, area_ii = DOWER[:2] @ qrs.area()
    return float(np.rad2deg(np.arctan2((area_ii - area_i / 2) * 2 / np.sqrt(3), area_i)))


def with_frontal_axis(qrs: Waves, degrees: float, follow: np.ndarray | float = 1.0) -> Waves:
    """The waves turned about the Z axis until the mean electrical axis is as asked (within half a degree).

    Args:
        follow: (K,) share of the turn that each wave makes, or one for all.
    """
    follow = np.broadcast_to(follow, len(qrs))
    for _ in range(40):  # leads I and aVF are not quite orthogonal in the dipole's space, hence steps
        error = (degrees - frontal_axis(qrs) + 180) % 360 - 180
        if abs(error) < 0.5:
            break
        turned = [rotation_about(2, 0.8 * error * share) @ v for share, v in zip(follow, qrs.vector_mv)]
        qrs = qrs.with_vectors(np.array(turned))
    return qrs


def largest_deflection(qrs: Waves, leads: np.ndarray) -> float:
    """The largest peak-to-peak QRS voltage among leads (L, 3), in mV."""
    signal = leads @ qrs.at(np.arange(qrs.onset_s - 0.02, qrs.offset_s + 0.02, 0.002))
    return float(np.ptp(signal, axis=1).max())


def limb_voltage(qrs: Waves) -> float:
    """The largest peak-to-peak QRS voltage among the six limb leads, in mV."""
    return largest_deflection(qrs, DOWER_12[:6])


def within_limb_voltage(qrs: Waves, low_mv: float, high_mv: float) -> Waves:
    """The waves scaled so that `limb_voltage` lies between the bounds."""
    voltage = limb_voltage(qrs)
    return qrs.scaled(float(np.clip(voltage, low_mv, high_mv)) / voltage)


def upright(t: Waves, at_least_mv: float = 0.10) -> Waves:
    """The T waves turned towards the usual direction until they are upright in I, II, V5 and V6."""
    for blend in np.linspace(0, 1, 6):
        main = (1 - blend) * t.vector_mv[0] + blend * T.vector_mv[0]
        if np.all(DOWER[[0, 1, 6, 7]] @ main >= at_least_mv):
            break
    vector = t.vector_mv.copy()
    vector[0] = main
    return t.with_vectors(vector)


def draw_morphology(rng: np.random.Generator, female: bool, spread: float = 1.0) -> Morphology:
    """The waves of one patient without any disorder.

    Args:
        spread: 1 for the usual differences between patients, 0 for none.
    """

    def turn(axis: int, sd: float) -> np.ndarray:
        return rotation_about(axis, rng.normal(0, sd * spread))

    size = np.exp(rng.normal(-0.08 if female else 0.04, 0.18 * spread))
    heart = turn(1, 12) @ turn(0, 8)  # rotation about the long axis moves the transition zone V3-V4
    axis = float(np.clip(rng.normal(45, 22 * spread), -15, 80))
    for _ in range(100):
        qrs = QRS.varied(rng, 0.28 * spread) + _notch(rng, spread)
        qrs = with_frontal_axis(qrs.rotated(heart).scaled(size), axis)
        if _is_healthy(qrs):
            break
    qrs = within_limb_voltage(qrs, 0.8, 2.0)
    t = T.varied(rng, 0.22 * spread).scaled(np.exp(rng.normal(0, 0.2 * spread))) + U.varied(rng, 0.3 * spread)
    t = upright(t.rotated(heart @ turn(2, 10) @ turn(1, 12)))
    p = P.varied(rng, 0.22 * spread).scaled(np.exp(rng.normal(0, 0.15 * spread))).rotated(turn(2, 12))
    ectopic_p = p.rotated(rotation_about(2, rng.choice([-1, 1]) * rng.uniform(70, 130)))
    focus = rotation_about(2, rng.uniform(-180, 180)) @ rotation_about(1, rng.uniform(-70, 70))
    return Morphology(
        p=p,
        ectopic_p=ectopic_p,
        qrs=qrs,
        t=t,
        pvc_qrs=PVC_QRS.varied(rng, 0.2).rotated(focus).scaled(size),
        pvc_t=PVC_T.varied(rng, 0.15).rotated(focus).scaled(size),
        pr_s=float(np.clip(rng.normal(0.155, 0.016), 0.125, 0.190)),
        qt_s=float(np.clip(rng.normal(0.412 if female else 0.402, 0.014), 0.37, 0.44)),
        qt_exponent=float(rng.uniform(0.30, 0.45)),
        f_direction=np.array([-0.40, 0.25, -0.65]) + rng.normal(0, 0.12, 3),
        flutter_direction=np.array([-0.10, -0.85, -0.35]) + rng.normal(0, 0.12, 3),
    )


def _is_healthy(qrs: Waves) -> bool:
    """Narrow, with a normal axis, down in aVR, and not so flat in the frontal plane that it has no axis."""
    x, y, z = qrs.area()
    avr = DOWER_12[3] @ qrs.at(np.arange(-0.08, 0.1, 0.002))
    return (
        0.065 < qrs.offset_s - qrs.onset_s < 0.115
        and -20 < frontal_axis(qrs) < 85
        and -avr.min() > avr.max()
        and np.hypot(x, y) > 0.6 * abs(z)
    )


def _notch(rng: np.random.Generator, spread: float) -> Waves:
    """A small notch or slur somewhere in QRS, which is where healthy people differ most."""
    center, width = rng.uniform(-20, 36), rng.uniform(5, 8)
    return Waves.of((center, width, width, tuple(rng.normal(0, 0.16 * spread, 3))))


def right_bundle_branch_block(m: Morphology, gain: float) -> Morphology:
    """Late forces to the right and front (rSR' in V1, broad S in I and V6), T opposite to them."""
    late = RBBB_TERMINAL.scaled(gain)
    t = m.t.with_vectors(m.t.vector_mv * np.array([1.0, 0.95, 0.5]))
    t += Waves.of((0, 55, 40, (0.10 * gain, 0.0, 0.20 * gain)))
    return replace(m, qrs=m.qrs + late, t=t, qt_s=m.qt_s + 0.025)


def left_bundle_branch_block(m: Morphology, rng: np.random.Generator, gain: float) -> Morphology:
    """Slow, notched forces to the left and back without a septal wave, T opposite to them."""
    qrs = LBBB_QRS.varied(rng, 0.14).scaled(gain)
    qrs += Waves(*(values[-1:] for values in vars(m.qrs).values()))
    t = m.t.scaled(0.35) + Waves.of((0, 70, 45, (-0.30 * gain, -0.08 * gain, -0.42 * gain)))
    return replace(m, qrs=with_frontal_axis(qrs, frontal_axis(m.qrs)), t=t, qt_s=m.qt_s + 0.04)


def with_axis(m: Morphology, degrees: float) -> Morphology:
    """QRS turned to an axis in the frontal plane; T follows by at most 15 degrees."""
    turn = (degrees - frontal_axis(m.qrs) + 180) % 360 - 180
    for follow in (_QRS_TURN, 1.0):  # all of QRS where the axis cannot be reached without its first part
        qrs = with_frontal_axis(m.qrs, degrees, follow)
        if abs(frontal_axis(qrs) - degrees) < 1:
            break
    qrs = within_limb_voltage(qrs, 0.8, 1.8)
    qrs = qrs.scaled(min(1.0, 2.4 / largest_deflection(qrs, DOWER[2:])))
    return replace(m, qrs=qrs, t=m.t.rotated(rotation_about(2, float(np.clip(turn / 4, -15, 15)))))


def inverted_t(m: Morphology, depth: float) -> Morphology:
    """T waves of the opposite sign."""
    return replace(m, t=m.t.scaled(-depth))


def low_voltage(m: Morphology, limb_mv: float) -> Morphology:
    """QRS so small that no limb lead exceeds `limb_mv` peak to peak; P and T shrink less."""
    gain = limb_mv / limb_voltage(m.qrs)
    soft = np.sqrt(gain)
    return replace(
        m, qrs=m.qrs.scaled(gain), t=m.t.scaled(soft), p=m.p.scaled(soft), ectopic_p=m.ectopic_p.scaled(soft)
    )
