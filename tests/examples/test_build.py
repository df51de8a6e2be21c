"""Every YAML file that ships builds its task, model and criterion as fairseq does."""

from __future__ import annotations

import contextlib
from pathlib import Path

import fairseq  # noqa: F401  # first: it registers our components
import pytest
import torch
from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.initialize import add_defaults
from fairseq.tasks import setup_task
from omegaconf import OmegaConf

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(EXAMPLES.rglob("*.yaml"))
FOLDERS = {
    "ecg_pretraining": "pretrain",
    "ecg_classification": "classification",
    "ecg_identification": "identification",
}


@pytest.fixture
def complete(corpus, pretrained):
    """`complete(path)`: a YAML file as fairseq completes it, with the paths that a user has to give."""

    def load(path: Path):
        cfg = OmegaConf.merge(OmegaConf.structured(FairseqConfig), OmegaConf.load(path))
        cfg.task.data = str(getattr(corpus, FOLDERS[cfg.task._name]))
        if OmegaConf.is_missing(cfg.model, "model_path"):
            cfg.model.model_path = str(pretrained)
        add_defaults(cfg)
        return cfg

    return load


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_a_configuration_builds_its_task_model_and_criterion(path, complete):
    cfg = complete(path)
    task = setup_task(cfg.task)
    # models of the paper's size are built without their weights
    pretrained = "model_path" in cfg.model and cfg.model.model_path
    with contextlib.nullcontext() if pretrained else torch.device("meta"):
        model = task.build_model(cfg.model)
    criterion = task.build_criterion(cfg.criterion)
    assert type(model).__module__.startswith("fairseq_signals.models")
    assert type(criterion).__module__.startswith("fairseq_signals.criterions")
    size = sum(parameter.numel() for parameter in model.parameters())
    if pretrained:
        assert size < 20_000  # the shape is that of the tiny pre-trained model
    elif cfg.model.encoder_layers == 12:
        assert 88e6 < size < 93e6  # the paper's


@pytest.mark.parametrize(
    "path", [path for path in FILES if "pre" in path.as_posix()], ids=lambda path: path.stem
)
def test_pretraining_loads_pairs(path, complete):
    cfg = complete(path)
    task = setup_task(cfg.task)
    task.load_dataset("train")
    dataset = task.dataset("train")
    batch = dataset.collater([dataset[0]])
    assert batch["segment"].tolist() == [0, 1]
    masked = (~batch["net_input"]["source"].any(dim=2)).sum()
    assert (masked > 0) == bool(cfg.task.perturbation_mode)
