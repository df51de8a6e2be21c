"""`simdino`: distances of views, the coding rate, masked frames, and short views."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.simdino import SimDINOConfig, SimDINOCriterion, view_distances
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.dino import cosine_costs
from fairseq_signals.modules.joint_embedding import coding_rate

TEACHER = {"teacher": True, "ema_momentum": 0.9, "projection": "mlp"}


def build(task: object = None, **options: object) -> SimDINOCriterion:
    return SimDINOCriterion(SimDINOConfig(**options), task)


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


def test_a_view_is_compared_with_all_of_the_teachers_but_its_own():
    student, local, teacher = unit(2, 3, 4), unit(3, 3, 4), unit(2, 3, 4)
    pairs = [(student[0], teacher[1]), (student[1], teacher[0])]
    pairs += [(view, told) for view in local for told in teacher]
    costs = [0.5 * (a - b).square().sum(dim=1).mean() for a, b in pairs]
    assert len(costs) == 2 * (3 + 1)
    assert view_distances(student, local, teacher).item() == pytest.approx(sum(costs).item() / 8, abs=1e-6)
    alike = student[:1].expand(2, -1, -1)
    assert view_distances(alike, local[:0], alike).item() == pytest.approx(0, abs=1e-7)
    assert view_distances(alike, local[:0], -alike).item() == pytest.approx(2, abs=1e-6)


def test_the_coding_rate_is_largest_where_rows_spread_alike_over_all_directions():
    alike = torch.eye(4).repeat(3, 1)
    best = 0.5 * 4 * math.log(1 + 1 / 0.5**2)
    assert coding_rate(alike, 0.5).item() == pytest.approx(best, abs=1e-5)
    for _ in range(20):
        assert coding_rate(unit(12, 4), 0.5) < best


def test_its_gradient_takes_rows_apart_that_are_not_quite_the_same():
    same = F.normalize(torch.ones(6, 3), dim=1)

    def slope(rows: torch.Tensor) -> torch.Tensor:
        rows = rows.clone().requires_grad_()
        coding_rate(rows, 0.5).backward()
        return rows.grad

    assert (slope(same) - slope(same)[0]).abs().max() < 1e-5  # no row knows where to
    noise = 0.01 * torch.randn(6, 3)
    moved = F.normalize(same + noise, dim=1)
    further = F.normalize(moved + 0.1 * slope(moved), dim=1)
    assert further.std(dim=0).sum() > 1.05 * moved.std(dim=0).sum()


@pytest.fixture
def sample(views, ecg_batch):
    """Two views of each of four segments, and three short ones; segments are not in order."""
    batch = views(patients=(3, 5, 8, 9), n_segments=1)
    batch["segment_row"] = torch.tensor([7, 2, 9, 4]).repeat_interleave(2)
    batch["net_input"]["local_source"] = ecg_batch(12, 160, seed=3)
    return batch


def test_the_loss_is_distances_less_the_rate_and_masked_frames(make_contrastive, sample):
    model = make_contrastive(**TEACHER, apply_mask=True, mask_prob=0.3, mask_length=2)
    torch.manual_seed(1)
    loss, n, log = build(rate_weight=0.2, eps=0.3, frames_weight=0.5)(model, sample)
    torch.manual_seed(1)
    found = model(**sample["net_input"])
    g, told, local = (F.normalize(z, dim=1) for z in (found.g, found.teacher, found.local))
    student, teacher = (z.view(4, 2, -1).transpose(0, 1) for z in (g, told))
    distance = view_distances(student, local.view(4, 3, -1).transpose(0, 1), teacher)
    rate = (coding_rate(student[0], 0.3) + coding_rate(student[1], 0.3)) / 2
    frames = cosine_costs(found.x, found.teacher_x)[found.span_mask].mean()
    assert n == 4
    assert (loss / n).item() == pytest.approx((distance - 0.2 * rate + 0.5 * frames).item(), abs=1e-5)
    for name, value in (("distance_loss", distance), ("coding_rate", rate), ("frames_loss", frames)):
        assert (log[name] / n).item() == pytest.approx(value.item(), abs=1e-5)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("teacher."), name


def test_the_order_of_segments_is_no_matter(make_contrastive, sample):
    model, criterion = make_contrastive(**TEACHER).eval(), build()
    order = torch.tensor([2, 0, 3, 1])
    rows = (2 * order[:, None] + torch.arange(2)).flatten()
    other = {key: value[rows] for key, value in sample.items() if key != "net_input"}
    local = (3 * order[:, None] + torch.arange(3)).flatten()
    other["net_input"] = {
        "source": sample["net_input"]["source"][rows],
        "local_source": sample["net_input"]["local_source"][local],
    }
    assert criterion(model, other)[0].item() == pytest.approx(criterion(model, sample)[0].item(), abs=1e-4)


def test_short_views_are_the_students_alone(make_contrastive, sample):
    model = make_contrastive(**TEACHER).eval()
    with torch.no_grad():
        found = model(**sample["net_input"])
        assert torch.allclose(found.local, model(sample["net_input"]["local_source"]).g, atol=1e-6)
        alone = model(sample["net_input"]["source"])
    assert alone.local is None
    assert torch.equal(found.teacher, alone.teacher)


def test_what_is_logged_is_a_mean_over_segments(reduced):
    names = ("loss", "distance_loss", "coding_rate", "frames_loss", "sample_size")
    values = reduced(SimDINOCriterion, [dict(zip(names, (6.0, 3, 1.5, 0.9, 3))), dict.fromkeys(names, 1.0)])
    assert [values[name] for name in names[:4]] == [1.75, 1.0, 0.625, 0.475]


def test_a_model_without_a_teacher_is_refused(make_contrastive, views):
    with pytest.raises(ConfigError, match=r"criterion simdino needs model\.teacher=true"):
        build()(make_contrastive(), views())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 0.0}, r"criterion\.eps must be > 0"),
        ({"rate_weight": -0.1}, r"criterion\.rate_weight must be >= 0"),
        ({"frames_weight": -1.0}, r"criterion\.frames_weight must be >= 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build(SimpleNamespace(n_views=2, local_views=4), **options)
