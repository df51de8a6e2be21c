"""What reaches the encoder is the same in training, validation, evaluation, inference and export."""

import logging

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals import ECGModel, read_recording
from fairseq_signals.checkpoints.input_format import InputFormat, input_format
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.normalize import Moments, Scaling, moments
from fairseq_signals.ecg.resample import RESAMPLERS
from fairseq_signals.errors import SignalError
from fairseq_signals.evaluation.predict import predict
from fairseq_signals.inference.model_input import ModelInput
from fairseq_signals.inference.program import Program
from fairseq_signals.inference.recording import Recording
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.models.config import whole_config
from fairseq_signals.store.shards import StoreRow, write_shard

N, FS = 100, 50.0
OPTIONS = [
    {},
    {"normalize": True},
    {"normalize": "segment", "input_scale": 3.0},
    {"normalize": "record"},
    {"input_scale": 1000.0},
    {"preset": "ecg-fm", "sample_rate": FS, "segment_s": N / FS, "resampler": "polyphase"},
    {"preset": "deepecg-ssl", "sample_rate": FS, "segment_s": N / FS},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two records of two and a half segments with a constant lead; one has an offset and no V6."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    records = []
    for i, leads in enumerate((LEADS, LEADS[:11])):
        signal = np.cumsum(rng.integers(-9, 10, (len(leads), 5 * N // 2)), axis=1).astype(np.int16)
        signal[5] = 7
        offset = np.full(len(leads), 0.5 if i else 0.0)
        records.append(StoreRow(f"r{i}", "x", FS, leads, np.full(len(leads), 0.01), signal, offset=offset))
    write_shard(folder / "shard-00000.arrow", records)
    rows = [
        Row(f"shard-00000.arrow#{r}:{k * N}", N, f"x/r{r}", f"x/p{r}", k, str(r))
        for r in (0, 1)
        for k in (0, 1)
    ]
    for split in ("train", "valid"):
        (folder / f"{split}.tsv").write_text("".join(format_manifest(folder, rows)))
    (folder / "labels.csv").write_text("index,name,abbreviation,codes\n0,a,A,1\n1,b,B,2\n")
    return folder


@pytest.fixture
def trained(setup, folder, tiny, tmp_path):
    """`trained(options)`: a task with its data, and the path of a checkpoint of its model."""

    def make(options):
        task = setup("ecg_classification", folder, **{"sample_rate": FS, **options})
        task.load_dataset("train")
        task.load_dataset("valid")
        cfg = OmegaConf.create({"_name": "ecg_transformer_classifier", **tiny})
        model = task.build_model(cfg)
        plain = {
            "model": OmegaConf.to_container(cfg),
            "task": OmegaConf.to_container(whole_config(task.cfg).task),
        }
        torch.save({"model": model.state_dict(), "cfg": plain}, tmp_path / "c.pt")
        return task, tmp_path / "c.pt"

    return make


def seen(network):
    """A list that fills with the segments that reach the encoder of a network."""
    found = []
    network.encoder.register_forward_pre_hook(lambda _, given: found.extend(given[0].numpy()))
    return found


@pytest.mark.parametrize("options", OPTIONS)
def test_one_array_in_training_validation_evaluation_inference_and_export(trained, folder, options):
    task, path = trained(options)
    of = {split: task.dataset(split) for split in ("train", "valid")}
    expected = of["train"].collater([0, 1, 2, 3])["net_input"]["source"].numpy()
    np.testing.assert_array_equal(of["valid"].collater([0, 1, 2, 3])["net_input"]["source"], expected)

    model = ECGModel.load(path)
    taken = seen(model.network)
    records = [read_recording(f"{folder}#r{i}") for i in (0, 1)]
    for record in records:
        windows = next(model.stream([record])).windows
    n = len(windows)  # where the rest is not dropped, a third segment overlaps the second
    assert n == (2 if model.form.last_segment == "drop" else 3)
    inferred = np.stack([taken[i] for i in (0, 1, n, n + 1)])
    atol = 1e-6 * max(1.0, model.form.scale / 10)
    np.testing.assert_allclose(inferred, expected, rtol=1e-6, atol=atol)

    taken.clear()
    form = input_format(load_checkpoint(path))
    assert form == model.form
    predict(model.network, read_manifest(folder / "valid.tsv"), {"12": tuple(range(12))}, 4, form=form)
    np.testing.assert_array_equal(np.stack(taken), expected)

    taken.clear()
    program = Program(model.network, ["embedding"], form.scaling, torch.nn.Identity())
    for i, record in enumerate(records):
        mv = np.zeros((12, record.n_samples))
        mv[[LEADS.index(lead) for lead in record.leads]] = record.signal_mv
        whole = moments(lambda start, stop, mv=mv: mv[:, start:stop], mv.shape[1])
        segments = torch.from_numpy(np.stack([mv[:, k * N : (k + 1) * N] for k in (0, 1)]).astype(np.float32))
        given = [torch.from_numpy(part[:, 0].astype(np.float32)).expand(2, 12) for part in whole]
        program(segments, *(given if form.normalize == "record" else ()))
        np.testing.assert_allclose(taken[-2:], expected[2 * i : 2 * i + 2], rtol=1e-6, atol=2 * atol)


def test_leads_have_mean_0_and_deviation_1_over_the_record_and_not_over_a_segment(trained, folder):
    task, _ = trained({"normalize": "record"})
    source = task.dataset("train").collater([0, 1])["net_input"]["source"].double()
    record = read_recording(f"{folder}#r0").signal_mv
    expected = (record - record.mean(axis=1, keepdims=True)) / record.std(axis=1, keepdims=True)
    varies = np.arange(12) != 5
    np.testing.assert_allclose(source[0][varies], expected[varies, :N], atol=1e-6)
    np.testing.assert_allclose(source[1][varies], expected[varies, N : 2 * N], atol=1e-6)
    assert not source[:, 5].any()


def test_moments_of_a_recording_in_stretches_are_those_of_the_whole(monkeypatch):
    signal = np.random.default_rng(1).normal(300, 0.2, (3, 1000))
    signal[1] = -4.7
    monkeypatch.setattr("fairseq_signals.ecg.normalize._STRETCH", 77)
    found = moments(lambda start, stop: signal[:, start:stop], 1000)
    np.testing.assert_allclose(found.mean[:, 0], signal.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.deviation[:, 0], [signal[0].std(), 0, signal[2].std()], rtol=1e-9)
    scaled = Scaling("record").apply(signal, found)
    assert scaled.dtype == np.float32
    assert not scaled[1].any()
    zero = Moments(np.zeros((3, 1)), np.zeros((3, 1)))
    assert not Scaling("record").apply(signal, zero).any()


@pytest.mark.parametrize("fs", [100.0, 257.0, 400.0])
@pytest.mark.parametrize("how", RESAMPLERS)
def test_a_lead_that_is_constant_stays_so_when_it_is_resampled(fs, how):
    signal = np.full((2, 3000), [[0.37], [1.0]])
    signal[1, ::7] = 0
    given = ModelInput(Recording(signal, fs, ("I", "V1")), InputFormat(normalize="record", resampler=how))
    assert given.stretch().any(axis=1).nonzero()[0].tolist() == [6]


def test_a_store_of_another_resampler_is_refused_by_name(trained, folder):
    with pytest.raises(SignalError, match=r"resampled polyphase, but task\.resampler is linear.*--resampler"):
        trained({"preset": "ecg-fm", "sample_rate": FS})


def test_an_encoder_that_was_trained_on_another_input_is_told(trained, setup, folder, tiny, caplog):
    _, path = trained({"normalize": "record", "input_scale": 2.0})
    cfg = {"_name": "ecg_transformer_classifier", **tiny, "model_path": str(path)}
    task = setup("ecg_classification", folder, sample_rate=FS)
    with caplog.at_level(logging.WARNING):
        task.build_model(OmegaConf.create(cfg))
    assert (
        "trained on another input: task.normalize is none, there it was record, task.input_scale is 1.0"
        in caplog.text
    )
    caplog.clear()
    setup("ecg_classification", folder, sample_rate=FS, preset="none").build_model(OmegaConf.create(cfg))
    setup("ecg_classification", folder, sample_rate=FS, normalize="record", input_scale=2).build_model(
        OmegaConf.create(cfg)
    )
    assert "another input" not in caplog.text
