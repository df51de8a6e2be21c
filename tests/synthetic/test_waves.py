import numpy as np
import pytest

from fairseq_signals.synthetic.waves import Waves, add_waves, rotation_about

FS = 500.0


@pytest.fixture
def waves() -> Waves:
    return Waves.of((-20, 10, 5, (1.0, 0.0, 0.0)), (30, 8, 16, (0.0, -2.0, 0.5)))


def test_add_waves_equals_evaluating_every_beat_everywhere(waves):
    at_s, time = np.array([0.3, 0.9, 1.75]), np.arange(1000) / FS
    dipole = np.zeros((3, 1000))
    add_waves(dipole, FS, at_s, waves)
    slow = sum(waves.at(time - at) for at in at_s)
    np.testing.assert_allclose(dipole, slow, atol=2 * np.exp(-8) * 2)


def test_stretch_moves_centres_and_widths_together(waves):
    dipole, time = np.zeros((3, 600)), np.arange(600) / FS
    add_waves(dipole, FS, np.array([0.6]), waves, stretch=np.array([1.5]))
    np.testing.assert_allclose(dipole, waves.at((time - 0.6) / 1.5), atol=2 * np.exp(-8) * 2)


def test_a_beat_across_the_edge_is_cut_there(waves):
    whole, edge = np.zeros((3, 1000)), np.zeros((3, 500))
    add_waves(whole, FS, np.array([1.0]), waves)
    add_waves(edge, FS, np.array([1.0]), waves)
    np.testing.assert_array_equal(edge, whole[:, :500])
    outside = np.zeros((3, 500))
    add_waves(outside, FS, np.array([-5.0, 7.0]), waves)
    assert not outside.any()


def test_rise_and_fall_have_their_own_widths(waves):
    first = Waves.of((0, 10, 5, (1.0, 0.0, 0.0)))
    np.testing.assert_allclose(first.at(np.array([-0.010, 0.0, 0.005]))[0], np.exp([-0.5, 0, -0.5]))
    assert first.onset_s == pytest.approx(-0.020)
    assert first.offset_s == pytest.approx(0.010)


def test_area_is_proportional_to_the_integral_of_the_dipole(waves):
    time = np.arange(-1000, 1000) / 5000
    integral = waves.at(time).sum(axis=1) / 5000
    np.testing.assert_allclose(waves.area() * np.sqrt(np.pi / 2), integral, rtol=1e-3, atol=1e-6)


def test_rotation_about_z_turns_left_towards_the_feet():
    np.testing.assert_allclose(rotation_about(2, 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_about(1, 30) @ rotation_about(1, -30), np.eye(3), atol=1e-12)
