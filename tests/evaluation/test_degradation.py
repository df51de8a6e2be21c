"""Degraded recordings: noise of the ratio that is asked for, and the bandwidth of a lower sampling rate."""

import numpy as np
import pytest

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.degradation import NOISES, Degradation, parse_degradation
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.predict import predict
from fairseq_signals.manifest.table import read_manifest

FS, T = 500.0, 2500


@pytest.fixture
def signal():
    """Twelve leads, of which III is flat and V6 absent."""
    rng = np.random.default_rng(0)
    found = rng.normal(0.2, 1, (12, T)) * np.arange(1, 13)[:, None]
    found[2], found[11] = 0.5, 0
    return found.astype(np.float32)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("ratio_db", [-6, 0, 12.5])
def test_noise_has_the_ratio_that_is_asked_for_in_each_lead(signal, kind, ratio_db):
    noise = Degradation(kind, ratio_db)(signal, FS, "x/r1", 0) - signal
    found = [i for i in range(12) if i not in (2, 11)]
    ratio = signal[found].var(axis=1, dtype=np.float64) / noise[found].var(axis=1)
    np.testing.assert_allclose(10 * np.log10(ratio), ratio_db, atol=1e-4)
    assert np.abs(noise.mean(axis=1)).max() < 1e-6
    assert not noise[[2, 11]].any()


def test_noise_depends_on_record_and_segment_alone_but_for_its_size(signal):
    def noise(ratio_db, *segment):
        return Degradation("emg", ratio_db)(signal, FS, *segment) - signal

    first = noise(0, "x/r1", 0)
    np.testing.assert_array_equal(noise(0, "x/r1", 0), first)
    np.testing.assert_allclose(noise(20, "x/r1", 0), first / 10, atol=1e-6)
    for other in (noise(0, "x/r2", 0), noise(0, "x/r1", 1)):
        assert abs(np.corrcoef(first[0], other[0])[0, 1]) < 0.1


def test_a_lower_rate_leaves_what_is_below_half_of_it():
    time_s = np.arange(T) / FS
    slow, fast = (np.sin(2 * np.pi * hz * time_s) for hz in (10, 90))
    found = Degradation("rate", 125)(np.stack([slow, fast, slow + fast]), FS, "x/r1", 0)
    assert found.shape == (3, T)
    inner = slice(200, -200)
    np.testing.assert_allclose(found[[0, 2], inner], np.stack([slow, slow])[:, inner], atol=0.01)
    assert np.abs(found[1, inner]).max() < 0.01


@pytest.mark.parametrize("written", ["100Hz", "62.5Hz", "emg12dB", "wander0dB", "powerline-6dB"])
def test_degradations_are_written_as_they_are_read(written):
    assert str(parse_degradation(written)) == written


@pytest.mark.parametrize(
    ("lead_set", "fs", "message"),
    [
        ("12@loud", 500, "'loud' is no degradation: a sampling rate, such as 100Hz, or a noise"),
        ("12@", 500, "'' is no degradation"),
        ("12@600Hz", 500, "600Hz: the model takes 500 Hz"),
        ("12@5Hz", 500, "from 10 Hz"),
        ("12@powerline0dB", 100, "the hum has 50 Hz, which recordings of 100 Hz do not show"),
        ("12@emg101dB", 500, "must be -100 to 100 dB"),
    ],
)
def test_what_cannot_be_is_refused(corpus, lead_set, fs, message):
    manifest = read_manifest(corpus.classification / "valid.tsv")
    with pytest.raises(ConfigError, match=message):
        predict(means, manifest, parse_lead_sets([lead_set]), 8, form=InputFormat(fs=fs))


def means(source, padding_mask, lead_present):
    return source.square().mean(dim=2)


def test_segments_are_read_once_for_the_lead_sets_of_a_degradation(corpus, monkeypatch):
    manifest, seen = read_manifest(corpus.classification / "valid.tsv"), []
    read = SegmentReader.read_scaled
    monkeypatch.setattr(SegmentReader, "read_scaled", lambda *given: seen.append(given[1]) or read(*given))
    sets = parse_lead_sets(["12,2,each,12@100Hz,2@100Hz,each@100Hz"])
    predict(means, manifest, sets, 8)
    assert sorted(seen) == sorted(2 * list(range(len(manifest))))


def test_the_models_own_rate_changes_nothing_and_others_change_the_leads_that_are_given(corpus):
    manifest = read_manifest(corpus.classification / "valid.tsv")
    clean, same, slow, noisy = predict(means, manifest, parse_lead_sets(["2,2@500Hz,2@62.5Hz,2@emg0dB"]), 8)
    np.testing.assert_array_equal(same, clean)
    assert (slow[:, :2] < clean[:, :2]).all()
    assert (noisy[:, :2] > clean[:, :2]).all()
    assert not slow[:, 2:].any()
    assert not noisy[:, 2:].any()
