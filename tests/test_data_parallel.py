"""Two data-parallel processes on CPU against one process with the joint batch.

Loss and gradients of `wav2vec2_with_cmsc` with its default options (contrastive, code diversity, feature
penalty, CMSC) agree within 1e-5 of the largest entry of each gradient, in float32; 1e-6 was measured.
"""

from __future__ import annotations

import fairseq  # noqa: F401  # first: it registers our components
import pytest
import torch

from fairseq_signals.criterions.wav2vec2_with_cmsc import (
    Wav2Vec2WithCMSCCriterion,
    Wav2Vec2WithCMSCCriterionConfig,
)
from fairseq_signals.models.wav2vec2_cmsc import Wav2Vec2CMSCConfig, Wav2Vec2CMSCModel
from tests.sizes import TINY

TOLERANCE = 1e-5
OPTIONS = {
    **TINY,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "apply_mask": True,
    "mask_length": 3,
    "quantize_targets": True,
    "latent_vars": 6,
    "final_dim": 8,
    "num_negatives": 5,
}
SEGMENTS = (8, 4)  # of each worker: 4 and 2 pairs


def joint_batch(model: Wav2Vec2CMSCModel) -> dict:
    """Twelve segments (one patient twice), two of them padded, with fixed spans, distractors and noise."""
    generator = torch.Generator().manual_seed(5)
    b, n_samples = sum(SEGMENTS), 320
    source = torch.randn(b, 12, n_samples, generator=generator)
    padding_mask = torch.zeros(b, n_samples, dtype=torch.bool)
    padding_mask[[1, 10], 240:] = True
    frames = model.encoder.token_padding_mask(padding_mask, source)
    spans = (torch.rand(b, n_samples // 16, generator=generator) < 0.5) & ~frames
    spans[:, :3] = True
    count = spans.sum(dim=1)
    m = int(count.max())
    others = torch.rand(b, m, OPTIONS["num_negatives"], generator=generator) * (count[:, None, None] - 1)
    own = torch.arange(m).expand(b, m)[..., None]
    distractors = others.long() + (others.long() >= own).long()
    patient = torch.tensor([4, 1, 0, 4, 2, 3]).repeat_interleave(2)
    rows = model.quantizer.groups * int(count.sum())
    noise = torch.empty(rows, OPTIONS["latent_vars"]).exponential_(generator=generator)
    inputs = {"source": source, "padding_mask": padding_mask, "spans": spans, "distractors": distractors}
    return {
        "net_input": inputs,
        "id": torch.arange(b) // 2,
        "patient_id": patient,
        "segment": torch.arange(b) % 2,
        "noise": noise,
    }


def part_of(batch: dict, rows: slice) -> dict:
    """What a worker gets that has these segments of the joint batch."""
    part = {key: value[rows] for key, value in batch.items() if key not in ("net_input", "noise")}
    inputs = {key: value[rows] for key, value in batch["net_input"].items()}
    count = batch["net_input"]["spans"].sum(dim=1)
    inputs["distractors"] = inputs["distractors"][:, : int(count[rows].max())]
    groups = len(batch["noise"]) // int(count.sum())
    before, own = int(count[: rows.start].sum()), int(count[rows].sum())
    return {**part, "net_input": inputs, "noise": batch["noise"][groups * before : groups * (before + own)]}


@pytest.fixture(scope="module")
def setting():
    torch.manual_seed(0)
    model = Wav2Vec2CMSCModel(Wav2Vec2CMSCConfig(**OPTIONS))
    batch = joint_batch(model)
    parts = [part_of(batch, slice(0, SEGMENTS[0])), part_of(batch, slice(SEGMENTS[0], sum(SEGMENTS)))]
    return model, batch, parts


@pytest.fixture(scope="module")
def workers(two_workers, setting):
    """What two workers computed, in every scenario."""
    model, _, parts = setting
    common = {"model": ("wav2vec2_cmsc", OPTIONS), "criterion": ("wav2vec2_with_cmsc", {})}
    common.update(state=model.state_dict(), batches=parts, ignored=[])
    scenarios = {
        "eval": {**common, "train": False},
        "train": {**common, "train": True},
        # fairseq repeats a batch on workers that have none left
        "repeated": {**common, "train": True, "batches": [parts[0], parts[0]], "ignored": [1]},
    }
    return two_workers(scenarios)


@pytest.fixture
def one_process(setting, monkeypatch):
    """`one_process(batch, train)`: what a single process computes."""
    model, _, _ = setting

    def step(batch: dict, train: bool) -> dict:
        monkeypatch.setattr(
            torch.Tensor, "exponential_", lambda tensor, *_, **__: tensor.copy_(batch["noise"])
        )
        model.train(train).zero_grad()
        criterion = Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(), task=None)
        loss, sample_size, log = criterion(model, batch)
        loss.backward()
        grads = {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        keys = ("prob_perplexity", "code_perplexity", "cmsc_loss")
        own = {f"own.{key}": log[key] / sample_size for key in keys}
        own["own.positive_pairs"] = log["positive_pairs"]
        return {"loss": loss.detach(), "sample_size": sample_size.float(), **grads, **own}

    return step


def gradient_error(found: dict, expected: dict) -> float:
    """Largest difference of a gradient's entry, relative to the largest entry of that gradient.

    A key's bias has no gradient but rounding: 1e-6 of the largest of all gradients is the least scale.
    """
    keys = [key for key in expected if key.startswith("grad.")]
    least = 1e-6 * max(float(expected[key].abs().max()) for key in keys)
    errors = {
        key: float((found[key] - expected[key]).abs().max()) / max(float(expected[key].abs().max()), least)
        for key in keys
    }
    return max(errors.values())


@pytest.mark.parametrize("scenario", ["eval", "train"])
def test_two_workers_have_the_loss_and_the_gradients_of_the_joint_batch(
    scenario, setting, workers, one_process
):
    _, batch, _ = setting
    expected = one_process(batch, scenario == "train")
    for worker in workers:
        found = worker[scenario]
        assert found["sample_size"] == expected["sample_size"]
        assert found["loss"] == pytest.approx(float(expected["loss"]), rel=TOLERANCE)
        assert gradient_error(found, expected) <= TOLERANCE
        # and each of them knows what only the joint batch tells
        for key in (key for key in expected if key.startswith("own.")):
            assert float(found[key]) == pytest.approx(float(expected[key]), rel=TOLERANCE), key


def test_every_part_of_the_loss_has_a_gradient_in_that_comparison(setting, one_process):
    _, batch, _ = setting
    expected = one_process(batch, train=True)
    for name in ("quantizer.vars", "quantizer.weight_proj.weight", "project_q.weight", "final_proj.weight"):
        assert expected[f"grad.{name}"].abs().max() > 0
    assert expected["own.cmsc_loss"] > 0
    assert expected["own.positive_pairs"] == 8  # six pairs, and two across those of the patient with two


def test_a_batch_that_fairseq_repeats_on_a_worker_without_one_changes_nothing(setting, workers, one_process):
    _, _, parts = setting
    expected = one_process(parts[0], train=True)
    for worker in workers:
        found = worker["repeated"]
        assert found["sample_size"] == expected["sample_size"]
        assert found["loss"] == pytest.approx(float(expected["loss"]), rel=TOLERANCE)
        assert gradient_error(found, expected) <= TOLERANCE


def test_rows_of_unequal_workers_are_gathered_by_rank_with_the_sum_of_their_gradients(workers):
    for rank, worker in enumerate(workers):
        found = worker["exchanges"]
        assert found["gathered"].flatten().tolist() == [0, 1, 0, 1, 2]
        own = torch.arange(2.0 + rank)
        assert torch.equal(found["grad"].flatten(), (1 + 2) * 2 * own)  # worker r weighs its loss by 1 + r
        assert found["none"].tolist() == [[7.0, 7.0]]  # worker 0 had no row to give


def test_validation_outputs_of_all_workers_are_kept_once_and_in_order(workers):
    for worker in workers:
        found = worker["exchanges"]
        assert found["id"].tolist() == [0, 1, 2, 3]
        assert found["score"].tolist() == [0.0, 10.0, 20.0, 30.0]
        assert found["flag"].tolist() == [False, False, True, True]
