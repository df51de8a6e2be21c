"""Leads in the steps of 16 bits."""

import numpy as np
import pytest

from fairseq_signals.ecg.units import millivolt_per, not_finite, offsets, quantise, stacked


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
    ("units", "mv"),
    [
        ("\xb5V \u03bcV uV \xc2\xb5V \xce\xbcV \xc3\u201a\xc2\xb5V \xe6V \ufffdV &micro;V &#181;v", 1e-3),
        ("\u33b6 \u043c\u043a\u0412", 1e-3),
        ("mV MV \uff4d\uff36 \u33b7 \u043c\u0412 \u043cV", 1.0),
        ("V volt", 1e3),
        ("\u03a9 \xb0C \xb5 \xb5mV % mmHg", None),
    ],
)
def test_the_micro_sign_is_known_however_it_was_encoded(units, mv):
    assert [millivolt_per(unit) for unit in units.split()] == [mv] * len(units.split())


@pytest.mark.parametrize(
    ("values", "what"),
    [([1.0, np.nan], "NaN"), ([-np.inf, 1.0], "inf"), ([np.inf, np.nan], "NaN and inf"), ([1, -9], "NaN")],
)
def test_what_stands_where_samples_are_missing_is_called_what_it_is(values, what):
    assert not_finite(np.array(values)) == what


def test_rows_are_stacked_whatever_their_numbers_lie_in():
    data = np.arange(24, dtype="<i2").tobytes()
    rows = [np.frombuffer(data[k : k + 12], "<i2") for k in range(0, 48, 12)]
    np.testing.assert_array_equal(stacked(rows), np.arange(24).reshape(4, 6))
    whole = np.zeros((2, 2**20), np.int16)
    assert stacked(list(whole)) is whole
