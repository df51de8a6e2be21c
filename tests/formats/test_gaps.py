"""Missing samples: what is filled, cut off, or costs a lead."""

import numpy as np
import pytest

from fairseq_signals.formats.gaps import Lead, mend

FS = 250.0  # 40 ms are 10 samples


@pytest.fixture
def ramp():
    return np.arange(10_000, dtype=np.int16)


def with_gaps(values, *slices, value=-(2**15)):
    out = values.copy()
    for gap in slices:
        out[gap] = value
    return Lead(out, value, FS)


def test_short_gaps_are_on_the_line_between_their_neighbours_and_told(ramp):
    mended = mend({"I": with_gaps(ramp, slice(50, 60), slice(90, 91)), "II": Lead(ramp, None, FS)})
    assert np.array_equal(mended.values["I"], ramp)
    assert mended.values["I"].dtype == np.int16
    assert mended.values["II"] is ramp
    assert mended.notes == ["I: 11 missing samples in 2 gaps interpolated"]
    assert not mended.reasons


@pytest.mark.parametrize("gaps", [[slice(50, 61)], [slice(k, k + 10) for k in range(100, 700, 100)]])
def test_longer_gaps_or_more_of_them_cost_the_lead_alone(ramp, gaps):
    mended = mend({"I": with_gaps(ramp, *gaps), "II": Lead(ramp, None, FS)})
    assert list(mended.values) == ["II"]
    assert "samples are missing" in mended.reasons["I"]


def test_floats_that_are_not_finite_or_too_large_are_missing(ramp):
    values = ramp.astype(float)
    values[[5, 700, 800]] = np.nan, np.inf, 1e36
    assert np.array_equal(mend({"I": Lead(values, None, FS)}).values["I"], ramp.astype(float))


def test_refusing_keeps_no_lead_with_a_gap_and_cuts_nothing_off(ramp):
    mended = mend({"I": with_gaps(ramp, slice(0, 3)), "II": Lead(ramp, None, FS)}, refuse=True)
    assert mended.reasons == {"I": "3 of 10000 samples are missing (NaN)"}
    assert not mended.notes


def test_ends_that_all_leads_lack_are_cut_off(ramp):
    ends = slice(0, 100), slice(9_000, None)
    mended = mend({"I": with_gaps(ramp, *ends), "II": with_gaps(ramp, *ends, slice(100, 105))})
    assert np.array_equal(mended.values["I"], ramp[100:9_000])
    assert len(mended.values["II"]) == 8_900
    assert mended.notes[0] == "0.4 s before and 4 s after the recording are cut off"


def test_a_padding_value_that_samples_have_too_is_padding_only_in_long_runs():
    wave = np.rint(50 * np.sin(np.arange(5_000) / 7)).astype(np.int16)  # passes 0 often
    short = Lead(wave, 0, FS)
    assert np.array_equal(mend({"I": short, "II": short}).values["I"], wave)
    mended = mend({"I": short, "II": with_gaps(wave, slice(1_000, 3_000), value=0)})
    assert list(mended.values) == ["I"]
    assert "2000 of 5000 samples" in mended.reasons["II"]
    ends = slice(0, 100), slice(4_800, None)
    mended = mend({name: with_gaps(wave * k, *ends, value=0) for name, k in (("I", 1), ("II", 2))})
    assert np.array_equal(mended.values["II"], 2 * wave[100:4_800])
