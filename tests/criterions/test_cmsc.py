"""The global loss: closed forms, a slow double loop, and batches where it is defined by convention."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf

from fairseq_signals.criterions.cmsc import CMSCCriterion, CMSCCriterionConfig, cmsc_loss
from fairseq_signals.errors import ConfigError

both = pytest.mark.parametrize("denominator", ["opposite", "other_patients"])


@pytest.fixture
def batch() -> tuple:
    """Embeddings, patients and segments in any order; patient 4 comes twice, patient 9 has one segment."""
    torch.manual_seed(0)
    patient = torch.tensor([4, 2, 4, 7, 2, 4, 7, 4, 9])
    segment = torch.tensor([0, 1, 1, 0, 0, 2, 1, 3, 0])
    return torch.randn(9, 6), patient, segment


def slow_loss(g, patient_id, segment, temperature: float, denominator: str) -> float:
    """Eq. 3-4 of the paper, one pair at a time."""
    z = F.normalize(g, dim=1)
    first = [i for i in range(len(z)) if segment[i] % 2 == 0]
    second = [i for i in range(len(z)) if segment[i] % 2 == 1]
    directions = []
    for one, other in ((first, second), (second, first)):
        terms = []
        for i in one:
            for j in other:
                if patient_id[i] != patient_id[j]:
                    continue
                if denominator == "opposite":
                    compared = other
                else:
                    compared = [j] + [k for k in range(len(z)) if patient_id[k] != patient_id[i]]
                total = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in compared)
                terms.append(math.log(total) - float(z[i] @ z[j]) / temperature)
        directions.append(sum(terms) / len(terms))
    return sum(directions) / 2


@both
@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_loss_equals_the_slow_double_loop(batch, denominator, temperature):
    loss = cmsc_loss(*batch, temperature=temperature, denominator=denominator)
    assert loss.item() == pytest.approx(slow_loss(*batch, temperature, denominator), rel=1e-5)


@pytest.mark.parametrize("b", [1, 2, 16])
def test_identical_embeddings_give_the_log_of_what_a_segment_is_compared_with(b):
    g = torch.randn(1, 5).expand(2 * b, -1)
    patient, segment = torch.arange(b).repeat_interleave(2), torch.arange(2 * b) % 2
    assert cmsc_loss(g, patient, segment).item() == pytest.approx(math.log(b), abs=1e-5)
    # its positive, and both segments of every other patient
    loss = cmsc_loss(g, patient, segment, denominator="other_patients")
    assert loss.item() == pytest.approx(math.log(2 * b - 1), abs=1e-5)


@both
def test_loss_is_symmetric_in_the_segments(batch, denominator):
    g, patient, segment = batch
    swapped = cmsc_loss(g, patient, segment + 1, denominator=denominator)
    assert torch.allclose(cmsc_loss(*batch, denominator=denominator), swapped)


@both
def test_loss_is_blind_to_the_order_of_the_batch(batch, denominator):
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    shuffled = cmsc_loss(*(x[order] for x in batch), denominator=denominator)
    assert torch.allclose(cmsc_loss(*batch, denominator=denominator), shuffled)


@both
def test_loss_is_blind_to_the_length_of_embeddings_and_the_names_of_patients(batch, denominator):
    g, patient, segment = batch
    scaled = cmsc_loss(g * torch.rand(9, 1) * 10, 100 - patient, segment, denominator=denominator)
    assert torch.allclose(cmsc_loss(*batch, denominator=denominator), scaled, rtol=1e-5)


@both
def test_only_the_detached_norm_lets_the_length_of_an_embedding_grow(batch, denominator):
    g, patient, segment = batch
    along = {}
    for detach in (False, True):
        x = g.clone().requires_grad_()
        cmsc_loss(x, patient, segment, denominator=denominator, detach_norm=detach).backward()
        along[detach] = (x.grad * g).sum(dim=1).abs().max()
        # across the embedding both gradients are the same
        across = x.grad - (x.grad * g).sum(dim=1, keepdim=True) * g / (g * g).sum(dim=1, keepdim=True)
        along[f"across {detach}"] = across
    assert along[False] < 1e-6
    assert along[True] > 1e-3
    assert torch.allclose(along["across False"], along["across True"], atol=1e-6)


@both
@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ([1, 1], 0.0),  # one patient: nothing to tell apart
        ([1, 2], 0.0),  # no positive pair
        ([1, 1, 1, 1], None),  # one patient several times
        ([], 0.0),
    ],
)
def test_loss_and_gradient_are_finite_without_positives_or_negatives(patient, expected, denominator):
    for detach in (False, True):
        g = torch.randn(len(patient), 4).requires_grad_()
        segment = torch.arange(len(patient)) % 2
        ids = torch.tensor(patient, dtype=torch.long)
        loss = cmsc_loss(g, ids, segment, denominator=denominator, detach_norm=detach)
        loss.backward()
        assert bool(loss.isfinite())
        assert bool(g.grad.isfinite().all())
        if expected is not None:
            assert loss.item() == pytest.approx(expected, abs=1e-6)
            assert torch.allclose(g.grad, torch.zeros_like(g), atol=1e-6)


def test_first_segments_alone_have_loss_zero():
    g = torch.randn(4, 3).requires_grad_()
    loss = cmsc_loss(g, torch.tensor([1, 1, 2, 2]), torch.zeros(4, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0
    assert not g.grad.any()


@both
@pytest.mark.parametrize("rows", [slice(None), slice(0, 1)], ids=["all", "one"])
def test_zero_embeddings_have_a_finite_loss_and_gradient(batch, denominator, rows):
    g, patient, segment = batch
    for detach in (False, True):
        x = g.clone()
        x[rows] = 0.0
        x.requires_grad_()
        loss = cmsc_loss(x, patient, segment, denominator=denominator, detach_norm=detach)
        loss.backward()
        assert bool(loss.isfinite())
        assert bool(x.grad.isfinite().all())


@both
def test_criterion_alone_trains_the_encoder(make_model, pairs, denominator):
    model, criterion = make_model(), CMSCCriterion(CMSCCriterionConfig(denominator=denominator), None)
    sample = pairs()
    loss, n_pairs, log = criterion(model, sample)
    loss.backward()
    assert n_pairs == log["sample_size"] == 3
    assert int(log["positive_pairs"]) == 3
    assert bool(model.encoder.encoder.layers[0].fc1.weight.grad.any())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    torch.manual_seed(5)
    loss, _, _ = criterion(model, sample)
    torch.manual_seed(5)
    g = model.global_representation(model(**sample["net_input"]))
    expected = cmsc_loss(g, sample["patient_id"], sample["segment"], denominator=denominator)
    assert torch.allclose(loss, 3 * expected)


def test_criterion_logs_the_mean_over_pairs_of_all_workers(reduced):
    logs = [{"loss": torch.tensor(6.0), "sample_size": 3}, {"loss": torch.tensor(2.0), "sample_size": 1}]
    assert reduced(CMSCCriterion, logs)["loss"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temp": 0.0}, r"criterion\.temp must be > 0, but is 0.0"),
        ({"eps": -1.0}, r"criterion\.eps must be > 0"),
    ],
)
def test_values_that_make_no_loss_are_refused_by_name(options, message):
    with pytest.raises(ConfigError, match=message):
        CMSCCriterion(CMSCCriterionConfig(**options), None)


def test_misspelt_key_is_named_with_its_near_misses():
    cfg = OmegaConf.create({"temp": 0.1, "eps": 1e-8, "denominater": "opposite"})
    with pytest.raises(ConfigError, match=r"criterion\.denominater \(did you mean denominator\?\)"):
        CMSCCriterion.build_criterion(cfg, None)
