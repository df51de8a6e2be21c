"""`plan`: which training a folder of manifests, a machine and a start ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from fairseq_signals import ECGModel
from fairseq_signals.errors import CheckpointError, ConfigError, ManifestError
from fairseq_signals.training.plan import plan
from fairseq_signals.training.run import prepare
from tests.sizes import TINY

LINE = "shard#0:{start}\t500\ts/{record}\ts/{record}\t{segment}\t{target}\n"


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def manifests(tmp_path):
    """`manifests(kind, n, valid)`: a folder of so many segments, two of each record, at 100 Hz."""

    def write(kind: str = "classification", n: int = 1280, valid: int = 20, fs: float = 100) -> Path:
        folder = tmp_path / kind
        folder.mkdir(exist_ok=True)
        names = ("valid_gallery", "valid_probe") if kind == "identification" else ("valid",)
        for name, count in (("train", n), *((name, valid) for name in names)):
            lines = [
                LINE.format(start=500 * (i % 2), record=f"{name}{i // 2}", segment=i % 2, target=0)
                for i in range(count)
            ]
            (folder / f"{name}.tsv").write_text("".join([f"{tmp_path}\n", *lines]))
        (folder / "manifest.json").write_text(json.dumps({"kind": kind, "fs": fs}))
        return folder

    return write


@pytest.fixture
def start(tmp_path):
    """A pre-trained checkpoint at 100 Hz, tiny."""
    from fairseq_signals.modules.encoder import ECGEncoder
    from fairseq_signals.modules.encoder_config import EncoderConfig

    config = EncoderConfig(**TINY)
    model = {f"encoder.{key}": value for key, value in ECGEncoder(config).state_dict().items()}
    task = {"_name": "ecg_pretraining", "sample_rate": 100, "normalize": "segment"}
    cfg = {"model": {"_name": "ecg_mae", **TINY}, "task": task}
    (tmp_path / "run").mkdir()
    torch.save({"model": model, "cfg": cfg}, tmp_path / "run" / "final.pt")
    return tmp_path / "run" / "final.pt"


def values(made) -> dict[str, str]:
    """The overrides of a command."""
    return dict(word[2:].split("=", 1) for word in made.run.command()[5:])


def test_the_command_of_a_pre_training_has_absolute_paths_one_folder_and_this_machine(
    manifests, tmp_path, repo_dir, monkeypatch
):
    data = manifests()
    monkeypatch.chdir(tmp_path)
    made = plan("pretrain", Path(data.name), Path("out"))
    package = repo_dir / "fairseq_signals"
    assert made.run.command() == [
        *("fairseq-hydra-train", "--config-dir", str(package / "training" / "config")),
        *("--config-name", "pretrain"),
        f"++common.user_dir={package}",
        f"++task.data={data}",
        f"++checkpoint.save_dir={tmp_path / 'out'}",
        f"++hydra.run.dir={tmp_path / 'out'}",
        "++common.seed=1",
        "++common.cpu=true",
    ]


@pytest.mark.parametrize(
    ("kind", "task", "metric", "maximize"),
    [
        ("classification", "ecg_classification", "auroc", True),
        ("identification", "ecg_identification", "accuracy", True),
        ("regression", "ecg_regression", "mae", False),
    ],
)
def test_the_task_and_the_metric_of_the_best_checkpoint_are_those_of_the_manifests(
    manifests, start, tmp_path, kind, task, metric, maximize
):
    made = plan("finetune", manifests(kind), tmp_path / "out", start=str(start))
    settings = made.run.settings()
    assert (made.task, settings["task"]["_name"]) == (kind, task)
    assert settings["checkpoint"]["best_checkpoint_metric"] == metric
    assert settings["checkpoint"]["maximize_best_checkpoint_metric"] is maximize


@pytest.mark.parametrize("named", ["file", "folder", "saved"])
def test_fine_tuning_begins_with_the_model_and_takes_its_input(manifests, start, tmp_path, named):
    if named == "saved":
        pytest.importorskip("safetensors")
        ECGModel.load(start).save(tmp_path / "saved")
    name = {"file": start, "folder": start.parent, "saved": tmp_path / "saved"}[named]
    given = values(plan("finetune", manifests(), tmp_path / "out", start=str(name), seed=5))
    assert given["model.model_path"] == str(name if named == "saved" else start)
    assert (float(given["task.sample_rate"]), given["task.normalize"]) == (100, '"segment"')
    assert given["common.seed"] == "5"


def test_pre_training_that_goes_on_from_a_model_has_its_encoder(manifests, start, tmp_path):
    given = values(plan("pretrain", manifests(), tmp_path / "out", start=str(start)))
    shape = {key: json.loads(given[f"model.{key}"]) for key in ("encoder_layers", "encoder_embed_dim")}
    assert shape == {key: TINY[key] for key in shape}
    assert "task.sample_rate" not in given  # as the configuration has it


@pytest.mark.parametrize(
    ("n", "batch", "updates"),
    [
        (1280, None, None),  # 40 batches of 32: the file's 350 updates are 8.75 epochs
        (32 * 500, None, 2500),  # 5 epochs at least
        (120, 16, None),  # at most a quarter of the segments
        (20, 4, 250),  # 50 epochs at most
        (3, 2, 100),
    ],
)
def test_batch_and_updates_fit_the_corpus(manifests, start, tmp_path, n, batch, updates):
    given = values(plan("finetune", manifests(n=n), tmp_path / "out", start=str(start)))
    assert given.get("dataset.batch_size") == (batch and str(batch))
    assert given.get("optimization.max_update") == (updates and str(updates))


def test_what_is_given_stands_and_the_schedule_follows_it(manifests, start, tmp_path):
    options = ["dataset.batch_size=8", "optimization.max_update=20"]
    given = values(plan("finetune", manifests(n=16), tmp_path / "out", start=str(start), overrides=options))
    assert (given["dataset.batch_size"], given["optimization.max_update"]) == ("8", "20")
    assert given["lr_scheduler.warmup_updates"] == "4"


def test_epochs_that_are_given_go_before_the_updates_of_the_file(manifests, start, tmp_path):
    options = ["optimization.max_epoch=20"]
    given = values(plan("finetune", manifests(n=1280), tmp_path / "out", start=str(start), overrides=options))
    assert given["optimization.max_update"] == "800"


def test_schedules_of_a_file_end_with_the_training(manifests, tmp_path):
    config = {
        "task": {"_name": "ecg_pretraining", "sample_rate": 100, "segment_pairs": True},
        "dataset": {"batch_size": 32},
        "optimization": {"max_epoch": 3, "max_update": 48},
        "lr_scheduler": {"_name": "tri_stage", "total_num_update": 9, "warmup_updates": 1},
        "model": {"ema_updates": 7},
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(config))
    given = values(plan("pretrain", manifests(n=1280), tmp_path / "out", config=str(tmp_path / "a.yaml")))
    updates = "60"  # 3 epochs of 20 batches of pairs
    keys = ("optimization.max_update", "lr_scheduler.total_num_update", "model.ema_updates")
    assert [given[key] for key in keys] == [updates] * 3
    assert "lr_scheduler.warmup_updates" not in given


@pytest.mark.parametrize("kind", ["classification", "identification"])
def test_without_segments_to_validate_on_the_last_checkpoint_is_kept(manifests, start, tmp_path, kind):
    made = plan("finetune", manifests(kind, valid=0), tmp_path / "out", start=str(start))
    assert values(made)["dataset.disable_validation"] == "true"
    assert "nothing to validate on" in made.notes[-1]


@pytest.mark.parametrize(
    ("config", "overrides", "task"),
    [("clip", ["task.sample_rate=100"], "ecg_text_pretraining"), ("pretrain", [], "ecg_pretraining")],
)
def test_manifests_of_texts_train_what_the_configuration_says(manifests, tmp_path, config, overrides, task):
    made = plan("pretrain", manifests("ecg_text"), tmp_path / "out", config=config, overrides=overrides)
    assert made.run.settings()["task"]["_name"] == task


@pytest.mark.parametrize(
    ("step", "changes", "error", "message"),
    [
        ("pretrain", {"data": "nowhere"}, ManifestError, "no manifests .* name the --dest"),
        (
            "finetune",
            {"data": "pretrain"},
            ManifestError,
            "holds pretrain manifests.* name those of a",
        ),
        ("finetune", {"data": "ecg_text"}, ManifestError, "holds ecg_text manifests.* name those of a"),
        ("pretrain", {"data": "ecg_text"}, ConfigError, "--config clip .* or `--config pretrain` for"),
        ("pretrain", {"n": 0}, ManifestError, "train.tsv: no segments to train on"),
        ("pretrain", {"config": "w2v_cmsc_rml"}, ConfigError, "did you mean w2v_cmsc_rlm"),
        ("finetune", {"config": "w2v_cmsc_rlm"}, ConfigError, "no configuration w2v_cmsc_rlm ships"),
        ("pretrain", {"config": "a.yaml"}, ConfigError, "there is no file a.yaml"),
        ("finetune", {"start": "gone.pt"}, CheckpointError, "--start: there is no gone.pt"),
        ("pretrain", {"fs": 500}, ConfigError, "have 500 Hz, but configuration pretrain.yaml is for 100 Hz"),
        (
            "finetune",
            {"fs": 500},
            ConfigError,
            "have 500 Hz, but the model .* Make the store again with `--fs",
        ),
        ("pretrain", {"overrides": ["modle.x=1"]}, ConfigError, "no section modle; did you mean model"),
        ("pretrain", {"overrides": ["optimization.lr"]}, ConfigError, "is not GROUP.KEY=VALUE"),
        ("pretrain", {"overrides": ["task.data=x"]}, ConfigError, "say it with DATA"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    manifests, start, tmp_path, step, changes, error, message
):
    kind = changes.pop("data", "classification")
    data = (
        manifests(kind, n=changes.pop("n", 64), fs=changes.pop("fs", 100)) if kind != "nowhere" else tmp_path
    )
    options = {"start": str(start)} if step == "finetune" else {}
    with pytest.raises(error, match=message):
        plan(step, data, tmp_path / "out", **{**options, **changes})
    assert not (tmp_path / "out").exists()


def test_a_training_that_was_stopped_before_its_first_checkpoint_is_no_start(manifests, tmp_path):
    data, out = manifests(), tmp_path / "out"
    prepare(plan("pretrain", data, out).run)
    with pytest.raises(
        CheckpointError, match=r"the training in .*out has no model yet; give its command again"
    ):
        plan("finetune", data, tmp_path / "tuned", start=str(out))


def test_a_folder_of_other_settings_is_refused_and_of_another_machine_goes_on(
    manifests, tmp_path, monkeypatch
):
    data, out = manifests(), tmp_path / "out"
    prepare(plan("pretrain", data, out).run, put_aside=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    prepare(plan("pretrain", data, out).run, put_aside=False)
    with pytest.raises(
        ConfigError, match=r"another training: common.seed was 1 and is now 2. Choose another"
    ):
        prepare(plan("pretrain", data, out, seed=2).run, put_aside=False)
    (tmp_path / "mine").mkdir()
    prepare(plan("pretrain", data, tmp_path / "mine").run, put_aside=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match=r"there is no settings.json in it"):
        prepare(plan("pretrain", data, tmp_path / "full").run, put_aside=False)
