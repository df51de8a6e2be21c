"""Arrays are checked before a model sees them: what is wrong is said, with the next step."""

import numpy as np
import pytest
import torch

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.record import LeadNote, Record
from fairseq_signals.errors import LeadError, SignalError, SignalWarning
from fairseq_signals.inference.model_input import ModelInput
from fairseq_signals.inference.recording import Recording, checked, from_array, from_record


@pytest.fixture
def signal(recording):
    return recording.mv


def record_of(adu, leads=LEADS, **options):
    return Record("r", 500.0, tuple(leads), adu, np.full(len(leads), 0.001), **options)


# --- what is wrong with it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(1000, "µV taken .* by 0.001"), (0.001, " V taken .* by 1000")],
)
def test_another_unit_than_millivolt_is_suspected(signal, factor, unit):
    with pytest.warns(SignalWarning, match=rf"record x: its amplitude is .*{unit}"):
        from_array(signal * factor, 500, record_id="x")


def test_adc_units_are_suspected_too(recording):
    with pytest.warns(SignalWarning, match="ADC units, of which the gain"):
        from_array(recording.adu / 20.0, 500)


def test_a_short_artefact_or_an_offset_is_no_wrong_unit(signal):
    spiked = signal.copy()
    spiked[3, 100:110] = 60.0
    from_array(spiked, 500)
    from_array(signal + 150.0, 500)


def test_samples_that_are_not_finite_are_refused_with_the_lead_and_their_number(signal):
    broken = signal.copy()
    broken[1, :3] = np.nan
    broken[4, 7] = np.inf
    with pytest.raises(SignalError, match=r"not finite \(NaN and inf\): II 3, aVL 1, of 5000 each"):
        from_array(broken, 500)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_a_flat_recording_is_refused(value):
    with pytest.raises(SignalError, match="record x is flat: all 12 leads are constant"):
        from_array(np.full((12, 800), value), 500, record_id="x")
    with pytest.raises(SignalError, match="its only lead V2 is constant"):
        from_array(np.full(800, value), 500, "V2")


def test_constant_leads_become_absent_with_a_warning(signal):
    broken = signal.copy()
    broken[6] = 0.3
    with pytest.warns(SignalWarning, match=r"constant leads are taken as absent: V1 \(0.3 mV\)"):
        taken = from_array(broken, 500)
    assert taken.leads == (*LEADS[:6], *LEADS[7:])
    np.testing.assert_array_equal(taken.signal_mv, np.delete(signal, 6, axis=0))


def test_zeros_in_a_lead_stay_as_they_are_without_a_word(signal):
    zeroed = signal.copy()
    zeroed[6:] = 0
    np.testing.assert_array_equal(from_array(zeroed, 500).signal_mv, zeroed)


def test_an_array_without_its_sampling_rate_is_refused(signal):
    with pytest.raises(SignalError, match="does not say its sampling rate; pass it in Hz, such as fs=500"):
        from_array(signal, None)


@pytest.mark.parametrize("fs", [0, 10, 1e6, "fast"])
def test_a_sampling_rate_that_cannot_be_is_refused(signal, fs):
    with pytest.raises(SignalError, match="fs"):
        from_array(signal, fs)


@pytest.mark.parametrize(("name", "hint"), [("V7", "did you mean V"), ("aVX", "did you mean aV")])
def test_an_unknown_lead_is_refused_with_those_that_are_near(signal, name, hint):
    with pytest.raises(LeadError, match=f"unknown lead '{name}'; {hint}"):
        from_array(signal[:2], 500, ["I", name])


@pytest.mark.parametrize(
    ("shape", "leads", "message"),
    [
        ((2, 800), None, r"say which leads its 2 rows are, such as leads=\['I', 'II'\]"),
        ((800, 12), None, r"looks like \(samples, leads\); pass its transpose"),
        ((3, 800), "2", "has the shape .3, 800., but 2 leads are named: I, II"),
        ((800,), None, r"a recording is \(leads, samples\)"),
        ((1, 2, 3, 4), None, r"a recording is \(leads, samples\)"),
    ],
)
def test_a_shape_that_is_no_recording_is_refused(shape, leads, message):
    with pytest.raises((SignalError, LeadError), match=message):
        from_array(np.zeros(shape), 500, leads)


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([None]), np.zeros((12, 5), dtype=complex)])
def test_what_is_not_numbers_is_refused(value):
    with pytest.raises(SignalError, match="must be numbers in mV"):
        from_array(value, 500)


def test_ragged_lists_and_arrays_without_samples_are_refused():
    with pytest.raises(SignalError, match="a list of arrays"):
        from_array([[0.0, 1.0], [0.0]], 500, "2")
    with pytest.raises(SignalError, match="no samples"):
        from_array(np.zeros((12, 0)), 500)


# --- what is made of it ----------------------------------------------------------------------------------


def test_masked_samples_are_refused_and_masked_arrays_without_them_taken(signal):
    masked = np.ma.masked_invalid(np.where(np.arange(signal.shape[1]) < 3, np.nan, signal))
    with pytest.raises(SignalError, match=r"record x: 36 samples are masked\. Interpolate them"):
        from_array(masked, 500, record_id="x")
    taken = from_array(np.ma.masked_invalid(signal), 500).signal_mv
    assert not isinstance(taken, np.ma.MaskedArray)
    np.testing.assert_array_equal(taken, signal)


def test_tensors_lists_and_single_leads_are_taken(signal):
    expected = from_array(signal, 500).signal_mv
    np.testing.assert_array_equal(from_array(torch.from_numpy(signal), 500).signal_mv, expected)
    np.testing.assert_array_equal(from_array(signal[:2, :9].tolist(), 500, "2").signal_mv, signal[:2, :9])
    assert from_array(signal[1], 500, "II").signal_mv.shape == (1, 5000)


def test_leads_are_put_in_the_models_order_and_absent_ones_are_zeros(signal):
    given = from_array(signal[[7, 1]], 500, ["V2", "lead ii"])
    out = ModelInput(given, InputFormat()).stretch()
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[[1, 7]], signal[[1, 7]].astype(np.float32))
    assert not np.delete(out, [1, 7], axis=0).any()
    two = ModelInput(given, InputFormat(leads=(7, 1))).stretch()
    np.testing.assert_array_equal(two, signal[[7, 1]].astype(np.float32))


def test_a_model_that_takes_none_of_the_leads_says_so(signal):
    with pytest.raises(LeadError, match="record x has the leads V2, but the model takes only I, II"):
        ModelInput(from_array(signal[[7]], 500, "V2", "x"), InputFormat(leads=(0, 1))).stretch()


def test_another_sampling_rate_is_resampled_without_aliases():
    t = np.arange(20_000) / 2000
    wave = np.sin(2 * np.pi * 10 * t) + np.sin(2 * np.pi * 700 * t)  # 700 Hz would come back as 200 Hz
    out = ModelInput(from_array(wave, 2000, "I"), InputFormat()).stretch()
    assert out.shape == (12, 5000)
    expected = np.sin(2 * np.pi * 10 * np.arange(5000) / 500)
    assert np.abs(out[0] - expected)[100:-100].max() < 0.01


def test_a_record_is_scaled_in_double_precision_and_leads_can_be_chosen(recording):
    taken = from_record(record_of(recording.adu))
    np.testing.assert_array_equal(
        ModelInput(taken, InputFormat()).stretch(), (recording.adu * 0.001).astype(np.float32)
    )
    two = from_record(record_of(recording.adu), "2")
    assert two.leads == ("I", "II")
    with pytest.raises(LeadError, match="r has the leads II, none of which is among the leads asked for: V1"):
        from_record(record_of(recording.adu[[1]], ["II"]), ["V1"])


def test_what_a_reader_left_out_or_found_damaged_is_warned_about(recording):
    faulty = record_of(recording.adu[1:], LEADS[1:], faults=(LeadNote("I", "constant at 0 mV"),))
    with pytest.warns(SignalWarning, match=r"record r: left out: I \(constant at 0 mV\)"):
        checked(from_record(faulty))
    with pytest.warns(SignalWarning, match=r"record r: damaged: V1 \(checksum\)"):
        checked(from_record(record_of(recording.adu, damaged=(LeadNote("V1", "checksum"),))))


def test_a_recording_knows_its_length(signal):
    assert Recording(signal, 500.0, LEADS).n_samples == 5000


def test_what_a_model_takes_is_the_same_whether_it_is_made_at_once_or_in_stretches(recording, monkeypatch):
    given = from_array(recording.mv, 360)
    whole = ModelInput(given, InputFormat())
    monkeypatch.setattr("fairseq_signals.inference.model_input._SHORT", 0)
    parts = ModelInput(given, InputFormat())
    for start, stop in ((0, 2500), (2500, 5000), (parts.n_samples - 2500, parts.n_samples)):
        np.testing.assert_array_equal(parts.stretch(start, stop), whole.stretch(start, stop))
