"""`ECGModel` on batches and streams, and what it says of recordings and calls that it cannot use."""

import pickle

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.errors import (
    CheckpointError,
    ConfigError,
    FairseqSignalsError,
    LeadError,
    SignalError,
    SignalWarning,
)


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
    with pytest.warns(SignalWarning, match="µV taken for mV"):
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
    for outputs in (["embeding"], [], ["probability"]):
        with pytest.raises(
            ConfigError, match="outputs must be of embedding, frames, logit, joint, middle, but are"
        ):
            next(models["classification"].stream(recording.wfdb, outputs=outputs))
    with pytest.raises(CheckpointError, match="has no classes"):
        next(models["pretraining"].stream(recording.wfdb, outputs=["logit"]))
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        models["pretraining"].embed(recording.wfdb, batch_size=0)


def test_patient_ids_are_taken_from_any_column(models, recording):
    pandas = pytest.importorskip("pandas")
    identifier = pickle.loads(pickle.dumps(models["identification"]))
    rows = [recording.mv, recording.mv[::-1]]
    for ids in (["p", "q"], [4, 5]):
        for column in (pandas.Series(ids, index=[7, 9]), np.array(ids, dtype=object), tuple(ids)):
            assert identifier.enroll(rows, column, fs=500).patient_ids.tolist() == ids
    for bad in (pandas.Series(["p", None]), pandas.Series(["p", float("nan")]), ["p", "NA"], [0.5, 1.5]):
        with pytest.raises(ConfigError, match="texts or integers, one a recording, and none may be missing"):
            identifier.enroll(rows, bad, fs=500)


def test_columns_of_paths_and_nested_lists_are_embedded(encoder, recording):
    pandas = pytest.importorskip("pandas")
    expected = encoder.embed(recording.wfdb)
    column = pandas.Series([str(recording.wfdb)] * 2)
    np.testing.assert_allclose(encoder.embed(column), [expected] * 2, atol=1e-6)
    np.testing.assert_array_equal(encoder.embed(recording.mv.tolist(), fs=500), expected)
