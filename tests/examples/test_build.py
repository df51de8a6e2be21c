"""Every YAML file that ships builds its task, model and criterion as fairseq does."""

from __future__ import annotations

import contextlib
from pathlib import Path

import fairseq  # noqa: F401  # first: it registers our components
import numpy as np
import pytest
import torch
from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.initialize import add_defaults
from fairseq.logging import metrics
from fairseq.tasks import setup_task
from omegaconf import OmegaConf

from fairseq_signals.checkpoints.clusters import ClusterFile
from fairseq_signals.models.ecg_beat_tokens import ECGBeatTokensConfig, ECGBeatTokensModel
from tests.examples.methods import RECIPES

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# the workflow's files in `paper/` are Snakemake's, `experiment.yaml` and `objectives.yaml` lists of methods,
# `report_generation.yaml` and `text_to_ecg.yaml` are of stock components alone
FILES = sorted(
    path
    for path in EXAMPLES.rglob("config/**/*.yaml")
    if EXAMPLES / "paper" not in path.parents
    and path.stem not in ("experiment", "objectives", "report_generation", "text_to_ecg")
)
PRETRAINING = [path for path in FILES if path.parent.name == "pretraining" or path.stem == "pretrain"]
FOLDERS = {
    "ecg_pretraining": "pretrain",
    "ecg_text_pretraining": "text",
    "ecg_question_answering": "questions",
    "ecg_classification": "classification",
    "ecg_identification": "identification",
    "ecg_regression": "regression",
}


@pytest.fixture
def clusters(tmp_path):
    """A file of eight clusters of frames as those of the paper's encoder."""
    centres = np.random.default_rng(1).normal(size=(8, 36)).astype(np.float32)
    zero, one = np.zeros(36, dtype=np.float32), np.ones(36, dtype=np.float32)
    ClusterFile(centres, zero, one, stride=16).write(tmp_path / "clusters.npz")
    return tmp_path / "clusters.npz"


@pytest.fixture
def tokenizer(tmp_path, tiny):
    """A checkpoint that gives codes to beats of the published length."""
    options = {**tiny, "codes": 8, "code_dim": 4, "decoder_dim": 8}
    model = ECGBeatTokensModel(ECGBeatTokensConfig(**options))
    of_words = {"frontend": "beat", "lead_encoding": "tokens", "position": "sincos", "patch_samples": 480}
    torch.save(
        {"model": model.state_dict(), "cfg": {"model": {**options, **of_words}}}, tmp_path / "codes.pt"
    )
    return tmp_path / "codes.pt"


@pytest.fixture
def complete(corpus, pretrained, clusters, tokenizer):
    """`complete(path)`: a YAML file as fairseq completes it, with the paths that a user has to give."""

    def load(path: Path):
        cfg = OmegaConf.merge(OmegaConf.structured(FairseqConfig), OmegaConf.load(path))
        exclusive = cfg.criterion._name == "cross_entropy_with_logits"
        cfg.task.data = str(getattr(corpus, "one_class" if exclusive else FOLDERS[cfg.task._name]))
        if OmegaConf.is_missing(cfg.model, "model_path"):
            cfg.model.model_path = str(pretrained)
        if OmegaConf.is_missing(cfg.model, "clusters"):
            cfg.model.clusters = str(clusters)
        if OmegaConf.is_missing(cfg.model, "tokenizer"):
            cfg.model.tokenizer = str(tokenizer)
        if cfg.optimizer._name == "composite":  # the tiny model has one layer
            for layer in range(2, 13):
                del cfg.optimizer.groups[f"layer_{layer}"]
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
    other = ("teacher.", "distill_head.", "predictor.")
    size = sum(p.numel() for name, p in model.named_parameters() if not name.startswith(other))
    if pretrained:
        assert size < 20_000  # the shape is that of the tiny pre-trained model
    elif cfg.model.encoder_layers == 12 and not RECIPES & set(path.parts):
        assert 88e6 < size < 93e6  # the paper's


SMALL = [p for p in FILES if p.stem.endswith("_demo") or not {"pretraining", "scratch"} & set(p.parts)]


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_the_best_checkpoint_can_be_chosen_by_just_what_validation_logs(path, complete):
    cfg = complete(path)
    task = setup_task(cfg.task)
    model, criterion = task.build_model(cfg.model), task.build_criterion(cfg.criterion)
    task.load_dataset("valid")
    dataset = task.dataset("valid")
    batch = dataset.collater([dataset[i] for i in range(min(3, len(dataset)))])
    with metrics.aggregate(new_root=True) as logged:
        task.reduce_metrics([task.valid_step(batch, model, criterion)[2]], criterion)
    assert set(logged) - {"nsignals"} == set(task.prepare_validation(criterion))


def first_items(cfg, n: int) -> dict:
    """A batch of the first n items of the training set."""
    task = setup_task(cfg.task)
    task.load_dataset("train")
    dataset = task.dataset("train")
    return dataset.collater(range(n))


@pytest.mark.parametrize("path", PRETRAINING, ids=lambda path: path.stem)
def test_pretraining_loads_the_segments_and_views_that_the_method_compares(path, complete):
    cfg = complete(path).task
    batch = first_items(complete(path), 1)
    n_views = len(cfg.leads_to_load) if cfg.view_leads == "single" else cfg.views + cfg.student_views
    n_segments = 2 if cfg.segment_pairs or cfg.item == "patient" else 1
    assert batch["segment"].tolist() == [i for i in range(n_segments) for _ in range(n_views)]
    assert batch["view"].tolist() == list(range(n_views)) * n_segments
    assert len(set(batch["patient_id"].tolist())) == 1
    source = batch["net_input"]["source"]
    absent = ~source.any(dim=2)  # (rows, leads)
    if cfg.view_leads == "single":
        assert (absent.sum(dim=1) == 11).all()
    elif cfg.view_leads == "disjoint":
        assert (absent[0::2] == ~absent[1::2]).all()
        assert ((~absent).sum(dim=1) >= cfg.min_view_leads).all()
    elif cfg.student_views and cfg.student_leads != "all":
        is_teacher = batch["net_input"]["is_teacher"]
        assert is_teacher.tolist() == (batch["view"] == 0).tolist()
        assert not absent[is_teacher].any()
        n_leads = (~absent)[~is_teacher].sum(dim=1)
        least, most = cfg.student_min_leads, cfg.student_max_leads
        allowed = range(least, most + 1) if cfg.student_leads == "random" else (12, 6, 3, 2, 1)
        assert set(n_leads.tolist()) <= set(allowed)
    else:
        some_are_masked = "random_leads_masking" in (cfg.perturbation_mode or [])
        assert bool(absent.any()) == (some_are_masked or len(cfg.leads_to_load or range(12)) < 12)
    # no two rows are alike: other segments, other leads, or transformed anew
    assert len({row.numpy().tobytes() for row in source}) == len(source)


@pytest.mark.parametrize(
    "path", [path for path in PRETRAINING if path.stem.endswith("_demo")], ids=lambda path: path.stem
)
def test_a_demo_configuration_trains_front_end_and_transformer(path, complete):
    cfg = complete(path)
    task = setup_task(cfg.task)
    torch.manual_seed(1)
    model, criterion = task.build_model(cfg.model), task.build_criterion(cfg.criterion)
    loss, sample_size, _ = criterion(model.train(), first_items(cfg, 3))
    loss.backward()
    assert 0 < float(loss.detach() / sample_size) < 100
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    unused = {name for name, parameter in trained.items() if parameter.grad is None}
    # where no span is masked, nothing stands in for masked frames
    assert unused <= ({"encoder.mask_emb"} if not cfg.model.apply_mask else set())
    for name, parameter in trained.items():
        if name not in unused:
            assert torch.isfinite(parameter.grad).all(), name
