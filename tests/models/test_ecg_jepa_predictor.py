"""Latent prediction a lead at a time, its teacher, and the global term beside it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from fairseq_signals.criterions.latent_prediction import LatentPredictionConfig, LatentPredictionCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_jepa import ECGJEPAConfig, ECGJEPAModel
from fairseq_signals.models.finetuning import FinetuningConfig, build_encoder

SMALL = {"patch_samples": 20, "predictor_dim": 16, "predictor_layers": 1, "mask_min_block": 3}
KIM = {
    "frontend": "lead_patch",
    "lead_encoding": "tokens",
    "position": "sincos_2d",
    "attention": "cross_pattern",
    "mask_unit": "multi_block",
    "mask_keep": [0.175, 0.225],
    "predictor": "per_lead",
    "target_norm": True,
}
S4_JEPA = {"frontend": "conv", "context": "s4", "position": "none", "apply_mask": True}
S4_JEPA |= {"mask_unit": "targets", "mask_keep": [0.15, 0.2]}
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
    return {"id": ids // 2, "patient_id": ids // 2, "segment": ids % 2, "net_input": {"source": source}}


@torch.no_grad()
def test_zeros_cost_what_they_cost_of_normal_numbers(make, ecg_batch):
    for loss, expected in (("smooth_l1", 0.4247), ("l1", 0.7979)):
        model = make(**KIM, encoder_embed_dim=64)
        for parameter in model.predictor.head.parameters():
            parameter.zero_()
        criterion = LatentPredictionCriterion(LatentPredictionConfig(loss=loss), PAIRS)
        total, n, _ = criterion(model, sample(ecg_batch(4)))
        assert (total / n).item() == pytest.approx(expected, abs=0.02)


@torch.no_grad()
def test_predictions_of_a_lead_are_of_its_own_tokens_alone(make, ecg_batch):
    model = make(**KIM)
    keep, _ = model.draw(1, 12, 16)
    x = model.encoder(ecg_batch(1), keep=keep).x
    changed = x.clone()
    changed.view(1, 12, -1, model.encoder.dim)[:, 2] += 1
    extra = x.new_zeros(1, 0, model.encoder.dim)
    one, other = (
        model.predictor.of_leads(given, keep, 12, 16, extra).view(12, 16, -1) for given in (x, changed)
    )
    differs = (one != other).flatten(1).any(dim=1)
    assert differs.nonzero().flatten().tolist() == [2]


@torch.no_grad()
def test_a_record_of_one_lead_is_that_lead_of_the_whole_grid(make, ecg_batch):
    encoder, source = make(**KIM).encoder, ecg_batch(2)
    alone = encoder(source, lead_present=(torch.arange(12) == 1).expand(2, -1)).x
    cut_out = encoder(source, keep=torch.arange(16, 32).expand(2, -1)).x
    assert alone.shape == (2, 16, encoder.dim)
    assert torch.allclose(alone, cut_out, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, KIM, S4_JEPA], ids=["blocks", "multi_block", "targets"])
def test_of_segments_of_unequal_lengths_none_is_told_padding_alone(make, ecg_batch, options):
    model, source = make(**options), ecg_batch(3)
    padding = torch.arange(320) >= torch.tensor([320, 160, 80])[:, None]
    n_leads = 12 if model.encoder.per_lead else 1
    shortest = int(model.encoder.n_frames(80)) * n_leads
    told = [model(source, padding).valid for _ in range(20)]
    for valid in told:
        assert valid.all()
        assert 0 < valid.shape[1] < shortest


def test_targets_are_without_stochastic_depth_and_dropout(make, ecg_batch):
    model, source = make(drop_path=0.5, dropout=0.2).train(), ecg_batch(4)
    keep, _ = model.draw(4, 1, 16)
    one, other = model(source, keep=keep), model(source, keep=keep)
    assert torch.equal(one.target, other.target)
    assert not torch.equal(one.prediction, other.prediction)


def test_the_global_term_is_added(make, ecg_batch):
    model = make(projection="mlp", final_dim=8)
    criterion = LatentPredictionCriterion(LatentPredictionConfig(cmsc_weight=0.2), PAIRS)
    loss, n, log = criterion(model, sample(ecg_batch(6)))
    assert (loss / n).item() == pytest.approx(
        (log["prediction_loss"] + 0.2 * log["cmsc_loss"]).item() / n, rel=1e-5
    )
    assert int(log["positive_pairs"]) == 3
    loss.backward()
    assert all(bool(p.grad.any()) for p in model.projection.parameters())
    with pytest.raises(ConfigError, match=r"criterion\.cmsc_weight .* task\.segment_pairs is false"):
        LatentPredictionCriterion(LatentPredictionConfig(cmsc_weight=0.2), SimpleNamespace(pairs=False))


def test_what_is_logged_is_a_mean_over_tokens():
    from fairseq.logging import metrics

    names = ("loss", "prediction_loss", "constant_loss", "target_std", "sample_size")
    logs = [dict(zip(names, (6.0, 3.0, 4.5, 1.5, 3))), dict(zip(names, (2.0, 1.0, 1.5, 0.5, 1)))]
    with metrics.aggregate(new_root=True) as aggregator:
        LatentPredictionCriterion.reduce_metrics(logs)
    values = aggregator.get_smoothed_values()
    assert [values[name] for name in names[:4]] == [2.0, 1.0, 1.5, 0.5]


def test_fine_tuning_takes_the_encoder_of_student_or_teacher(make, tiny, tmp_path):
    model, options = make(), {**tiny, **SMALL, "layer_norm_first": True}
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(1.0)
    own = {"_name": "ecg_jepa", "frontend": "patch", "position": "sincos", **options}
    torch.save({"model": model.state_dict(), "cfg": {"model": own, "task": {"data": "x"}}}, tmp_path / "j.pt")
    given = {**tiny, "layer_norm_first": True, "frontend": "patch", "position": "sincos", "patch_samples": 20}
    for part, encoder in (("student", model.encoder), ("teacher", model.teacher.encoder)):
        cfg = FinetuningConfig(**given, num_labels=3, model_path=str(tmp_path / "j.pt"), pretrained_part=part)
        found = build_encoder(cfg).state_dict()
        assert all(torch.equal(value, found[key]) for key, value in encoder.state_dict().items())
