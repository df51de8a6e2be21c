"""`vicreg`, `byol`, `moco_v3`, `swav`: known answers, pairs of views, and what they refuse."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY

from fairseq_signals import criterions  # noqa: F401  # registers ours
from fairseq_signals.criterions.views import ViewsCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_contrastive import ContrastiveOutput
from fairseq_signals.modules.joint_embedding import byol_costs, moco_loss, sinkhorn, swav_costs

TEACHER = {"teacher": True, "ema_momentum": 0.9}
HEADS = {
    "vicreg": {"projection": "mlp"},
    "byol": {"projection": "mlp_norm", "predictor_hidden": 16, **TEACHER},
    "moco_v3": {"projection": "mlp_norm", "projection_last_norm": True, "predictor_hidden": 16, **TEACHER},
    "swav": {"projection": "mlp", "prototypes": 5},
}
each = pytest.mark.parametrize("name", list(HEADS))


def build(name: str, task: object = None, **options: object) -> ViewsCriterion:
    cfg = CRITERION_DATACLASS_REGISTRY[name](**options)
    cfg._name = name
    return CRITERION_REGISTRY[name](cfg, task)


def sines(*shape: int, offset: float) -> torch.Tensor:
    """The sine of 0, 1, 2 ... plus an offset."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) + offset).view(shape)


def interleaved(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Views as they come in a batch: row 0 of one, of the other, row 1 ..."""
    return torch.stack([one, other], dim=1).flatten(0, 1)


def loss_of(criterion: ViewsCriterion, one: torch.Tensor, other: torch.Tensor, **more) -> float:
    """The mean loss of two views (S, P) of S segments, of which a model gives these vectors."""
    z = interleaved(one, other)
    given = ContrastiveOutput(z, z, None, **{name: interleaved(*pair) for name, pair in more.items()})
    row = torch.arange(len(z))
    sample = {"id": row // 2, "segment_row": 9 - row // 2, "view": row % 2, "net_input": {}}
    loss, n, _ = criterion(lambda **inputs: given, sample)
    assert n == len(one)
    return loss.item() / n


Z1, Z2 = sines(4, 3, offset=1.0), sines(4, 3, offset=0.5)


@pytest.mark.parametrize(("variance", "expected"), [("mean", 10.736807), ("sum", 17.129970)])
def test_known_losses_of_vicreg(variance, expected):
    assert loss_of(build("vicreg", variance=variance), Z1, Z2) == pytest.approx(expected, abs=1e-5)
    assert loss_of(build("vicreg"), Z1, Z2) == pytest.approx(10.736807, abs=1e-5)
    weights = {"invariance_weight": 1.0, "variance_weight": 0.0, "covariance_weight": 0.0}
    assert loss_of(build("vicreg", **weights), Z1, Z2) == pytest.approx(0.115927, abs=1e-6)


def test_both_directions_of_byol_and_moco_add_up():
    views = {"predicted": (Z1, Z2), "teacher": (Z2, Z1)}  # the student's first is compared with the other's
    byol = byol_costs(Z1, Z1).mean() + byol_costs(Z2, Z2).mean()
    assert loss_of(build("byol"), Z1, Z2, **views) == pytest.approx(byol.item(), abs=1e-6)
    views["teacher"] = (Z1, Z2)
    byol = byol_costs(Z1, Z2).mean() + byol_costs(Z2, Z1).mean()
    assert byol.item() == pytest.approx(2 * 0.221489, abs=2e-6)
    assert loss_of(build("byol"), Z1, Z2, **views) == pytest.approx(byol.item(), abs=1e-6)
    moco = moco_loss(Z1, Z2, 0.2) + moco_loss(Z2, Z1, 0.2)
    assert loss_of(build("moco_v3"), Z1, Z2, **views) == pytest.approx(moco.item(), abs=1e-6)
    alike = {**views, "teacher": (torch.ones(4, 3), torch.ones(4, 3))}
    assert loss_of(build("moco_v3"), Z1, Z2, **alike) == pytest.approx(2 * 0.554518, abs=1e-5)


def test_moco_without_predictor_whose_teacher_is_the_student_is_infonce_with_fixed_keys():
    views = {"predicted": (Z1, Z2), "teacher": (Z1, Z2)}
    one, other = (F.normalize(z, dim=1) for z in (Z1, Z2))
    logits, own = one @ other.T / 0.2, torch.arange(4)
    expected = 2 * 0.2 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))
    assert loss_of(build("moco_v3"), Z1, Z2, **views) == pytest.approx(expected.item(), abs=1e-6)


def test_swav_tells_the_codes_of_the_other_view():
    one, other = sines(6, 4, offset=1.0), sines(6, 4, offset=0.25)
    found = loss_of(build("swav"), one, other, scores=(one, other))
    terms = swav_costs(one, sinkhorn(other), 0.1).mean(), swav_costs(other, sinkhorn(one), 0.1).mean()
    assert found == pytest.approx(sum(terms).item() / 2, abs=1e-5)
    equal = torch.zeros(6, 4)
    assert loss_of(build("swav"), equal, equal, scores=(equal, equal)) == pytest.approx(math.log(4))


@each
def test_three_views_are_the_mean_of_all_pairs_and_their_order_is_no_matter(name, make_contrastive, views):
    model, sample, criterion = make_contrastive(**HEADS[name]), views(n_segments=1, n_views=3), build(name)
    model.eval()
    with torch.no_grad():
        found = criterion(model, sample)[0] / 3
        pairs = []
        for a, b in ((0, 1), (0, 2), (1, 2)):
            rows = (sample["view"] == a) | (sample["view"] == b)
            part = {key: value[rows] for key, value in sample.items() if key != "net_input"}
            part["view"] = (part["view"] == b).long()
            part["net_input"] = {"source": sample["net_input"]["source"][rows]}
            pairs.append(criterion(model, part)[0] / 3)
        order = torch.randperm(9)
        mixed = {key: value[order] for key, value in sample.items() if key != "net_input"}
        mixed["net_input"] = {"source": sample["net_input"]["source"][order]}
        assert criterion(model, mixed)[0].item() == pytest.approx(3 * found.item(), rel=1e-4)
    assert found.item() == pytest.approx(torch.stack(pairs).mean().item(), rel=1e-4)


@each
def test_gradients_reach_the_student_and_never_the_teacher(name, make_contrastive, views):
    model, criterion, sample = make_contrastive(**HEADS[name]), build(name), views()
    loss, n, log = criterion(model, sample)
    loss.backward()
    assert n == log["sample_size"] == 6
    assert log["loss"].item() == pytest.approx(loss.item())
    for parameter_name, parameter in model.named_parameters():
        assert (parameter.grad is None) == parameter_name.startswith("teacher."), parameter_name
    assert bool(model.encoder.feature_extractor.conv_layers[0][0].weight.grad.any())


def test_the_spread_of_equal_vectors_is_zero_and_of_random_ones_about_one(reduced):
    equal, random = torch.ones(64, 16), torch.randn(64, 16)
    z, row = torch.cat([random, random]), torch.arange(128)
    spreads = []
    for vectors in (torch.cat([equal, equal]), z):
        given = ContrastiveOutput(vectors, vectors, None)
        sample = {"id": row, "segment_row": row % 64, "view": row // 64, "net_input": {}}
        _, n, log = build("vicreg")(lambda given=given, **inputs: given, sample)
        spreads.append(float(log["spread"]) / n)
    assert spreads == [pytest.approx(0, abs=1e-6), pytest.approx(1, abs=0.05)]
    logs = [{"loss": 6.0, "spread": 1.5, "sample_size": 3}, {"loss": 2.0, "spread": 0.5, "sample_size": 1}]
    values = reduced(ViewsCriterion, logs)
    assert (values["loss"], values["spread"]) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("byol", r"criterion byol needs model\.teacher=true"),
        ("moco_v3", r"criterion moco_v3 needs model\.teacher=true"),
        ("swav", r"criterion swav needs model\.prototypes"),
    ],
)
def test_a_model_that_lacks_what_is_compared_is_refused(name, message, make_contrastive, views):
    with pytest.raises(ConfigError, match=message):
        build(name)(make_contrastive(), views())


@pytest.mark.parametrize("name", [*HEADS, "simdino"])
def test_one_view_of_a_segment_is_refused(name):
    with pytest.raises(ConfigError, match=rf"criterion {name} compares views .* task\.views is 1"):
        build(name, SimpleNamespace(n_views=1))


@pytest.mark.parametrize("name", [*HEADS, "3kg", "cpc"])
def test_short_views_that_nothing_would_be_made_of_are_refused(name):
    task = SimpleNamespace(n_views=2, pairs=True, local_views=4)
    with pytest.raises(ConfigError, match=rf"task\.local_views is 4, but criterion {name} has no use"):
        build(name, task)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("moco_v3", {"temp": 0.0}, r"criterion\.temp must be > 0, but is 0\.0"),
        ("swav", {"epsilon": -1.0}, r"criterion\.epsilon must be > 0"),
        ("swav", {"iterations": 0}, r"criterion\.iterations must be > 0"),
    ],
)
def test_options_that_cannot_be_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        build(name, **options)
