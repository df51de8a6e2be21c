"""Leads in the steps of 16 bits."""

import numpy as np
import pytest

from fairseq_signals.ecg.units import not_finite, offsets, quantise


def test_quantise_keeps_multiples_of_the_adc_step_and_rounds_the_rest():
    kept = quantise(np.array([-3.0, 0.0, 5.0]) * 0.005, 0.005)
    assert (kept.values.tolist(), kept.scale, kept.offset, kept.lossy) == ([-3, 0, 5], 0.005, 0, False)
    mv = np.array([-3.3, 0.0, 5.05])
    rounded = quantise(mv, 0.07)
    assert rounded.lossy
    assert rounded.offset == 0
    assert np.abs(rounded.mv() - mv).max() <= rounded.scale / 2


@pytest.mark.parametrize("lsb_mv", [0.0, 31e-6])
def test_a_large_offset_does_not_eat_the_resolution(lsb_mv):
    mv = 187.0 + np.sin(np.arange(2000) / 50)
    stored = quantise(mv, lsb_mv)
    assert stored.scale < 1e-4  # 0.1 uV; of the whole it would be 5.7 uV
    assert np.abs(stored.mv() - mv).max() <= stored.scale / 2 * (1 + 1e-9)
    assert offsets([stored]) == pytest.approx([187.0], abs=0.1)


def test_whole_steps_beyond_16_bits_are_exact_with_the_offset_taken_off():
    units = 6_000_000 + np.arange(-20_000, 20_000)
    stored = quantise(units * 31e-6, 31e-6)
    assert not stored.lossy
    np.testing.assert_allclose(stored.mv(), units * 31e-6, atol=1e-9)
    assert offsets([quantise(np.array([-1.0, 1.0]), 0.0)]) is None


@pytest.mark.parametrize(
    ("values", "what"),
    [([1.0, np.nan], "NaN"), ([-np.inf, 1.0], "inf"), ([np.inf, np.nan], "NaN and inf"), ([1, -9], "NaN")],
)
def test_what_stands_where_samples_are_missing_is_called_what_it_is(values, what):
    assert not_finite(np.array(values)) == what
