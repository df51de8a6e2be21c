"""fairseq finds tasks, models and criterions however it is told of them, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fairseq
import pytest
import yaml

TASKS = {"ecg_pretraining", "ecg_classification", "ecg_regression", "ecg_identification"}
TASKS |= {"ecg_text_pretraining", "ecg_question_answering"}
MODELS = {"ecg_wav2vec2", "wav2vec2_cmsc", "ecg_contrastive", "ecg_distillation", "ecg_transformer"}
MODELS |= {"ecg_transformer_classifier", "arcface", "ecg_beat_tokens", "ecg_vq"}
CRITERIONS = {"ecg_wav2vec2", "wav2vec2_with_cmsc", "cmsc", "clocs", "simclr", "3kg"}
CRITERIONS |= {"ts2vec", "cocoa", "dino", "masked_sentence"}
CRITERIONS |= {"binary_cross_entropy_with_logits", "cross_entropy_with_logits", "regression", "arcface"}

# fairseq first, as where a program imports it long before us
STOCK_FIRST = """
import json
import fairseq
from fairseq import criterions, models, tasks
kinds = {
    "task": tasks.TASK_REGISTRY,
    "model": models.MODEL_REGISTRY,
    "arch": models.ARCH_MODEL_REGISTRY,
    "criterion": criterions.CRITERION_REGISTRY,
}
stock = {kind: sorted(registry) for kind, registry in kinds.items()}
import fairseq_signals
ours = {
    kind: {name: cls.__module__ for name, cls in registry.items() if name not in stock[kind]}
    for kind, registry in kinds.items()
}
print(json.dumps({"stock": stock, "ours": ours}))
"""

# fairseq_signals first: what needs no fairseq, then fairseq's Python API
OURS_FIRST = """
import importlib, json, pkgutil, sys
import fairseq_signals, fairseq_signals.ecg
from fairseq_signals.errors import MissingLibraryError

def modules(package):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            importlib.import_module(module.name)
        except MissingLibraryError:  # of a format, where there is no such library for this Python
            pass

modules(fairseq_signals.ecg)
for name in ("store.reading", "store.building", "manifest.table", "manifest.building", "manifest.labels"):
    importlib.import_module("fairseq_signals." + name)
light = sorted({"torch", "fairseq"} & set(sys.modules))

sys.modules["fairseq"] = None  # as where it is not installed
import fairseq_signals.metrics, fairseq_signals.modules, fairseq_signals.transforms
for package in (fairseq_signals.metrics, fairseq_signals.modules, fairseq_signals.transforms):
    modules(package)
import torch
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
shape = {"encoder_layers": 1, "encoder_embed_dim": 16, "encoder_attention_heads": 2}
frames = ECGEncoder(EncoderConfig(**shape))(torch.zeros(1, 12, 320)).x.shape
del sys.modules["fairseq"]

from fairseq import tasks
from omegaconf import OmegaConf
cfg = OmegaConf.create({"common": {"seed": 1}, "task": {"_name": "ecg_pretraining", "data": sys.argv[1]}})
task = tasks.setup_task(cfg.task)
task.load_dataset("valid")
model = task.build_model(OmegaConf.create({"_name": "wav2vec2_cmsc", "apply_mask": True, **shape}))
criterion = task.build_criterion(OmegaConf.create({"_name": "wav2vec2_with_cmsc"}))
dataset = task.dataset("valid")
loss, _, _ = criterion(model, dataset.collater([0, 1]))
print(json.dumps({"light": light, "frames": list(frames), "loss": loss.item()}))
"""


def installed_regularly() -> bool:
    """Whether fairseq finds the package by its name: it looks beside its own folder."""
    return (Path(fairseq.__file__).parents[1] / "fairseq_signals").is_dir()


@pytest.fixture(scope="module")
def processes(repo_dir, corpus, tiny_pretraining, tmp_path_factory):
    """Started together: two programs, and trainings with each form of `common.user_dir`."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    train = [sys.executable, "-m", "fairseq_cli.hydra_train", "--config-name", "pretrain"]
    train += ["--config-dir", str(repo_dir / "examples" / "quickstart" / "config")]
    train += [f"task.data={corpus.pretrain}", "dataset.num_workers=0", "optimization.max_update=1"]
    commands = {
        "stock_first": [sys.executable, "-c", STOCK_FIRST],
        "ours_first": [sys.executable, "-c", OURS_FIRST, str(corpus.pretrain)],
        "path": [*train, *tiny_pretraining, f"common.user_dir={repo_dir / 'fairseq_signals'}"],
    }
    if installed_regularly():
        commands["name"] = [*train, *tiny_pretraining, "common.user_dir=fairseq_signals"]
    path_of_checkout = {**os.environ, "PYTHONPATH": str(repo_dir)}
    nothing = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    started = {}
    for name, command in commands.items():
        folder = elsewhere / name
        folder.mkdir()
        started[name] = subprocess.Popen(
            command,
            cwd=folder,
            env=path_of_checkout if name.endswith("first") else nothing,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    yield started
    for process in started.values():
        process.kill()


@pytest.fixture(scope="module")
def result(processes):
    """`result(name)`: the output of a process that must succeed."""
    outputs = {}

    def wait(name: str) -> str:
        if name not in outputs:
            outputs[name] = processes[name].communicate(timeout=300)
        output, errors = outputs[name]
        assert processes[name].returncode == 0, errors[-3000:]
        return output

    return wait


def test_every_name_is_registered_and_none_is_one_of_stock_fairseq(result):
    found = json.loads(result("stock_first").splitlines()[-1])
    assert set(found["ours"]["task"]) == TASKS
    assert set(found["ours"]["model"]) >= MODELS
    assert set(found["ours"]["criterion"]) >= CRITERIONS
    for kind, names in (("task", TASKS), ("model", MODELS), ("arch", MODELS), ("criterion", CRITERIONS)):
        assert not names & set(found["stock"][kind])
        for name, module in found["ours"][kind].items():
            assert module.startswith("fairseq_signals."), (name, module)


def test_importing_the_package_first_registers_all_with_fairseqs_own_api(result):
    found = json.loads(result("ours_first").splitlines()[-1])
    assert 0 < found["loss"] < float("inf")


def test_reading_records_and_manifests_imports_neither_torch_nor_fairseq(result):
    assert json.loads(result("ours_first").splitlines()[-1])["light"] == []


def test_the_encoder_works_where_fairseq_is_not_installed(result):
    assert json.loads(result("ours_first").splitlines()[-1])["frames"] == [1, 20, 16]


@pytest.mark.parametrize("form", ["path", "name"])
def test_a_user_dir_is_found_from_any_folder(form, processes, result):
    if form not in processes:
        pytest.skip("the package is not installed beside fairseq; `make test` installs it")
    output = result(form)
    assert "task: ECGPretrainingTask" in output
    assert "num_updates: 1 >= max_update: 1" in output


def misspelt(repo_dir: Path, folder: Path, section: str, **keys) -> Path:
    config = yaml.safe_load((repo_dir / "examples/quickstart/config/pretrain.yaml").read_text())
    config[section].update(keys)
    path = folder / "misspelt.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("section", "key", "meant"),
    [
        ("task", "mask_lead_prob", "mask_leads_prob"),
        ("model", "encoder_layer", "encoder_layers"),
        ("criterion", "loss_weigths", "loss_weights"),
    ],
)
def test_a_misspelt_key_of_a_yaml_stops_the_training_and_is_named(
    section, key, meant, repo_dir, start_training, corpus, tiny_pretraining, tmp_path
):
    config = misspelt(repo_dir, tmp_path, section, **{key: 1})
    output = start_training(config, corpus.pretrain, tmp_path / "run", *tiny_pretraining).wait(exit_code=1)
    assert f"ConfigError: unknown key {section}.{key} (did you mean {meant}" in output


def test_a_value_of_another_type_stops_the_training_and_its_key_is_named(
    repo_dir, start_training, corpus, tiny_pretraining, tmp_path
):
    config = misspelt(repo_dir, tmp_path, "task", mask_leads_prob="half")
    output = start_training(config, corpus.pretrain, tmp_path / "run", *tiny_pretraining).wait(exit_code=1)
    assert "ValidationError" in output
    assert "mask_leads_prob" in output
    assert "half" in output
