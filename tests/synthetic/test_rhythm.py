import numpy as np
import pytest

from fairseq_signals.synthetic import rhythm as rhythms

DURATION_S = 10.0
SEEDS = range(20)


def sinus(rhythm, rate, seed, respiration_hz=0.25):
    return rhythms.sinus_beats(np.random.default_rng(seed), rhythm, rate, DURATION_S, respiration_hz)


@pytest.mark.parametrize(("rhythm", "rate"), [("NSR", 70), ("SB", 48), ("STach", 125), ("SA", 72)])
def test_sinus_rhythms_keep_their_mean_rate_and_all_p_waves(rhythm, rate):
    measured = []
    for seed in SEEDS:
        beats = sinus(rhythm, rate, seed).within(DURATION_S)
        assert beats.has_p.all()
        measured.append(60 / beats.rr_s.mean())
    assert np.mean(measured) == pytest.approx(rate, rel=0.04)


def test_beats_cover_the_record_and_a_margin_on_both_sides():
    for seed in SEEDS:
        for beats in (
            sinus("SB", 40, seed),
            rhythms.fibrillation_beats(np.random.default_rng(seed), 62, DURATION_S),
            rhythms.flutter_beats(np.random.default_rng(seed), 4.3, DURATION_S),
        ):
            assert beats.time_s[0] < 0
            assert beats.time_s[-1] > DURATION_S
            np.testing.assert_allclose(np.diff(beats.time_s), beats.rr_s[1:])


def test_sinus_arrhythmia_varies_by_more_than_120_ms_and_normal_sinus_by_less():
    for seed in SEEDS:
        arrhythmia, normal = sinus("SA", 72, seed).rr_s, sinus("NSR", 72, seed).rr_s
        assert np.ptp(arrhythmia) > 0.12
        assert np.ptp(normal) < 0.12


def test_fibrillation_is_irregular_without_memory_and_without_p():
    irregular, memory = [], []
    for seed in SEEDS:
        beats = rhythms.fibrillation_beats(np.random.default_rng(seed), 90, 60.0)
        assert not beats.has_p.any()
        assert beats.rr_s.min() >= 0.3
        irregular.append(beats.rr_s.std() / beats.rr_s.mean())
        memory.append(np.corrcoef(beats.rr_s[1:], beats.rr_s[:-1])[0, 1])
    assert min(irregular) > 0.10
    assert abs(np.mean(memory)) < 0.1


def test_flutter_conducts_every_second_third_or_fourth_wave():
    for seed in SEEDS:
        beats = rhythms.flutter_beats(np.random.default_rng(seed), 5.0, DURATION_S)
        ratio = beats.rr_s * 5.0
        np.testing.assert_allclose(ratio, np.rint(ratio), atol=0.1)
        assert set(np.rint(ratio)) <= {2, 3, 4}
        assert not beats.has_p.any()


def test_ventricular_ectopics_come_early_and_leave_the_sinus_node_alone():
    for seed in SEEDS:
        before = sinus("NSR", 70, seed)
        after = rhythms.add_ectopics(before, "V", np.random.default_rng(seed), DURATION_S, 0.1)
        ectopic = np.flatnonzero(after.kind == "V")
        assert np.all(after.time_s[ectopic] < before.time_s[ectopic] - 0.1)
        assert not after.has_p[ectopic].any()
        others = after.kind == "N"
        np.testing.assert_allclose(after.time_s[others], before.time_s[others])


def test_atrial_ectopics_come_early_and_reset_the_sinus_node():
    for seed in SEEDS:
        before = sinus("NSR", 70, seed)
        after = rhythms.add_ectopics(before, "A", np.random.default_rng(seed), DURATION_S, 0.0)
        ectopic = np.flatnonzero(after.kind == "A")
        assert after.has_p.all()
        assert np.all(after.rr_s[ectopic] < 0.8 * before.rr_s[ectopic])
        normal = after.kind == "N"
        np.testing.assert_allclose(after.rr_s[normal], before.rr_s[normal])
        assert after.time_s[-1] < before.time_s[-1] - 0.1


@pytest.mark.parametrize("kind", ["V", "A"])
def test_each_half_of_a_record_has_an_ectopic_beat(kind):
    for seed in SEEDS:
        for rate in (42, 75, 135):
            beats = sinus("NSR", rate, seed)
            after = rhythms.add_ectopics(beats, kind, np.random.default_rng(seed), DURATION_S, 0.0)
            found = after.time_s[after.kind == kind]
            assert np.any(found < DURATION_S / 2)
            assert np.any(found > DURATION_S / 2)


def test_fibrillatory_waves_lie_between_4_and_9_hz_and_flutter_waves_at_their_rate():
    fs, n = 500, 5000
    frequency = np.fft.rfftfreq(n, 1 / fs)
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        fibrillation = rhythms.fibrillatory_waves(rng, n, fs, 0.06)
        for wave in fibrillation:
            assert 4 < frequency[np.argmax(np.abs(np.fft.rfft(wave)))] < 9
        beats = rhythms.flutter_beats(rng, 5.0, DURATION_S)
        flutter = rhythms.flutter_wave(beats, 5.0, n, fs, 0.1)
        assert frequency[np.argmax(np.abs(np.fft.rfft(flutter)))] == pytest.approx(5.0)
