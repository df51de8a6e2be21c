"""Channels of any format become the leads of a record."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.ecg.leads import CHEST_LEADS, INDEPENDENT_LEADS, LEADS, derive_limb_leads
from fairseq_signals.errors import SignalError
from fairseq_signals.formats import assemble as assembling
from fairseq_signals.formats.assemble import NO_GAIN, Channel, assemble
from fairseq_signals.formats.options import ReadOptions, read_options

RNG = np.random.default_rng(0)


def channel(name, values=None, mv_per_unit=0.005, **more):
    values = RNG.integers(-900, 900, 50).astype(np.int16) if values is None else np.asarray(values)
    return Channel(name, values, mv_per_unit, **more)


def test_leads_are_found_by_name_and_put_in_order():
    channels = [channel("V2"), channel("PULSE"), channel("ecg ii"), channel("Lead I")]
    record = assemble("r", 500, channels)
    assert record.leads == ("I", "II", "V2")
    assert [note.lead for note in record.ignored] == ["PULSE"]
    np.testing.assert_array_equal(record.signal[2], channels[0].values)
    assert record.scale.tolist() == [0.005] * 3
    assert not record.requantised
    assert not record.derived


def test_the_other_limb_leads_follow_from_the_eight_independent_ones_without_loss():
    channels = [channel(name) for name in INDEPENDENT_LEADS]
    record = assemble("r", 500, channels)
    assert record.leads == LEADS
    assert record.derived == ("III", "aVR", "aVL", "aVF")
    assert not record.requantised
    i, ii = (channels[k].values * 0.005 for k in (0, 1))
    np.testing.assert_allclose(record.signal_mv()[:6], derive_limb_leads(i, ii), atol=1e-12)
    assert record.scale[2] == 0.005


def test_limb_leads_that_the_file_has_are_not_computed():
    constant = channel("III", np.zeros(50, np.int16))
    record = assemble("r", 500, [*map(channel, INDEPENDENT_LEADS), constant])
    assert record.derived == ("aVR", "aVL", "aVF")
    assert "III" not in record.leads
    assert record.faults[0] == ("III", "constant at 0 mV")


def test_nothing_is_computed_for_a_file_that_names_all_twelve(monkeypatch):
    monkeypatch.delattr(assembling, "derive_limb_leads")
    assert assemble("r", 500, [*map(channel, LEADS)]).derived == ()


@pytest.mark.parametrize("n_samples", [50, 2**15])
def test_values_are_kept_whether_channels_are_alike_or_not(n_samples):
    ramp = np.arange(n_samples) % 997
    kinds = [np.int16, np.int32, ">i2", np.uint8, np.float64]
    channels = [channel(lead, (ramp % 200).astype(kind)) for lead, kind in zip(LEADS, kinds)]
    record = assemble("r", 500, channels)
    assert len(record.leads) == len(kinds)
    np.testing.assert_array_equal(record.signal, np.tile(ramp % 200, (len(kinds), 1)))
    alike = assemble("r", 500, [channel(lead, ramp.astype(np.int32)) for lead in LEADS])
    np.testing.assert_array_equal(alike.signal, np.tile(ramp, (12, 1)))


@pytest.mark.parametrize("names", [("I", "II"), ("II", *CHEST_LEADS), ("I", "II", *CHEST_LEADS[:5])])
def test_nothing_is_computed_when_a_file_has_less_than_the_eight(names):
    assert assemble("r", 500, [channel(name) for name in names]).leads == names


def test_nothing_is_computed_from_a_lead_that_cannot_be_used():
    flat = [channel("I", np.full(50, 7)), *map(channel, INDEPENDENT_LEADS[1:])]
    assert assemble("r", 500, flat).leads == INDEPENDENT_LEADS[1:]


@pytest.mark.parametrize(("apart", "reason"), [(0, "constant at 0 mV"), (1600, "constant at 25 mV")])
def test_a_computed_lead_that_is_constant_is_noted(apart, reason):
    lead_i = channel("I", mv_per_unit=2**-6)
    lead_ii = channel("II", lead_i.values + apart, mv_per_unit=2**-6)
    record = assemble("r", 500, [lead_i, lead_ii, *map(channel, CHEST_LEADS)])
    assert record.derived == ("aVR", "aVL", "aVF")
    assert ("III", reason) in record.faults


@given(st.lists(st.tuples(st.integers(-32767, 32767), st.integers(-32767, 32767)), min_size=2, max_size=20))
def test_computed_leads_are_right_to_half_a_step_whatever_the_values(pairs):
    i, ii = np.array(pairs, dtype=np.int16).T
    others = [channel(name, RNG.integers(-9, 9, len(pairs)).cumsum()) for name in CHEST_LEADS]
    if np.ptp(i) == 0 or np.ptp(ii) == 0:
        return
    record = assemble("r", 500, [channel("I", i), channel("II", ii), *others])
    expected = derive_limb_leads(i * 0.005, ii * 0.005)
    for lead, values, scale in zip(record.leads, record.signal_mv(), record.scale):
        if lead in record.derived:
            error = np.abs(values - expected[LEADS.index(lead)]).max()
            assert error <= abs(scale) / 2 * (1 + 1e-6)
            assert record.requantised or error < 1e-9


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=30).filter(lambda v: len(set(v)) > 1),
    st.floats(1e-6, 1.0),
    st.floats(-5.0, 5.0),
)
def test_values_are_kept_to_half_a_stored_step(values, mv_per_unit, offset_mv):
    values = np.array(values, dtype=np.int64)
    record = assemble("r", 500, [channel("I", values, mv_per_unit, offset_mv=offset_mv)])
    expected = values * mv_per_unit + offset_mv
    assert np.abs(record.signal_mv()[0] - expected).max() <= record.scale[0] / 2 * (1 + 1e-6) + 1e-9


def test_an_offset_of_whole_units_is_taken_off_without_loss():
    values = np.arange(2000, 2050)
    record = assemble("r", 500, [channel("I", values, offset_mv=-2048 * 0.005)])
    np.testing.assert_array_equal(record.signal[0], values - 2048)
    assert not record.requantised


def test_wide_values_are_rounded_and_this_is_marked():
    record = assemble("r", 500, [channel("I", np.array([0, 40000, -80000]))])
    assert record.requantised
    np.testing.assert_allclose(record.signal_mv()[0], [0, 200, -400], atol=400 / 32767 / 2)


def test_a_channel_of_another_rate_is_brought_to_that_of_the_record():
    t = np.arange(0, 2, 1 / 250)
    slow = np.round(1000 * np.sin(2 * np.pi * 3 * t)).astype(np.int16)
    record = assemble("r", 500, [channel("I", slow, 0.001, fs=250.0), channel("II", np.arange(1000))])
    expected = np.sin(2 * np.pi * 3 * np.arange(1000) / 500)
    assert np.abs(record.signal_mv()[0] - expected)[50:-50].max() < 2e-3
    assert record.notes == ("I: resampled from 250 Hz",)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (channel("V1", mv_per_unit=None, unit="bpm"), "its unit 'bpm' is not a voltage"),
        (channel("V1", mv_per_unit=None), "its unit is not known"),
        (channel("V1", np.zeros(0)), "no sample"),
        (channel("V1", mv_per_unit=0.0), NO_GAIN),
        (channel("V1", adc_gain=0.0), NO_GAIN),
        (channel("V1", mv_per_unit=1e9), "one unit of it would be 1e+09 mV, which no ECG has"),
        (channel("V1", np.full(50, 3), offset_mv=0.5), "constant at 0.515 mV"),
        (channel("V1", np.append(np.arange(48), [-9, -9]), missing=-9), "2 of 50 samples are missing (NaN)"),
        (channel("V1", np.append(np.arange(49.0), np.nan)), "1 of 50 samples are missing (NaN)"),
    ],
)
def test_a_lead_that_cannot_be_used_is_left_out_with_its_reason(bad, reason):
    record = assemble("r", 500, [channel("I"), bad], options=ReadOptions(gaps="refuse"))
    assert record.leads == ("I",)
    assert record.faults == (("V1", reason),)


def test_leads_that_end_a_few_samples_apart_are_cut_to_the_shortest():
    record = assemble("r", 500, [channel("I"), channel("II", np.arange(30))])
    assert record.signal.shape == (2, 30)
    assert record.notes == ("leads of 50 samples are cut to 30, the length of the shortest",)


def test_a_lead_that_the_file_has_negated_gets_its_sign_back():
    negated = channel("-aVR", offset_mv=0.25)
    record = assemble("r", 500, [negated])
    assert record.leads == ("aVR",)
    np.testing.assert_allclose(record.signal_mv()[0], -(negated.values * 0.005 + 0.25))
    assert record.notes == ("aVR: read from the signal '-aVR', its sign turned",)


def test_names_and_amplitude_are_what_the_user_says():
    options = read_options({"ECG": "V5", "II": "none"}, amplitude_scale=0.5)
    ecg = channel("ECG")
    record = assemble("r", 500, [ecg, channel("II")], options=options)
    assert record.leads == ("V5",)
    np.testing.assert_allclose(record.signal_mv()[0], ecg.values * 0.0025)
    assert record.ignored == (("II", "not one of the 12 leads"),)
    assert record.notes == ("V5: the signal 'ECG', as lead_names says",)
    with pytest.raises(SignalError, match="1 lead names are given for its 2 signals"):
        assemble("r", 500, [ecg, ecg], options=read_options("I"))


def test_the_first_of_two_channels_of_one_name_is_kept():
    first = channel("II")
    record = assemble("r", 500, [first, channel("MLII")])
    np.testing.assert_array_equal(record.signal[0], first.values)
    assert record.faults == (("II", "signal 1 has the same name; signal 0 is kept"),)


def test_a_lead_of_another_length_costs_no_other():
    short = channel("V1", np.arange(9))
    record = assemble("r", 500, [*map(channel, LEADS[:6]), short, channel("V2", np.arange(49))])
    assert (record.leads, record.n_samples) == ((*LEADS[:6], "V2"), 49)
    assert record.faults == (("V1", "it has 9 samples, most leads have 50"),)
    assert record.notes == ("leads of 50 samples are cut to 49, the length of the shortest",)


def test_what_the_user_named_and_the_file_lacks_is_told_where_no_lead_is_found():
    options = read_options("ECG=II")
    with pytest.raises(SignalError, match=r"\('EKG'\); lead_names has 'ECG', which is none of them"):
        assemble("r", 500, [channel("EKG")], options=options)


@pytest.mark.parametrize(
    ("channels", "fs", "kind"),
    [
        ([channel("PULSE"), channel("RESP")], 500, "without any of the 12 leads"),
        ([], 500, "without any of the 12 leads"),
        ([channel("I", mv_per_unit=0.0)], 500, "with zero gain"),
        ([channel("I", mv_per_unit=float("inf"))], 500, "with zero gain"),
        ([channel("I", np.zeros(50, int))], 500, "without a usable lead"),
        ([channel("I"), channel("II", np.arange(20))], 500, "with leads of different lengths"),
        ([channel("I")], 0.0, "with an unexpected sampling rate"),
        ([channel("I")], float("nan"), "with an unexpected sampling rate"),
    ],
)
def test_a_file_without_a_usable_lead_is_refused_by_kind(channels, fs, kind):
    with pytest.raises(SignalError, match="record r: ") as raised:
        assemble("r", fs, channels)
    assert raised.value.kind == kind
