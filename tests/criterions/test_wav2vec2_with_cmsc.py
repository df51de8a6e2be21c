"""The sum of the local and the global loss."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.criterions.cmsc import cmsc_loss
from fairseq_signals.criterions.dino import distillation_term
from fairseq_signals.criterions.ecg_wav2vec2 import ECGWav2Vec2Criterion, ECGWav2Vec2CriterionConfig
from fairseq_signals.criterions.wav2vec2_with_cmsc import (
    Wav2Vec2WithCMSCCriterion,
    Wav2Vec2WithCMSCCriterionConfig,
)
from fairseq_signals.errors import ConfigError


def criterion(**options: object) -> Wav2Vec2WithCMSCCriterion:
    return Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(**options), None)


@pytest.mark.parametrize(
    "options", [{}, {"cmsc_weight": 0.25}, {"temp": 0.5, "denominator": "other_patients"}], ids=str
)
def test_loss_is_the_local_sum_plus_the_global_mean_times_the_masked_frames(make_model, pairs, options):
    model, sample = make_model(), pairs()
    torch.manual_seed(5)
    loss, n, log = criterion(**options)(model, sample)
    torch.manual_seed(5)
    local, _, _ = ECGWav2Vec2Criterion(ECGWav2Vec2CriterionConfig(), None)(model, sample)
    torch.manual_seed(5)
    g = model.global_representation(model(**sample["net_input"]))
    terms = {"temperature": options.get("temp", 0.1), "denominator": options.get("denominator", "opposite")}
    expected = (
        options.get("cmsc_weight", 1.0) * n * cmsc_loss(g, sample["patient_id"], sample["segment"], **terms)
    )
    assert torch.allclose(loss, local + expected)
    assert torch.allclose(log["cmsc_loss"], expected)
    assert int(log["positive_pairs"]) == 3


@pytest.mark.parametrize("patients", [(3,), (3, 3, 3), (3, 3, 5)])
def test_few_patients_train_with_finite_gradients(make_model, pairs, patients):
    model = make_model()
    loss, _, _ = criterion()(model, pairs(patients))
    loss.backward()
    assert bool(loss.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_single_segments_of_patients_have_no_global_loss(make_model, pairs):
    model, sample = make_model(), pairs()
    sample["patient_id"] = torch.arange(6)
    loss, _, log = criterion()(model, sample)
    loss.backward()
    assert log["cmsc_loss"].item() == 0.0
    assert int(log["positive_pairs"]) == 0
    assert bool(loss.isfinite())


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_batch_encoded_in_chunks_has_the_loss_and_gradient_of_the_whole(make_model, pairs, chunk):
    results = []
    for options in ({}, {"encoder_chunk": chunk}):
        model = make_model(apply_mask=True, **options)
        torch.manual_seed(5)
        loss, n, _ = criterion()(model, pairs((3, 5, 8, 9)))
        loss.backward()
        results.append((loss, n, {name: p.grad for name, p in model.named_parameters()}))
    (loss, n, gradient), (chunked_loss, chunked_n, chunked_gradient) = results
    assert n == chunked_n
    assert torch.allclose(loss, chunked_loss)
    for name, value in gradient.items():
        assert torch.allclose(chunked_gradient[name], value, rtol=1e-3, atol=1e-5), name


def test_accumulated_gradients_are_exact_for_the_local_loss_and_contrast_each_batch_globally(
    make_model, pairs
):
    """What `optimization.update_freq` does: losses of several batches, divided by all their masked frames."""
    halves = [pairs((3, 5)), pairs((8, 9))]
    whole = pairs((3, 5, 8, 9))
    whole["net_input"]["source"] = torch.cat([half["net_input"]["source"] for half in halves])
    options = {"quantize_targets": False, "num_negatives": -1, "loss_weights": [0.0, 10.0]}
    weights = options.pop("loss_weights")
    spans = torch.rand(8, 20, generator=torch.Generator().manual_seed(1)) < 0.4
    gradients, totals = [], []
    for samples in ([whole], halves):
        for weight in (0.0, 1.0):
            model, start, total = make_model(apply_mask=True, **options), 0, 0
            for sample in samples:
                b = len(sample["id"])
                sample["net_input"]["spans"] = spans[start : start + b]
                start += b
                loss, n, _ = criterion(loss_weights=weights, cmsc_weight=weight)(model, sample)
                loss.backward()
                total += n
            gradients.append(
                torch.cat([p.grad.flatten() / total for p in model.parameters() if p.grad is not None])
            )
            totals.append(int(total))
    local, both, accumulated_local, accumulated_both = gradients
    assert len(set(totals)) == 1
    assert torch.allclose(accumulated_local, local, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(accumulated_both, both, rtol=1e-2, atol=1e-3)  # fewer negatives each


def test_shown_losses_add_up(reduced, make_model, pairs):
    logs = [criterion()(make_model(), pairs(patients))[2] for patients in ((1, 2), (1, 2, 3, 4))]
    shown = reduced(Wav2Vec2WithCMSCCriterion, logs)
    parts = ("contrastive_loss", "diversity_loss", "features_pen_loss", "cmsc_loss")
    assert shown["loss"] == pytest.approx(sum(shown[part] for part in parts), abs=3e-3)


@pytest.mark.parametrize(
    ("options", "message"), [({"temp": -0.1}, r"criterion\.temp"), ({"loss_weights": []}, "loss_weights")]
)
def test_values_of_either_term_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        criterion(**options)


def test_misspelt_key_is_named_with_its_near_misses():
    cfg = OmegaConf.create({"temp": 0.1, "cmsc_weights": 1.0})
    with pytest.raises(ConfigError, match=r"criterion\.cmsc_weights \(did you mean cmsc_weight"):
        Wav2Vec2WithCMSCCriterion.build_criterion(cfg, None)


DISTILLED = {"distill_level": "frames", "distill_dim": 8, "distill_hidden": 16}


def with_teacher(sample: dict, n_students: int) -> dict:
    """A batch of `pairs` in which each segment comes once for the teacher and then for its students."""
    n = 1 + n_students
    row = torch.arange(len(sample["id"])).repeat_interleave(n)
    inputs = {"source": sample["net_input"]["source"][row], "padding_mask": None}
    inputs["is_teacher"] = torch.arange(len(row)) % n == 0
    columns = {key: sample[key][row] for key in ("patient_id", "segment")}
    return {**columns, "id": row // 2, "segment_row": row, "net_input": inputs}


def losses(model, sample: dict, **options: object) -> tuple:
    torch.manual_seed(5)
    return criterion(**options)(model, sample)


def test_a_teacher_adds_its_weighted_mean_and_sees_none_of_the_rest(make_model, pairs):
    plain, model = make_model(apply_mask=True), make_model(apply_mask=True, **DISTILLED)
    shared = {key: value for key, value in model.state_dict().items() if key in plain.state_dict()}
    assert all(torch.equal(value, shared[key]) for key, value in plain.state_dict().items())
    loss, n, _ = losses(plain, pairs())
    sample = with_teacher(pairs(), 1)
    found, found_n, log = losses(model, sample, distill_weight=0.25)
    assert torch.equal(n, found_n)
    torch.manual_seed(5)
    output = model(**sample["net_input"])
    term = distillation_term(Wav2Vec2WithCMSCCriterionConfig(), output.distilled, sample)[0]
    assert torch.allclose(found, loss + 0.25 * n * term)
    assert torch.allclose(log["distill_loss"], 0.25 * n * term)
    found.backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {name for name, _ in model.named_parameters() if not name.startswith("teacher.")}


def test_two_students_of_a_segment_are_as_one_where_they_are_alike(make_model, pairs):
    model = make_model(
        mask_prob=0.0, dropout=0.0, attention_dropout=0.0, num_negatives=-1, **DISTILLED
    ).eval()
    one, two = (losses(model, with_teacher(pairs(), n), cmsc_weight=0.0) for n in (1, 2))
    assert torch.allclose(two[0] / two[1], one[0] / one[1], rtol=1e-5)
    assert int(two[2]["positive_pairs"]) == 4 * int(one[2]["positive_pairs"])


def test_without_a_teacher_nothing_is_made_of_one(make_model, pairs):
    model = make_model()
    assert model.teacher is None
    assert not [key for key in model.state_dict() if key.startswith(("teacher.", "distill", "predictor."))]
    assert model(**pairs()["net_input"]).distilled is None
    assert "distill_loss" not in criterion()(model, pairs())[2]


def test_a_weight_that_leaves_a_teacher_without_a_task_is_refused():
    task = SimpleNamespace(student_views=1, pairs=True)
    with pytest.raises(ConfigError, match=r"criterion\.distill_weight must be > 0, but is 0\.0"):
        Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(distill_weight=0.0), task)
    logged = Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(), task).logged
    assert {"distill_loss", "spread"} <= set(logged)
    assert not {"distill_loss", "spread"} & set(criterion().logged)
