"""What a record promises: relations between leads, truth of labels and annotations, determinism."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, find_peaks, sosfiltfilt

from fairseq_signals.ecg.vcg import DOWER
from fairseq_signals.errors import ConfigError
from fairseq_signals.synthetic.config import SNOMED_CODES, CorpusConfig
from fairseq_signals.synthetic.morphology import frontal_axis, limb_voltage
from fairseq_signals.synthetic.patient import make_patient, plan_records
from fairseq_signals.synthetic.record import make_record

CONFIG = CorpusConfig(patients=60, sessions=(2, 2), seed=3)
INDEPENDENT = [0, 1, 6, 7, 8, 9, 10, 11]


@pytest.fixture(scope="module")
def records():
    return [make_record(CONFIG, patient, session) for patient in range(60) for session in range(2)]


def of_class(records, name, *without):
    return [r for r in records if name in r.classes and not set(without) & set(r.classes)]


def detected_peaks_s(record):
    """R peaks from the signal alone: peaks of the smoothed slope over the independent leads."""
    sos = butter(2, [5, 30], btype="band", fs=record.fs, output="sos")
    slope = np.diff(sosfiltfilt(sos, record.adu[INDEPENDENT] / 1000.0, axis=1), axis=1)
    energy = np.convolve(np.sqrt(np.square(slope).sum(axis=0)), np.ones(40) / 40, mode="same")
    peaks, _ = find_peaks(energy, height=0.35 * np.percentile(energy, 98), distance=int(0.24 * record.fs))
    return peaks / record.fs


def median_beat(record, before_s=0.25, after_s=0.40):
    """The median normal beat (8, T) in mV around its main deflection."""
    before, length = int(before_s * record.fs), int((before_s + after_s) * record.fs)
    signal = record.adu[INDEPENDENT] / 1000.0
    starts = (record.beats.time_s[record.beats.kind == "N"] * record.fs).astype(int) - before
    beats = [signal[:, s : s + length] for s in starts if s >= 0 and s + length <= signal.shape[1]]
    return np.median(beats, axis=0)


def test_a_record_is_12_leads_of_int16_in_which_einthoven_and_goldberger_hold_exactly(records):
    for record in records:
        assert record.adu.shape == (12, 5000)
        assert record.adu.dtype == np.int16
        i, ii, iii, avr, avl, avf = record.adu[:6].astype(int)
        assert np.array_equal(i + iii, ii)
        assert np.array_equal(-(i + ii), 2 * avr)
        assert np.array_equal(2 * i - ii, 2 * avl)
        assert np.array_equal(2 * ii - i, 2 * avf)


def test_amplitudes_are_those_of_an_ecg(records):
    for record in records:
        peak = np.abs(record.adu).max() / 1000
        assert 0.2 < peak < 5.0
        assert np.all(record.adu.std(axis=1) > 0)


def test_same_seed_patient_and_session_give_the_same_record_and_any_other_another():
    first = make_record(CONFIG, 5, 1)
    again = make_record(replace(CONFIG, patients=1000, sessions=(1, 9)), 5, 1)
    np.testing.assert_array_equal(first.adu, again.adu)
    assert first.classes == again.classes
    for other in (
        make_record(CONFIG, 5, 0),
        make_record(CONFIG, 6, 1),
        make_record(replace(CONFIG, seed=4), 5, 1),
    ):
        assert not np.array_equal(first.adu, other.adu)


def test_annotated_beats_are_where_a_detector_finds_them(records):
    found = annotated = 0
    for record in records[:40]:
        detected = detected_peaks_s(record)
        inside = record.beats.time_s[(record.beats.time_s > 0.15) & (record.beats.time_s < 9.85)]
        found += sum(np.abs(detected - t).min() < 0.08 for t in inside)
        annotated += len(inside)
    assert found / annotated > 0.97


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("SB", 38, 60), ("NSR", 58, 102), ("STach", 99, 145), ("SA", 55, 95), ("AF", 45, 175)],
)
def test_rates_measured_in_the_signal_are_those_of_the_class(records, name, low, high):
    error = []
    for record in of_class(records, name, "PVC", "PAC"):
        rr_s = np.median(np.diff(record.beats.time_s))
        assert low < 60 / np.diff(record.beats.time_s).mean() < high
        error.append(abs(np.median(np.diff(detected_peaks_s(record))) / rr_s - 1))
    assert len(error) > 3
    assert np.median(error) < 0.02
    assert np.mean(np.array(error) < 0.15) > 0.9  # the detector of this test takes a T for an R at times


def test_fibrillation_is_more_irregular_than_any_sinus_rhythm_but_sinus_arrhythmia(records):
    def irregularity(record):
        intervals = np.diff(record.beats.time_s)
        return intervals.std() / intervals.mean()

    fibrillation = [irregularity(r) for r in of_class(records, "AF")]
    sinus = [
        irregularity(r) for name in ("NSR", "SB", "STach") for r in of_class(records, name, "PVC", "PAC")
    ]
    assert len(fibrillation) > 5
    assert min(fibrillation) > max(sinus)


def test_p_waves_precede_sinus_beats_and_no_others():
    """The 150 ms before QRS repeat from beat to beat where there is a P wave, and do not in fibrillation."""
    clean = replace(CONFIG, noise=0.0)
    repeat = {"NSR": [], "AF": []}
    for number in range(60):
        record = make_record(clean, number, 0)
        if record.classes[0] not in repeat or {"PVC", "PAC", "IAVB"} & set(record.classes):
            continue
        onset = record.beats.time_s[record.beats.rr_s > 0.55] + record.morphology.qrs.onset_s
        stops = [int(t * 500) for t in onset if t > 0.2]
        windows = np.stack([record.adu[1, stop - 75 : stop].astype(float) for stop in stops])
        if len(windows) > 2:
            correlation = np.corrcoef(windows)
            repeat[record.classes[0]].append(np.median(correlation[np.triu_indices(len(windows), 1)]))
    assert len(repeat["NSR"]) > 5
    assert len(repeat["AF"]) > 3
    assert min(repeat["NSR"]) > 0.9
    assert max(repeat["AF"]) < 0.7


def test_labels_describe_the_waves_behind_the_signal(records):
    for record in records:
        m, classes = record.morphology, set(record.classes)
        assert (m.pr_s > 0.2) == ("IAVB" in classes)
        assert (m.qrs.offset_s - m.qrs.onset_s >= 0.12) == bool(classes & {"RBBB", "LBBB"})
        assert (limb_voltage(m.qrs) < 0.5) == ("LQRSV" in classes)
        assert ("V" in record.beats.kind) == ("PVC" in classes)
        assert ("A" in record.beats.kind) == ("PAC" in classes)
        assert record.beats.has_p[record.beats.kind != "V"].all() == (not classes & {"AF", "AFL"})
        if not classes & {"RBBB", "LBBB"}:
            axis = frontal_axis(m.qrs)
            assert (axis <= -30) == ("LAD" in classes)
            assert (axis >= 100) == ("RAD" in classes)
            t_v5 = DOWER[6] @ m.t.vector_mv[0]
            assert (t_v5 < 0) == ("TInv" in classes)


def test_every_class_has_enough_records_in_a_small_corpus(records):
    share = {name: len(of_class(records, name)) / len(records) for name in SNOMED_CODES}
    assert min(share.values()) >= 0.04
    assert max(share.values()) <= 0.5
    assert all(set(r.codes) == {SNOMED_CODES[name] for name in r.classes} for r in records)


def test_classes_that_exclude_each_other_do_not_meet(records):
    rhythms = {"NSR", "SB", "STach", "SA", "AF", "AFL"}
    for record in records:
        classes = set(record.classes)
        assert len(classes & rhythms) == 1
        for pair in (
            ("RBBB", "LBBB"),
            ("LAD", "RAD"),
            ("AF", "IAVB"),
            ("AFL", "IAVB"),
            ("AF", "PAC"),
            ("PVC", "PAC"),
        ):
            assert not set(pair) <= classes


def test_sessions_of_a_patient_are_more_alike_than_patients(records):
    """Correlation of median beats on the independent leads, centred on the mean beat of the corpus."""
    beats = np.stack([median_beat(r).ravel() for r in records])
    beats -= beats.mean(axis=0)
    beats /= np.linalg.norm(beats, axis=1, keepdims=True)
    similarity = beats @ beats.T
    patient = np.array([r.patient for r in records])
    same = (patient[:, None] == patient) & ~np.eye(len(records), dtype=bool)
    other = patient[:, None] != patient
    assert np.median(similarity[same]) > 0.6
    assert np.median(similarity[same]) > np.percentile(similarity[other], 95)
    np.fill_diagonal(similarity, -1)
    nearest = patient[similarity.argmax(axis=1)] == patient
    assert 0.5 < nearest.mean() < 1.0  # identity shows, and is not given away


def test_a_plan_numbers_records_within_their_subset_and_never_twice():
    plan = plan_records(replace(CONFIG, sessions=(1, 3)))
    assert len({(p.subset.folder, p.record_id) for p in plan}) == len(plan)
    for planned in plan:
        patient = make_patient(CONFIG, planned.patient)
        assert patient.subset == planned.subset
        assert planned.record_id.startswith(planned.subset.prefix)
    assert len({p.subset.folder for p in plan}) == len(CONFIG.subsets)
    assert plan[: len(plan_records(replace(CONFIG, patients=10, sessions=(1, 3))))] == plan_records(
        replace(CONFIG, patients=10, sessions=(1, 3))
    )


def test_noise_and_spread_are_knobs():
    clean, noisy = (make_record(replace(CONFIG, noise=level), 3, 0) for level in (0.0, 3.0))
    assert np.abs(np.diff(noisy.adu[0])).mean() > 2 * np.abs(np.diff(clean.adu[0])).mean()
    alike = [make_patient(replace(CONFIG, spread=0.0), number).lead_field for number in range(5)]
    assert all(np.array_equal(alike[0], field) for field in alike)


def test_patients_can_be_the_same_in_all_sessions():
    always = replace(CONFIG, usual_rhythm=1.0, disorder_shows=1.0)
    for number in range(20):
        first, second = (make_record(always, number, session) for session in range(2))
        assert first.classes[0] == second.classes[0] == make_patient(always, number).usual_rhythm
    never = replace(CONFIG, disorder_shows=0.0)
    assert all(len(make_record(never, number, 0).classes) == 1 for number in range(20))


def test_duration_and_sampling_rate_are_knobs():
    record = make_record(replace(CONFIG, fs=250, duration_s=20.0), 0, 0)
    assert record.adu.shape == (12, 5000)
    assert record.fs == 250
    assert record.beats.time_s.max() > 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patients": 0}, "patients must be >= 1"),
        ({"sessions": (3, 2)}, "3..2"),
        ({"fs": 50}, "fs must be >= 100"),
        ({"rhythms": {"NSR": 0.5}}, "sum to 0.5"),
        ({"disorders": {"XYZ": 0.5}}, "unknown classes.*XYZ"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        CorpusConfig(**change)
