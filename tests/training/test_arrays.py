"""`train_on_arrays`: from arrays to a model of each task, in one folder, which the same call goes on with."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch

from fairseq_signals import train_on_arrays
from fairseq_signals.errors import CheckpointError, ConfigError, FairseqSignalsError, LabelError, SignalError
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.training import running

N = 24
PATIENTS = [f"p{i // 2}" for i in range(N)]
X = np.random.default_rng(0).normal(0, 0.02, (N, 12, 1000)).cumsum(axis=2)  # 10 s at 100 Hz
TINY = {
    "task.sample_rate": 100,
    "model.encoder_layers": 1,
    "model.encoder_embed_dim": 16,
    "model.encoder_ffn_embed_dim": 32,
    "model.encoder_attention_heads": 2,
    "model.conv_feature_layers": "[(8, 2, 2)] * 4",
    "model.conv_pos": 8,
    "model.conv_pos_groups": 2,
    "dataset.num_workers": 0,
    "optimization.max_update": 2,
}
PRETRAIN = {
    **TINY,
    "model.latent_vars": 8,
    "model.final_dim": 8,
    "model.num_negatives": 5,
    "dataset.batch_size": 4,
    "lr_scheduler.warmup_updates": 0,
}


@pytest.fixture
def trainings(monkeypatch, start_fairseq, tmp_path):
    """Trainings run in processes forked from one that has fairseq loaded; gives the list of their ends."""
    ended = []

    @contextlib.contextmanager
    def forked(command):
        assert command[1:3] == ["-m", "fairseq_cli.hydra_train"]
        training = start_fairseq("hydra_train", tmp_path / f"process-{len(ended)}", *command[3:])
        training.process.join()
        training.stdout, training.returncode = (
            io.StringIO(training.log.read_text()),
            training.process.exitcode,
        )
        ended.append(training.returncode)
        yield training

    monkeypatch.setattr(running, "_started", forked)
    return ended


def splits_of(folder):
    """The patients of each manifest."""
    found = {path.stem: read_manifest(path) for path in (folder / "manifests").glob("*.tsv")}
    return {name: set(manifest.patient_ids) for name, manifest in found.items()}


def test_pre_training_and_fine_tuning_from_it(trainings, tmp_path, capfd):
    shared = {"patients": PATIENTS, "size": "tiny"}
    made = train_on_arrays(X, 100, out=tmp_path / "pre", task="pretraining", options=PRETRAIN, **shared)
    assert (made.kind, made.fs, made.dim) == ("pretraining", 100, 16)
    labels = {"AF": np.arange(N) // 2 % 2, "SB": np.arange(N) // 2 % 3 == 0}
    given = {"labels": labels, "model_path": tmp_path / "pre", **shared}
    given["options"] = {"optimization.max_update": 2, "dataset.num_workers": 0}
    tuned = train_on_arrays(X, 100, out=tmp_path / "dx", **given)
    assert "classification of AF, SB; 24 recordings" in capfd.readouterr().err
    assert (tuned.kind, tuned.labels, tuned.form) == ("classification", ("AF", "SB"), made.form)
    probability = tuned.predict_proba(X, 100)
    assert probability.shape == (N, 2)
    pretrained, kept = splits_of(tmp_path / "pre"), splits_of(tmp_path / "dx")
    assert (pretrained["train"], pretrained["valid"]) == (kept["train"], kept["valid"])
    assert kept["test"]
    assert trainings == [0, 0]

    again = train_on_arrays(X, 100, out=tmp_path / "dx", **given)
    np.testing.assert_array_equal(again.predict_proba(X, 100), probability)
    assert trainings == [0, 0]  # nothing was trained
    with pytest.raises(ConfigError, match=r"another call \(seed was 1 and is now 2\)\. Choose another out"):
        train_on_arrays(X, 100, out=tmp_path / "dx", seed=2, **given)
    with pytest.raises(ConfigError, match="the arrays, labels or patients are others"):
        train_on_arrays(X * 2, 100, out=tmp_path / "dx", **given)
    start = running.best_checkpoint(tmp_path / "pre" / "run")
    torch.save({**torch.load(start, weights_only=False), "trained": "again"}, start)
    with pytest.raises(ConfigError, match="sha256 of model_path was"):
        train_on_arrays(X, 100, out=tmp_path / "dx", **given)


def test_a_killed_call_goes_on_where_it_was(trainings, tmp_path, monkeypatch):
    given = {"patients": PATIENTS, "task": "identification", "size": "tiny", "split": (4, 1, 1)}
    given.update(out=tmp_path / "id", options={**TINY, "model.num_labels": 0})

    def killed(command):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running, "_started", killed)
        with pytest.raises(KeyboardInterrupt):
            train_on_arrays(X, 100, **given)
    shard = tmp_path / "id" / "store" / "shard-00000.arrow"
    written = shard.stat().st_mtime_ns
    model = train_on_arrays(X, 100, **given)
    assert (model.kind, trainings, shard.stat().st_mtime_ns) == ("identification", [0], written)
    assert np.linalg.norm(model.embed(X[0], 100)) == pytest.approx(1, abs=1e-5)


def test_classes_that_exclude_each_other_on_the_input_of_a_preset(trainings, tmp_path):
    labels = np.array(["AF", "SB", "SR"])[np.arange(N) % 3]
    given = {"labels": labels, "size": "tiny", "preset": "ecg-fm", "options": {**TINY, "task.segment_s": 4}}
    with pytest.warns(UserWarning, match="each recording counts as another person's"):
        model = train_on_arrays(X[:, :2], 100, "I,II", out=tmp_path, **given)
    assert model.labels == ("AF", "SB", "SR")
    np.testing.assert_allclose(model.predict_proba(X[:4, :2], 100, "I,II").sum(axis=1), 1, rtol=1e-6)
    form = model.form
    assert (form.fs, form.normalize, form.resampler) == (100, "record", "linear")
    assert (form.segment_s, form.last_segment, form.zero_frames) == (4, "drop", "skip")
    assert read_manifest(tmp_path / "manifests" / "train.tsv").n_samples[0] == 400
    assert json.loads((tmp_path / "store" / "store.json").read_text())["resampler"] == "linear"


def test_numbers_are_estimated_in_their_units(trainings, tmp_path):
    labels = {"age": 40.5 + np.arange(N) // 2, "K": 4 + 0.1 * (np.arange(N) // 2)}
    given = {"labels": labels, "patients": PATIENTS, "size": "tiny", "options": TINY}
    model = train_on_arrays(X, 100, out=tmp_path, **given)
    estimate = model.predict(X[0], 100)
    assert (model.kind, list(estimate)) == ("regression", ["age", "K"])
    assert 30 < estimate["age"] < 65
    assert 3 < estimate["K"] < 6.5


def test_an_error_of_the_training_is_told_and_another_call_may_follow(trainings, tmp_path):
    given = {"labels": np.arange(N) % 2, "patients": PATIENTS, "size": "tiny", "out": tmp_path / "dx"}
    with pytest.raises(FairseqSignalsError, match=r"the training failed: .*heads.*training\.log"):
        train_on_arrays(X, 100, options={**TINY, "model.encoder_attention_heads": 3}, **given)
    with pytest.raises(ConfigError, match=r"the training failed: .*max_updates.*training\.log"):
        train_on_arrays(X, 100, options={**TINY, "optimization.max_updates": 3}, **given)
    assert train_on_arrays(X, 100, options=TINY, **given).labels == ("0", "1")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"labels": [0, 1]}, LabelError, "labels are 2, but there are 24 recordings"),
        ({"x": X[:, :3]}, FairseqSignalsError, "say which leads its 3 rows are"),
        ({"x": np.where(X > 0.5, np.nan, X)}, SignalError, "not finite"),
        ({"x": X[:, :, :900]}, SignalError, "24 of 24 recordings are shorter than 2 x 5 s"),
        ({"size": "huge"}, ConfigError, "size must be one of tiny, small, paper, but is 'huge'"),
        ({"preset": "ecg-gm"}, ConfigError, "did you mean ecg-fm"),
        ({"split": (1, 0, 0)}, ConfigError, "split must be three shares"),
        ({"options": {"task.data": "/x"}}, ConfigError, "task.data is set by train_on_arrays itself"),
        ({"options": {"optim.lr": [1]}}, ConfigError, "'optim.lr' is not SECTION.KEY .*did you mean"),
        ({"options": {"task.normalize": "all"}}, ConfigError, "task.normalize must be"),
        ({"model_path": "absent.pt", "labels": [0, 1] * 12}, CheckpointError, "there is no absent.pt"),
        ({"model_path": __file__}, ConfigError, "pre-training begins from random weights"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(given, error, message, tmp_path):
    x = given.pop("x", X)
    with pytest.raises(error, match=message):
        train_on_arrays(x, 100, out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(
        ConfigError, match="is not an empty folder, and no training on arrays was begun there"
    ):
        train_on_arrays(X, 100, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_a_training_is_a_process_of_its_own(tmp_path):
    model = train_on_arrays(X, 100, out=tmp_path, patients=PATIENTS, task="pretraining", size="tiny",
                            options=PRETRAIN)  # fmt: skip
    assert "num_updates 2" in (tmp_path / "training.log").read_text()
    assert model.embed(X, 100).shape == (N, 16)
