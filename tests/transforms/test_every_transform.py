"""What holds for each transform that a configuration can name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.ecg.leads import complete_leads
from fairseq_signals.errors import ConfigError
from fairseq_signals.transforms.build import RANDOM_LEAD_MASKING, TRANSFORMS, build_transform
from fairseq_signals.transforms.params import parameters_of

NOISES = ("powerline_noise", "emg_noise", "baseline_wander", "baseline_shift")
PHYSICAL = (*NOISES, "vcg_rotation")
WITH_PARAMETERS = sorted(set(TRANSFORMS) - {RANDOM_LEAD_MASKING})


def changed(name, signal, seed=0, **parameters) -> np.ndarray:
    return build_transform(name, 500.0, parameters)(signal, np.random.default_rng(seed))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("n_samples", [1, 7, 2500])
def test_a_changed_copy_is_returned_and_the_input_stays_as_it_is(name, n_samples, segment):
    signal = segment(3, n_samples)
    before = signal.copy()
    signal.flags.writeable = False
    result = changed(name, signal)
    assert result.shape == signal.shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert np.array_equal(signal, before)
    assert not np.shares_memory(result, signal)
    if n_samples == 2500:
        assert not np.array_equal(result, signal)


@pytest.mark.parametrize("name", TRANSFORMS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), absent=st.sets(st.integers(0, 11)))
def test_an_absent_lead_stays_zeros(name, segment, seed, absent):
    signal = segment(seed, 50)
    signal[list(absent)] = 0.0
    assert not changed(name, signal, seed)[list(absent)].any()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_generator_alone_decides(name, segment):
    signal = segment()
    assert np.array_equal(changed(name, signal, seed=5), changed(name, signal, seed=5))
    assert not np.array_equal(changed(name, signal, seed=5), changed(name, signal, seed=6))


@pytest.mark.parametrize("name", PHYSICAL)
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_limb_relations_hold_after_what_keeps_them(name, segment, limb_error, seed):
    keep = {} if name == "vcg_rotation" else {"keep_dependency": True}
    result = changed(name, segment(seed, 200), seed, **keep)
    assert limb_error(result) < 5e-6


@pytest.mark.parametrize("name", NOISES)
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_the_dependency_noise_breaks_them(name, segment, limb_error, seed):
    # amplitudes away from zero, and every sample shifted
    strong = {"min_amplitude_mv": 0.2, "keep_dependency": False}
    if name == "baseline_shift":
        strong.update(span_mean=1.0, span_sd=0.0)
    signal = segment(seed, 200)
    assert limb_error(changed(name, signal, seed, **strong)) > 1e-3


@pytest.mark.parametrize("name", NOISES)
def test_with_the_dependency_the_noise_of_the_chest_leads_is_not_touched(name, segment):
    signal = np.full((12, 500), 1.0, np.float32)
    noise = changed(name, signal, keep_dependency=True, min_amplitude_mv=0.1) - signal
    independent = np.concatenate([noise[:2], noise[6:]])
    assert independent.any(axis=1).all()
    np.testing.assert_allclose(noise, complete_leads(independent), atol=1e-6)


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_every_parameter_may_be_given_and_its_default_changes_nothing(name, segment):
    defaults = {key: field.default for key, field in parameters_of(TRANSFORMS[name]).items()}
    assert defaults
    assert np.array_equal(changed(name, segment(), **defaults), changed(name, segment()))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("powerline_noise", {"max_amplitude_mv": -1}, r"max_amplitude_mv must be at least 0, but is -1"),
        ("powerline_noise", {"min_amplitude_mv": 1}, "min_amplitude_mv must be at most max_amplitude_mv = 0"),
        ("powerline_noise", {"frequency_hz": 0}, "frequency_hz must be above 0 and below 250"),
        ("powerline_noise", {"n_harmonics": 5}, "frequency_hz must be .* below 50 .*is 50"),
        ("powerline_noise", {"n_harmonics": 0}, "n_harmonics must be at least 1, but is 0"),
        ("powerline_noise", {"n_harmonics": 1.5}, "n_harmonics must be an integer, but is 1.5"),
        ("powerline_noise", {"keep_dependency": 1}, "keep_dependency must be true or false, but is 1"),
        ("emg_noise", {"max_amplitude_mv": "high"}, "max_amplitude_mv must be a number, but is 'high'"),
        ("emg_noise", {"max_amplitude_mv": True}, "max_amplitude_mv must be a number, but is True"),
        ("emg_noise", {"max_amplitude_mv": float("nan")}, "max_amplitude_mv must be a number, but is nan"),
        ("emg_noise", {"max_amplitude_mv": None}, "max_amplitude_mv must be a number, but is None"),
        ("baseline_wander", {"max_frequency_hz": 300}, r"max_frequency_hz must be in \[0, 250\], but is 300"),
        ("baseline_wander", {"n_components": 0}, "n_components must be at least 1"),
        ("baseline_wander", {"n_components": True}, "n_components must be an integer, but is True"),
        ("baseline_wander", {"lead_factor_sd": -0.5}, "lead_factor_sd must be at least 0"),
        ("baseline_wander", {"lead_factor_mean": "x"}, "lead_factor_mean must be a number"),
        ("baseline_shift", {"span_mean": 1.5}, r"span_mean must be in \[0, 1\], but is 1.5"),
        ("baseline_wander", {"frequencies": "x"}, "frequencies must be one of independent, harmonics"),
        ("baseline_wander", {"frequencies": 3}, "frequencies must be a word, but is 3"),
        (
            "baseline_wander",
            {"frequencies": "harmonics", "max_frequency_hz": 90},
            r"max_frequency_hz must be in \[0, 83.3333\], but is 90",
        ),
        ("baseline_shift", {"amplitudes": "own"}, "amplitudes must be one of common, each_lead"),
        ("baseline_shift", {"span": "whole"}, "span must be one of normal, uniform"),
        ("baseline_shift", {"span_sd": -0.1}, "span_sd must be at least 0"),
        ("vcg_rotation", {"max_angle_deg": 200}, r"max_angle_deg must be in \[0, 180\], but is 200"),
        ("vcg_rotation", {"min_scale": 2}, "min_scale must be at most max_scale = 1.5, but is 2"),
        ("vcg_rotation", {"keep_residual": "no"}, "keep_residual must be true or false, but is 'no'"),
        ("time_mask", {"mask_ratio": 1.1}, r"mask_ratio must be in \[0, 1\], but is 1.1"),
    ],
)  # fmt: skip
def test_a_parameter_that_makes_no_sense_is_refused_by_its_key(name, parameters, message):
    with pytest.raises(ConfigError, match=rf"task\.perturbation_params\.{name}\.{message}"):
        build_transform(name, 500.0, parameters)
