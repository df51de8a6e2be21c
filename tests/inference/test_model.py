"""`ECGModel` from a recording to embeddings and predictions: what may not matter does not matter."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy.special import expit

from fairseq_signals import ECGModel
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.resample import resample
from fairseq_signals.errors import (
    CheckpointError,
    ConfigError,
    FairseqSignalsError,
    LabelError,
    LeadError,
    SignalError,
    SignalWarning,
)
from fairseq_signals.inference.sources import StoreRecord
from fairseq_signals.metrics.identification import l2_normalize, mean_by_record
from fairseq_signals.modules.checkpoint import load_model


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


# --- batches and errors ----------------------------------------------------------------------------------


def test_a_batch_gives_one_row_a_recording_and_an_empty_one_none(models, recording):
    encoder, classifier = models["pretraining"], models["classification"]
    assert encoder.embed([recording.wfdb, recording.mv], fs=500).shape == (2, 16)
    assert encoder.embed([]).shape == (0, 16)
    assert classifier.predict_proba([]).shape == (0, 3)
    assert classifier.predict([]) == []
    assert [p.record_id for p in classifier.predict([recording.wfdb] * 2)] == ["one", "one"]


def test_a_stream_gives_recordings_in_order_and_errors_in_their_place(encoder, recording, tmp_path):
    long = np.tile(recording.mv, 3)
    sources = [recording.wfdb, tmp_path / "none", long, recording.mv * np.nan, recording.mv[:, :700]]
    read = []

    def reading():
        for source in sources:
            read.append(source)
            yield source

    stream = encoder.stream(reading(), fs=500, outputs=("embedding", "frames"), batch_size=2)
    first = next(stream)
    assert len(read) < len(sources)  # not read ahead of what is asked for
    found = [first, *stream]
    assert [isinstance(f, FairseqSignalsError) for f in found] == [False, True, False, True, False]
    assert [len(f.windows) for f in (found[0], found[2], found[4])] == [2, 6, 1]
    np.testing.assert_allclose(found[2].embedding, found[0].embedding, atol=1e-5)
    assert len(found[2].frames) == len(found[2].frame_starts) == 6 * 156
    assert found[4].n_samples == 700


def test_one_bad_recording_of_a_batch_is_named(encoder, recording):
    with pytest.raises(SignalError, match="record 1 of the batch: samples that are not finite"):
        encoder.embed([recording.mv, recording.mv * np.nan], fs=500)


def test_a_recording_that_is_too_short_is_refused_and_a_very_short_one_warned_about(encoder, recording):
    with pytest.raises(SignalError, match="10 samples at 500 Hz are less than one frame"):
        encoder.embed(recording.mv[:, :10], fs=500)
    with pytest.warns(SignalWarning, match=r"is 0\.2 s long, less than a heartbeat"):
        encoder.embed(recording.mv[:, :100], fs=500)


def test_wrong_units_flat_records_missing_rates_and_unknown_leads_are_told(encoder, recording):
    with pytest.warns(SignalWarning, match="divide µV by 1000"):
        encoder.embed(recording.mv * 1000, fs=500)
    with pytest.raises(SignalError, match="is flat"):
        encoder.embed(np.zeros((12, 5000)), fs=500)
    with pytest.raises(SignalError, match="does not say its sampling rate"):
        encoder.embed(recording.mv)
    with pytest.raises(LeadError, match="unknown lead 'V12'"):
        encoder.embed(recording.mv[:2], fs=500, leads=["I", "V12"])


def test_outputs_that_are_not_finite_are_refused_with_the_record(save_checkpoint, recording, tmp_path):
    model = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining"))
    with torch.no_grad():
        model.network.encoder.layer_norm.weight.fill_(float("inf"))
    with pytest.raises(CheckpointError, match="record one: the model's embedding is not finite"):
        model.embed(recording.wfdb)
    (outcome,) = model.stream([recording.wfdb])
    assert isinstance(outcome, CheckpointError)


def test_a_model_says_what_it_cannot_do(models, recording):
    with pytest.raises(CheckpointError, match="pretraining model has no classes; fine-tune it first, or use"):
        models["pretraining"].predict(recording.wfdb)
    with pytest.raises(CheckpointError, match="identification model has no classes; use predict"):
        models["identification"].predict_proba(recording.wfdb)
    for outputs in (["embeding"], []):
        with pytest.raises(ConfigError, match="outputs must be of embedding, frames, logit, probability"):
            next(models["pretraining"].stream(recording.wfdb, outputs=outputs))
    with pytest.raises(CheckpointError, match="has no classes"):
        next(models["pretraining"].stream(recording.wfdb, outputs=["logit"]))
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        models["pretraining"].embed(recording.wfdb, batch_size=0)


# --- loading ---------------------------------------------------------------------------------------------


def test_options_of_the_training_decide_how_recordings_are_given(save_checkpoint, recording, tmp_path):
    task = {"sample_rate": 250.0, "normalize": True, "max_sample_size": 1000}
    model = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining", task))
    assert (model.fs, model.form.segment_samples, model.form.normalize) == (250.0, 1000, True)
    scaled = recording.mv * np.linspace(0.3, 5, 12)[:, None] + 0.4
    np.testing.assert_allclose(model.embed(scaled, fs=500), model.embed(recording.mv, fs=500), atol=1e-4)
    assert len(next(model.stream(recording.wfdb)).windows) == 3


def test_a_model_of_fewer_leads_takes_those_by_name(save_checkpoint, recording, tmp_path):
    task = {"leads_to_load": "II,V2", "enable_padding_leads": False}
    model = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining", task, in_d=2))
    assert model.leads == ("II", "V2")
    expected = model.embed(recording.mv[[7, 1]], fs=500, leads=["V2", "II"])
    np.testing.assert_array_equal(model.embed(recording.wfdb), expected)
    with pytest.raises(LeadError, match="has the leads I, but the model takes only II, V2"):
        model.embed(recording.mv[0], fs=500, leads="I")
    limb = np.where(np.arange(12)[:, None] == 0, recording.mv, 0)
    with pytest.raises(SignalError, match=r"is flat in all leads that the model takes \(II, V2\)"):
        model.embed(limb, fs=500)


def test_what_a_checkpoint_does_not_say_can_be_said_when_it_is_loaded(checkpoints, recording):
    model = ECGModel.load(checkpoints["pretraining"], normalize=True, segment_s=2.0)
    assert (model.form.normalize, model.form.segment_samples) == (True, 1000)
    assert len(next(model.stream(recording.wfdb)).windows) == 5
    with pytest.raises(ConfigError, match="segment_s must be above 0"):
        ECGModel.load(checkpoints["pretraining"], segment_s=0)


def test_a_device_that_pytorch_cannot_use_is_refused(checkpoints):
    with pytest.raises(ConfigError, match=r"--device nonsense: PyTorch cannot use it .* try cpu"):
        ECGModel.load(checkpoints["pretraining"], device="nonsense")


def test_fine_tuned_checkpoints_of_the_authors_shape_take_options_from_the_pretrained_one(
    save_checkpoint, recording, tmp_path
):
    pretrained = save_checkpoint(tmp_path / "pretrained.pt", "pretraining", encoder_attention_heads=4)
    raw = torch.load(save_checkpoint(tmp_path / "c.pt", "classification", encoder_attention_heads=4))
    raw["cfg"]["model"] = {"model_path": "/gone/elsewhere.pt", "saliency": False}
    torch.save(raw, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"Put the pre-trained checkpoint elsewhere\.pt beside it"):
        ECGModel.load(tmp_path / "c.pt")
    model = ECGModel.load(tmp_path / "c.pt", pretrained=pretrained, labels=["a", "b", "c"])
    assert model.network.encoder.cfg.encoder_attention_heads == 4
    assert set(model.predict(recording.wfdb)) == {"a", "b", "c"}


def test_a_model_says_what_it_is(models):
    model = models["classification"]
    assert repr(model) == "ECGModel(classification, 3 classes, 12 leads at 500 Hz, 0.0 M parameters)"
    described = model.describe()
    assert described["kind"] == "classification"
    assert described["parameters"] == model.n_parameters == sum(p.numel() for p in model.network.parameters())
    assert described["labels"][1]["codes"] == ["2", "3"]


def test_fingerprints_tell_parameters_and_segments_apart(models, checkpoints, save_checkpoint, tmp_path):
    again = ECGModel.load(checkpoints["pretraining"])
    other = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "pretraining", seed=1))
    assert again.fingerprint == models["pretraining"].fingerprint
    scaled = ECGModel.load(checkpoints["pretraining"], normalize=True)
    short = ECGModel.load(checkpoints["pretraining"], segment_s=2)
    assert len({model.fingerprint for model in (*models.values(), other, scaled, short)}) == 6


def test_a_model_survives_pickling(models, recording):
    for model in models.values():
        copy = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copy.embed(recording.wfdb), model.embed(recording.wfdb))
        assert copy.labels == model.labels


def test_random_numbers_and_gradients_are_left_alone(encoder, recording):
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.embed(recording.wfdb)
    assert torch.equal(torch.get_rng_state(), before)
    assert not encoder.network.training
    assert l2_normalize(encoder.embed(recording.wfdb)[None]).shape == (1, 16)
