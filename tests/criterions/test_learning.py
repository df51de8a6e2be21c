"""Objectives on tokens pass what is lost without any knowledge; with targets of others they do not."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from fairseq_signals.criterions.cpc import CPCConfig, CPCCriterion
from fairseq_signals.criterions.latent_prediction import LatentPredictionConfig, LatentPredictionCriterion
from fairseq_signals.criterions.masked_cluster_prediction import (
    MaskedClusterPredictionConfig,
    MaskedClusterPredictionCriterion,
)
from fairseq_signals.criterions.masked_reconstruction import (
    MaskedReconstructionConfig,
    MaskedReconstructionCriterion,
)
from fairseq_signals.errors import TrainingError
from fairseq_signals.evaluation.clusters import fit_clusters
from fairseq_signals.models.ecg_cpc import ECGCPCConfig, ECGCPCModel
from fairseq_signals.models.ecg_hubert import ECGHuBERTConfig, ECGHuBERTModel
from fairseq_signals.models.ecg_jepa import ECGJEPAConfig, ECGJEPAModel
from fairseq_signals.models.ecg_mae import ECGMAEConfig, ECGMAEModel
from fairseq_signals.modules.clusters import frame_statistics
from tests.criterions.learning import SMALL, OwnTeacher, beats, learn, mixed, segments_of, waves

TASK = SimpleNamespace(pairs=True, student_views=0)
each = pytest.mark.parametrize("right", [True, False], ids=["right", "shuffled"])
MAE = {"patch_samples": 20, "decoder_dim": 16, "decoder_conv": 4, "mask_ratio": 0.25, "target": "raw"}
JEPA = {
    "patch_samples": 20,
    "predictor_dim": 16,
    "predictor_layers": 1,
    "mask_min_block": 3,
    "mask_keep": [0.4, 0.5],
    "ema_momentum": 0.999,
    "ema_schedule": "constant",
}
CPC = {"conv_feature_layers": "[(16, 8, 8)] + [(16, 1, 1)]", "step": 2, "num_negatives": 8}
HUBERT = {"num_clusters": 8, "mask_length": 2, "mask_prob": 0.3, "final_dim": 8, "cluster_momentum": 0.9}


@each
def test_masked_samples_are_redrawn(right):
    def others(passes: list) -> list:
        for found in passes:
            found.target = mixed(found.target)
        return passes

    model = ECGMAEModel(ECGMAEConfig(**SMALL, **MAE))
    criterion = MaskedReconstructionCriterion(MaskedReconstructionConfig(), TASK)
    log = learn(model, criterion, segments_of(waves), 36, change=None if right else others)
    share = log["reconstruction_loss"] / log["zero_loss"]
    assert share < 0.3 if right else share > 0.98


def jepa(**options: object) -> ECGJEPAModel:
    return ECGJEPAModel(ECGJEPAConfig(**{**SMALL, **JEPA, **options}))


def shuffled_targets(found):
    found.target = mixed(found.target.flatten(0, 1)).view_as(found.target)
    return found


@each
def test_a_teachers_tokens_are_predicted(right):
    criterion = LatentPredictionCriterion(LatentPredictionConfig(), TASK)
    change = None if right else shuffled_targets
    log = learn(jepa(), criterion, segments_of(beats), 50, change=change)
    share = log["prediction_loss"] / log["constant_loss"]
    assert share < 0.95 if right else share > 0.99
    assert log["target_std"] > 0.5


def test_a_teacher_that_stays_as_it_was_drawn_is_predicted_too():
    """The loss alone does not say what an encoder is worth."""
    model = jepa(ema_momentum=1.0)
    before = {name: p.clone() for name, p in model.teacher.named_parameters()}
    log = learn(model, LatentPredictionCriterion(LatentPredictionConfig(), TASK), segments_of(beats), 40)
    assert log["prediction_loss"] < 0.97 * log["constant_loss"]
    assert all(torch.equal(p, before[name]) for name, p in model.teacher.named_parameters())


def test_a_student_that_is_its_own_teacher_collapses_and_that_is_told():
    def told(found):
        found.target_std, found.first_std = found.target_std.detach(), found.first_std.detach()
        return found

    model, criterion = jepa(), LatentPredictionCriterion(LatentPredictionConfig(), TASK)
    model.teacher = OwnTeacher(model, "encoder")
    with pytest.raises(TrainingError, match=r"the teacher has collapsed"):
        learn(model, criterion, segments_of(waves), 60, change=told)


@each
def test_the_frame_that_comes_later_is_found(right):
    def anywhere(found):
        order = torch.rand(found.logits.shape).argsort(dim=-1)
        found.logits = found.logits.gather(-1, order)
        return found

    model = ECGCPCModel(ECGCPCConfig(**{**SMALL, **CPC}))
    log = learn(
        model, CPCCriterion(CPCConfig(), TASK), segments_of(beats), 40, change=None if right else anywhere
    )
    assert log["chance_loss"] == pytest.approx(math.log(9))
    share = log["loss"] / log["chance_loss"]
    assert share < 0.92 if right else share > 0.99
    assert log["correct"] > 0.2 if right else log["correct"] < 0.14


@each
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_clusters_of_masked_frames_are_told(right, online, tmp_path):
    def others(found):
        found.labels = mixed(found.labels.flatten(0, 1)).view_as(found.labels)
        return found

    path = None
    if not online:
        source = waves(torch.Generator().manual_seed(9), 64)
        clusters, _ = fit_clusters(frame_statistics(source, 16, 20).flatten(0, 1).numpy(), 8, 1, stride=16)
        path = str(tmp_path / "clusters.npz")
        clusters.write(tmp_path / "clusters.npz")
    model = ECGHuBERTModel(ECGHuBERTConfig(**SMALL, **HUBERT, clusters=path))
    criterion = MaskedClusterPredictionCriterion(MaskedClusterPredictionConfig(), TASK)
    log = learn(model, criterion, segments_of(waves), 40, change=None if right else others)
    share = log["cluster_loss"] / log["label_entropy"]
    assert share < 0.8 if right else share > 0.99
