"""`ECGModel` from a recording to embeddings and predictions: what may not matter does not matter."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_model
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.resample import resample
from fairseq_signals.errors import (
    ConfigError,
    LabelError,
)
from fairseq_signals.inference.sources import StoreRecord
from fairseq_signals.metrics.identification import mean_by_record


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def tensor(signal):
    return torch.from_numpy(np.ascontiguousarray(signal, dtype=np.float32))


# --- what may not matter ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pretraining", "classification", "identification"])
def test_array_wfdb_path_and_store_row_give_identical_embeddings(models, recording, kind):
    model = models[kind]
    expected = model.embed(recording.mv, fs=500, leads="12")
    assert (expected.shape, expected.dtype) == ((model.dim,), np.float32)
    for form in (
        recording.wfdb,
        str(recording.wfdb) + ".hea",
        StoreRecord(recording.store, recording.record_id),
        f"{recording.store / recording.shard}#{recording.row}",
    ):
        np.testing.assert_array_equal(model.embed(form), expected)


@pytest.mark.parametrize("fs", [250, 360, 1000])
def test_another_sampling_rate_hardly_changes_the_embedding(models, recording, fs):
    resampled = resample(recording.mv, 500, fs)
    for model in models.values():
        expected = model.embed(recording.mv, fs=500)
        taken_for_500_hz = cosine(model.embed(resampled, fs=500), expected)
        assert cosine(model.embed(resampled, fs=fs), expected) >= 0.9995 > taken_for_500_hz


def test_permuting_leads_with_their_names_changes_nothing(models, recording):
    order = np.random.default_rng(0).permutation(12)
    names = [LEADS[i] for i in order]
    for model in models.values():
        permuted = model.embed(recording.mv[order], fs=500, leads=names)
        np.testing.assert_array_equal(permuted, model.embed(recording.mv, fs=500))


def test_two_leads_are_the_same_as_zeros_in_place_of_the_others(models, recording):
    padded = recording.mv.copy()
    padded[2:] = 0
    for model in models.values():
        expected = model.embed(padded, fs=500)
        for two in (
            model.embed(recording.mv[:2], fs=500, leads="2"),
            model.embed(recording.mv[[1, 0]], fs=500, leads=["lead II", "i"]),
            model.embed(recording.wfdb, leads="2"),
        ):
            np.testing.assert_array_equal(two, expected)
        assert not np.array_equal(expected, model.embed(recording.mv, fs=500))


def test_neighbours_in_the_batch_and_its_size_do_not_matter(encoder, recording):
    signals = [recording.mv[:, a:b] for a, b in ((0, 5000), (0, 800), (300, 3400), (0, 5000), (9, 2509))]
    expected = np.stack([encoder.embed(signal, fs=500) for signal in signals])
    for batch_size in (1, 2, 3, 100):
        found = encoder.embed(signals, fs=500, batch_size=batch_size)
        np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_allclose(encoder.embed(iter(signals), fs=500), expected, atol=2e-6)
    stacked = np.stack([recording.mv, recording.mv[::-1]])
    np.testing.assert_allclose(encoder.embed(stacked, fs=500)[0], expected[0], atol=2e-6)


# --- what it is ------------------------------------------------------------------------------------------


def test_an_embedding_is_the_mean_of_the_networks_own_over_the_segments(encoder, recording):
    network = encoder.network
    with torch.no_grad():
        segments = network.pooled(tensor(recording.mv.reshape(12, 2, 2500).transpose(1, 0, 2)))
    np.testing.assert_allclose(encoder.embed(recording.mv, fs=500), segments.mean(dim=0).numpy(), atol=1e-6)


def test_a_remainder_counts_by_its_length_and_a_short_recording_is_not_padded(encoder, recording):
    def network(start, stop):
        with torch.no_grad():
            return encoder.network.pooled(tensor(recording.mv[None, :, start:stop]))[0].numpy()

    first, last = network(0, 2500), network(1100, 3600)
    np.testing.assert_allclose(
        encoder.embed(recording.mv[:, :3600], fs=500), (2500 * first + 1100 * last) / 3600, atol=1e-6
    )
    np.testing.assert_allclose(encoder.embed(recording.mv[:, :900], fs=500), network(0, 900), atol=1e-6)


def test_frames_are_those_of_the_segments_and_say_when_they_begin(encoder, recording):
    frames = encoder.embed(recording.mv, fs=500, frames=True)
    assert frames.shape == (2 * 156, encoder.dim)
    with torch.no_grad():
        first = encoder.network.encoder(tensor(recording.mv[None, :, :2500])).x[0].numpy()
    np.testing.assert_allclose(frames[:156], first, atol=1e-5)
    np.testing.assert_allclose(
        frames.reshape(2, 156, -1).mean(axis=(0, 1)), encoder.embed(recording.mv, fs=500), atol=1e-5
    )
    times = encoder.frame_times(5000)
    assert times.shape == (312,)
    assert times[:2].tolist() == [0, 16 / 500]
    assert times[156] == 5.0
    np.testing.assert_array_equal(encoder.frame_times(2500, fs=250), times)
    listed = encoder.embed([recording.mv, recording.mv[:, :3000]], fs=500, frames=True)
    assert [len(f) for f in listed] == [312, len(encoder.frame_times(3000))]


def test_probabilities_are_averaged_or_maximal_over_the_segments(models, checkpoints, recording):
    model = models["classification"]
    network, _ = load_model(checkpoints["classification"])
    with torch.no_grad():
        logits = network(tensor(recording.mv.reshape(12, 2, 2500).transpose(1, 0, 2))).numpy()
    probabilities = expit(logits.astype(np.float64))
    for aggregate, expected in (("mean", probabilities.mean(axis=0)), ("max", probabilities.max(axis=0))):
        found = model.predict_proba(recording.mv, fs=500, aggregate=aggregate)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        prediction = model.predict(recording.wfdb, aggregate=aggregate)
        np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-6)
    with pytest.raises(ConfigError, match="aggregate must be one of mean, max, but is 'min'"):
        model.predict(recording.wfdb, aggregate="min")


def test_embeddings_of_an_identification_model_are_those_that_evaluate_compares(
    models, checkpoints, recording
):
    network, _ = load_model(checkpoints["identification"])
    with torch.no_grad():
        segments = network(tensor(recording.mv.reshape(12, 2, 2500).transpose(1, 0, 2))).numpy()
    expected, _ = mean_by_record(segments, [0, 0])
    np.testing.assert_allclose(models["identification"].embed(recording.wfdb), expected[0], atol=1e-6)


def test_a_prediction_reads_like_a_dictionary_of_labels(models, recording):
    model = models["classification"]
    prediction = model.predict(recording.wfdb)
    assert list(prediction) == ["atrial fibrillation", "sinus rhythm", "a | b"] == list(model.labels)
    assert prediction["sinus rhythm"] == prediction.probabilities[1]
    assert dict(prediction) == dict(zip(model.labels, prediction.probabilities))
    ranked = prediction.top(2)
    assert ranked[0][1] == max(prediction.values())
    assert ranked[0][1] >= ranked[1][1]
    assert f"one: {ranked[0][0]} {ranked[0][1]:.3f}" in repr(prediction)
    with pytest.raises(KeyError, match="'AF' is none of"):
        prediction["AF"]
    assert prediction == dict(prediction)


def test_classes_count_as_present_above_their_threshold(checkpoints, recording):
    model = ECGModel.load(checkpoints["classification"])
    assert set(model.thresholds.values()) == {0.5}
    values = model.predict_proba(recording.wfdb)
    model.thresholds = {model.labels[1]: float(values[1]) - 1e-6}
    model.thresholds = {model.labels[0]: float(values[0]) + 1e-6, model.labels[2]: 1.0}
    assert model.predict(recording.wfdb).positive == (model.labels[1],)
    model.thresholds = 0.0
    assert model.predict(recording.wfdb).positive == model.labels
    with pytest.raises(TypeError, match="does not support item assignment"):
        model.thresholds[model.labels[0]] = 0.3  # would be lost
    for bad, message in (({"x": 0.5}, "no class 'x'"), ([0.5], "1 thresholds for 3"), (2, "from 0 to 1")):
        with pytest.raises(LabelError, match=message):
            model.thresholds = bad
