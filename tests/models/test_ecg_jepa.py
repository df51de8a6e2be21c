"""Latent prediction: teacher, masks, and what must not leak."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fairseq_signals.criterions.latent_prediction import (
    LatentPredictionConfig,
    LatentPredictionCriterion,
    best_constant,
    latent_errors,
)
from fairseq_signals.errors import ConfigError, TrainingError
from fairseq_signals.models.ecg_jepa import ECGJEPAConfig, ECGJEPAModel, LatentPrediction
from fairseq_signals.modules.ema import momentum_at

SMALL = {"patch_samples": 20, "predictor_dim": 16, "predictor_layers": 1, "mask_min_block": 3}
GRID = {"frontend": "lead_patch", "lead_encoding": "tokens", "position": "sincos_2d"}
KIM = {
    **GRID,
    "mask_unit": "multi_block",
    "mask_keep": [0.175, 0.225],
    "predictor": "per_lead",
    "target_norm": True,
}
S4_JEPA = {
    "frontend": "conv",
    "context": "s4",
    "position": "none",
    "apply_mask": True,
    "mask_unit": "targets",
}
S4_JEPA |= {"mask_keep": [0.15, 0.2], "target_norm": True}
VARIANTS = {
    "weimann": {"registers": 1},
    "kim": KIM,
    "time": {**GRID, "mask_unit": "time", "mask_keep": [0.5, 0.5]},
}
each_variant = pytest.mark.parametrize("options", list(VARIANTS.values()), ids=list(VARIANTS))
PAIRS = SimpleNamespace(pairs=True)


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny model, in evaluation mode."""

    def build(**options: object) -> ECGJEPAModel:
        torch.manual_seed(0)
        return ECGJEPAModel(ECGJEPAConfig(**{**tiny, **SMALL, "layer_norm_first": True, **options})).eval()

    return build


def sample(source: torch.Tensor) -> dict:
    ids = torch.arange(len(source))
    return {"id": ids, "patient_id": ids // 2, "segment": ids % 2, "net_input": {"source": source}}


def sines(*shape: int, offset: float) -> torch.Tensor:
    """The sine of 0, 1, 2 ... plus an offset."""
    return torch.sin(torch.arange(shape[0] * shape[1], dtype=torch.float64) + offset).view(shape)


@each_variant
def test_gradients_reach_the_student_and_never_the_teacher(make, ecg_batch, options):
    model = make(**options).train()
    loss, n, _ = LatentPredictionCriterion(LatentPredictionConfig(), PAIRS)(model, sample(ecg_batch(4)))
    (loss / n).backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == {name for name, _ in model.named_parameters() if not name.startswith("teacher.")}
    found = model(ecg_batch(4))
    assert not found.target.requires_grad


@each_variant
def test_masked_samples_reach_the_targets_alone(make, ecg_batch, options):
    model, source = make(**options), ecg_batch(2)
    torch.manual_seed(3)
    keep, _ = model.draw(2, 12 if model.encoder.per_lead else 1, 16)
    found = model(source, keep=keep)
    kept = torch.zeros(2, 16 * (12 if model.encoder.per_lead else 1), dtype=torch.bool).scatter(1, keep, True)
    grid = kept.view(2, -1, 16).repeat_interleave(20, dim=2).expand(2, 12, -1)
    other = model(torch.where(grid, source, source + torch.randn(2, 12, 320)), keep=keep)
    assert torch.equal(other.prediction, found.prediction)
    assert not torch.allclose(other.target, found.target, atol=1e-3)


def test_as_many_tokens_are_kept_in_each_row_and_other_ones(make):
    model = make()
    keep, _ = model.draw(8, 1, 100)
    assert 15 <= keep.shape[1] <= 25
    assert len(keep.unique(dim=0)) > 1


def test_one_mask_for_all_leads_and_segments(make):
    keep, _ = make(**KIM).draw(4, 12, 25)
    assert (keep == keep[:1]).all()
    grid = torch.zeros(4, 300, dtype=torch.bool).scatter(1, keep, True).view(4, 12, 25)
    assert (grid == grid[:, :1]).all()


def test_at_first_the_teacher_is_the_student(make, ecg_batch):
    class Same(nn.Module):
        def forward(self, x, keep, n_tokens, *args):
            return x.new_zeros(len(x), n_tokens, x.shape[2])

    model, source = make(), ecg_batch(2)
    model.predictor = Same()
    whole = model.encoder(source).x
    found = model(source, keep=torch.tensor([[0, 5], [3, 8]]))
    assert torch.allclose(found.target[0, 0], whole[0, 1], atol=1e-6)


def test_the_teacher_follows_once_an_update(make):
    model = make(ema_momentum=0.9, ema_schedule="constant")
    name = "feature_extractor.projection.bias"
    before = model.teacher.encoder.get_parameter(name).clone()
    with torch.no_grad():
        model.encoder.get_parameter(name).add_(1.0)
    for _ in range(2):
        model.set_num_updates(1)
    assert torch.allclose(model.teacher.encoder.get_parameter(name), before + 0.1)


@pytest.mark.parametrize(
    ("update", "expected"), [(0, 0.998), (50_000, 0.99875), (100_000, 0.9995), (200_000, 0.9995)]
)
def test_momentum_ends_where_it_is_told(update, expected):
    assert momentum_at(update, 0.998, "linear", 100_000, 0.9995) == pytest.approx(expected, abs=1e-12)


def test_frames_of_state_spaces_are_all_there_and_mask_tokens_among_them(make, ecg_batch):
    model, source = make(**S4_JEPA).train(), ecg_batch(4)
    loss, n, _ = LatentPredictionCriterion(LatentPredictionConfig(loss="smooth_l1"), PAIRS)(
        model, sample(source)
    )
    (loss / n).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert all(name.startswith("teacher.") for name in without)
    keep, told = model.draw(2, 1, 100)
    assert not set(keep[0].tolist()) & set(told[0].tolist())
    assert 15 <= told.shape[1] <= 80


def test_blocks_are_drawn_again_where_they_leave_too_few_frames(make):
    models = [make(**S4_JEPA, mask_min_block=n) for n in (1, 30, 101)]
    least = [min(model.draw(1, 1, 100)[0].shape[1] for _ in range(40)) for model in models]
    assert least[0] < 30 <= least[1]
    assert least[2] >= 1  # there never are as many


def test_known_losses():
    z1, z2 = sines(4, 3, offset=1.0), sines(4, 3, offset=0.5)
    expected = {"l1": (0.297165, 0.819512), "smooth_l1": (0.057963, 0.516810), "mse": (0.115927, None)}
    normed = nn.functional.layer_norm(z2, (3,))
    for loss, (plain, against_normed) in expected.items():
        assert latent_errors(z1, z2, loss).mean().item() == pytest.approx(plain, abs=1e-6)
        if against_normed is not None:
            assert latent_errors(z1, normed, loss).mean().item() == pytest.approx(against_normed, abs=1e-6)


def test_the_best_constant():
    target = torch.randn(500, 4)
    for loss in ("l1", "mse"):
        best = latent_errors(best_constant(target, loss), target, loss).mean()
        for shift in (-0.1, 0.1):
            assert latent_errors(best_constant(target, loss) + shift, target, loss).mean() > best


def test_a_collapse_stops_the_run(make, ecg_batch):
    model = make().train()
    criterion = LatentPredictionCriterion(LatentPredictionConfig(), PAIRS)
    criterion(model, sample(ecg_batch(4)))
    with torch.no_grad():
        for parameter in model.teacher.encoder.encoder.layer_norm.parameters():
            parameter.mul_(0.05)
    with pytest.raises(
        TrainingError, match=r"the teacher has collapsed: the deviation of its targets is .*once it was"
    ):
        criterion(model, sample(ecg_batch(4)))
    LatentPredictionCriterion(LatentPredictionConfig(least_spread=0.0), PAIRS)(model, sample(ecg_batch(4)))
    criterion(model.eval(), sample(ecg_batch(4)))  # a validation says nothing of a collapse


def test_normed_targets(make, ecg_batch):
    target = make(**KIM)(ecg_batch(4)).target
    assert torch.allclose(target.mean(dim=2), torch.zeros(target.shape[:2]), atol=1e-5)
    assert torch.allclose(target.var(dim=2, unbiased=False), torch.ones(target.shape[:2]), atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_keep": [0.5]}, r"model\.mask_keep must be two shares"),
        ({"mask_keep": [0.5, 0.2]}, r"model\.mask_keep must be two shares"),
        ({"predictor": "per_lead"}, r"model\.predictor=per_lead needs tokens of each lead"),
        ({"predictor_heads": 5}, r"model\.predictor_dim \(16\) must be a multiple"),
        ({"predictor_dim": 15}, r"model\.predictor_dim \(15\) must be a multiple of 2, of sines"),
        ({"position": "conv"}, r"model\.position=conv .* need all frames"),
        ({"mask_keep": None}, r"model\.mask_keep must be two shares"),
        ({"mask_context": None}, r"model\.mask_context must be two shares"),
        ({"mask_unit": "lead"}, r"model\.mask_unit must be one of blocks"),
        ({"ema_momentum": 0.99, "ema_end": 0.9}, r"model\.ema_end=0.9 is below model\.ema_momentum=0.99"),
    ],
)
def test_options_that_contradict_each_other_are_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_a_segment_of_one_frame_has_none_to_mask(make, ecg_batch):
    with pytest.raises(ConfigError, match=r"masks none of 1 frames of a segment"):
        make(patch_samples=320)(ecg_batch(2))


def test_the_best_constant_of_many_tokens_is_told_by_some(make):
    targets = torch.randn(4, 3000, 6, generator=torch.Generator().manual_seed(0))
    found = LatentPrediction(
        prediction=torch.zeros_like(targets),
        target=targets,
        valid=torch.ones(4, 3000, dtype=torch.bool),
        target_std=torch.ones(()),
        first_std=torch.ones(()),
        g=torch.zeros(4, 2),
    )
    model, criterion = make(), LatentPredictionCriterion(LatentPredictionConfig(), PAIRS)
    model.forward = lambda source: found
    _, n, log = criterion(model, sample(torch.zeros(4, 12, 1)))
    exact = latent_errors(best_constant(targets.flatten(0, 1), "l1"), targets, "l1").mean()
    assert n == 12_000
    assert float(log["constant_loss"]) / n == pytest.approx(float(exact), rel=0.05)
