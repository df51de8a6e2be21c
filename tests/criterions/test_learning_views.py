"""Objectives between views pass what is lost without any knowledge; with views of others they do not."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY

from fairseq_signals import criterions  # noqa: F401  # registers ours
from fairseq_signals.models.ecg_contrastive import ECGContrastiveConfig, ECGContrastiveModel
from tests.criterions.learning import SMALL, OwnTeacher, learn, two_records, two_views, with_others

PATCHES = {"frontend": "patch", "patch_samples": 20, "position": "sincos"}
HEAD = {**PATCHES, "projection": "mlp_norm", "projection_hidden": 32, "final_dim": 16}
TEACHER = {"teacher": True, "ema_momentum": 0.9}
TASK = SimpleNamespace(pairs=True, n_views=2)
each = pytest.mark.parametrize("right", [True, False], ids=["right", "shuffled"])


def make(**options: object) -> ECGContrastiveModel:
    torch.manual_seed(0)
    return ECGContrastiveModel(ECGContrastiveConfig(**{**SMALL, **HEAD, **options}))


def criterion(name: str, **options: object):
    cfg = CRITERION_DATACLASS_REGISTRY[name](**options)
    cfg._name = name
    return CRITERION_REGISTRY[name](cfg, TASK)


@each
@pytest.mark.parametrize(
    ("name", "options", "without_knowledge", "passed"),
    [
        # of views that are not related, of any deviation s: 25 (2 s^2 + 1 - s), least at s = 1/4
        ("vicreg", {}, 25 * (1 - 1 / 8), 0.6),
        ("moco_v3", {**TEACHER, "predictor_hidden": 32}, 4 * 0.2 * math.log(16), 0.7),
        ("swav", {"prototypes": 8}, math.log(8), 0.7),
    ],
)
def test_the_other_view_of_a_segment_is_known(name, options, without_knowledge, passed, right):
    draw = two_views if right else with_others(two_views, "segment_row")
    model = make(**options)
    log = learn(model, criterion(name), draw, 30, lr=5e-3)
    share = log["loss"] / without_knowledge
    assert share < passed if right else share > 0.97
    if right:
        assert log["spread"] > 0.5
    if right and name == "swav":
        scores = model(**draw(torch.Generator().manual_seed(5), 64)["net_input"]).scores
        usage = (scores / 0.1).softmax(dim=1).mean(dim=0)
        assert -(usage * usage.log()).sum() > 0.5 * math.log(8)


@each
def test_the_teachers_view_is_nearer_than_the_best_constant(right):
    draw = two_views if right else with_others(two_views, "segment_row")
    model, byol = make(**TEACHER, predictor_hidden=32), criterion("byol")
    log = learn(model, byol, draw, 30, lr=5e-3)
    told = model(**draw(torch.Generator().manual_seed(5), 64)["net_input"]).teacher
    constant = 2 * (2 - 2 * F.normalize(told, dim=-1).mean(dim=0).norm().item())
    assert log["loss"] < 0.6 * constant if right else log["loss"] > 0.95 * constant
    assert log["spread"] > 0.3


def test_a_student_that_is_its_own_teacher_collapses_without_a_predictor():
    model = make(projection="mlp", teacher=True)
    model.teacher = OwnTeacher(model, "encoder", "projection")
    model.teacher.requires_grad_(True)
    assert learn(model, criterion("byol"), two_views, 40)["spread"] < 0.1


def unlike(model: ECGContrastiveModel) -> float:
    """Half the squared distance of a segment's vector from another segment's."""
    sample = two_views(torch.Generator().manual_seed(5), 64)
    z = F.normalize(model(**sample["net_input"]).g.detach(), dim=-1)[::2]
    return 0.5 * (z - z.roll(1, dims=0)).square().sum(dim=-1).mean().item()


@each
def test_views_are_near_each_other_and_far_from_others(right):
    draw = two_views if right else with_others(two_views, "segment_row")
    model = make(**TEACHER, projection="mlp")
    log = learn(model, criterion("simdino"), draw, 30, lr=5e-3)
    share = log["distance_loss"] / unlike(model)
    assert share < 0.5 if right else share > 0.8


def test_without_the_coding_rate_all_vectors_become_alike():
    rates = {}
    for weight in (0.0, 0.1):
        model = make(projection="mlp", teacher=True)
        model.teacher = OwnTeacher(model, "encoder", "projection")
        rates[weight] = learn(model, criterion("simdino", rate_weight=weight), two_views, 40)["coding_rate"]
    of_one_direction = 0.5 * math.log(1 + 16 / 0.05**2)
    assert rates[0.0] < 2 * of_one_direction
    assert rates[0.1] > 6 * of_one_direction


@each
def test_records_of_a_patient_are_told_from_those_of_others(right):
    draw = two_records if right else with_others(two_records, "patient_id")
    log = learn(make(projection="mlp"), criterion("3kg"), draw, 30, lr=5e-3)
    share = log["loss"] / math.log(31)
    assert share < 0.6 if right else share > 0.97
    assert log["correct"] > 0.4 if right else log["correct"] < 0.1
