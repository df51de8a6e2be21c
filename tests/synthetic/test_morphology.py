import numpy as np
import pytest

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS
from fairseq_signals.ecg.vcg import DOWER
from fairseq_signals.synthetic import morphology as shapes

TIME = np.arange(-0.15, 0.2, 0.001)


def lead(waves, name):
    return (DOWER @ waves.at(TIME))[INDEPENDENT_LEADS.index(name)]


@pytest.fixture(scope="module")
def adults():
    return [shapes.draw_morphology(np.random.default_rng(seed), female=seed % 2 == 0) for seed in range(40)]


def test_r_waves_grow_and_s_waves_shrink_from_v1_to_v5(adults):
    chest = [f"V{k}" for k in range(1, 7)]
    r = np.mean([[lead(m.qrs, name).max() for name in chest] for m in adults], axis=0)
    s = np.mean([[-lead(m.qrs, name).min() for name in chest] for m in adults], axis=0)
    assert np.all(np.diff(r[:4]) > 0)
    assert np.argmax(r) in (3, 4)
    assert np.argmax(s) in (0, 1)
    assert np.all(np.diff(s[1:]) < 0)


def test_healthy_qrs_is_narrow_with_a_normal_axis_and_voltage(adults):
    for m in adults:
        assert 0.06 < m.qrs.offset_s - m.qrs.onset_s < 0.12
        assert -30 < shapes.frontal_axis(m.qrs) < 90
        assert 0.79 < shapes.limb_voltage(m.qrs) < 2.01
        assert 0.12 < m.pr_s < 0.20


def test_healthy_p_and_t_are_upright_in_ii_and_avr_is_negative(adults):
    for m in adults:
        for waves in (m.p, m.t):
            assert lead(waves, "II").max() > -lead(waves, "II").min()
        assert lead(m.p, "II").max() < 0.35
        avr = -(lead(m.qrs, "I") + lead(m.qrs, "II")) / 2
        assert -avr.min() > avr.max()


def test_no_patient_is_as_another(adults):
    assert len({tuple(np.round(m.qrs.vector_mv.ravel(), 6)) for m in adults}) == len(adults)
    flat = [shapes.draw_morphology(np.random.default_rng(seed), True, spread=0.0) for seed in range(2)]
    np.testing.assert_allclose(flat[0].qrs.vector_mv, flat[1].qrs.vector_mv)


@pytest.mark.parametrize("degrees", [-75, -40, 0, 45, 90, 110, 140])
def test_axis_is_turned_to_where_it_is_asked(adults, degrees):
    for m in adults[:10]:
        turned = shapes.with_axis(m, degrees).qrs
        assert shapes.frontal_axis(turned) == pytest.approx(degrees, abs=0.51)
        assert 0.55 < shapes.limb_voltage(turned) < 1.81
        assert shapes.largest_deflection(turned, DOWER[2:]) < 2.41


def test_left_and_right_axis_show_in_leads_i_and_ii(adults):
    for m in adults:
        left, right = shapes.with_axis(m, -60).qrs, shapes.with_axis(m, 120).qrs
        assert lead(left, "I").sum() > 0 > lead(left, "II").sum()
        assert lead(right, "I").sum() < 0


def test_right_bundle_branch_block_ends_in_v1_upwards_and_in_v6_downwards(adults):
    for m in adults:
        block = shapes.right_bundle_branch_block(m, 1.0)
        assert block.qrs.offset_s - block.qrs.onset_s >= 0.12
        late = TIME > 0.055
        assert lead(block.qrs, "V1")[late].max() > 0.3
        assert lead(block.qrs, "V6")[late].min() < -0.15
        early = TIME < -0.01
        np.testing.assert_allclose(
            lead(block.qrs, "V1")[early], lead(m.qrs, "V1")[early], atol=1e-3
        )  # first forces as before


def test_left_bundle_branch_block_is_broad_down_in_v1_and_up_in_v6_with_opposite_t(adults):
    for m in adults:
        block = shapes.left_bundle_branch_block(m, np.random.default_rng(0), 1.0)
        assert block.qrs.offset_s - block.qrs.onset_s >= 0.12
        v1, v6 = lead(block.qrs, "V1"), lead(block.qrs, "V6")
        assert -v1.min() > 2 * v1.max()
        assert v6.max() > 0.3
        assert lead(block.t, "V1").max() > 0.15
        assert lead(block.t, "V6").min() < -0.05


def test_inverted_t_is_negative_where_it_was_positive(adults):
    for m in adults:
        inverted = shapes.inverted_t(m, 0.8)
        for name in ("I", "II", "V5", "V6"):
            assert lead(m.t, name).max() > 0.05
            assert lead(inverted.t, name).min() < -0.04


def test_low_voltage_is_as_low_as_asked_and_leaves_the_axis(adults):
    for m in adults:
        low = shapes.low_voltage(m, 0.4)
        assert shapes.limb_voltage(low.qrs) == pytest.approx(0.4, rel=1e-6)
        assert shapes.frontal_axis(low.qrs) == pytest.approx(shapes.frontal_axis(m.qrs))
