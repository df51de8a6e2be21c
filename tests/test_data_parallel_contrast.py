"""Contrasts between segments on two data-parallel processes against one process with the joint batch.

Loss and gradients agree within 3e-5 of the largest entry of each gradient, in float32; 6e-6 was measured.
"""

from __future__ import annotations

import fairseq  # noqa: F401  # first: it registers our components
import pytest
import torch
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY

from fairseq_signals.models.ecg_contrastive import ECGContrastiveConfig, ECGContrastiveModel

TOLERANCE = 3e-5
OPTIONS = {
    "encoder_layers": 1,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "conv_feature_layers": "[(8, 2, 2)] * 4",
    "conv_pos": 4,
    "conv_pos_groups": 2,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "projection": "mlp",
    "final_dim": 8,
}
CRITERIONS = {
    "simclr": ("simclr", {}),
    "3kg": ("3kg", {}),
    "cmsc": ("clocs", {"mode": "cmsc"}),
    "cmlc": ("clocs", {"mode": "cmlc"}),
    "cmsmlc": ("clocs", {"mode": "cmsmlc"}),
    "ts2vec": ("ts2vec", {}),
    "cocoa": ("cocoa", {}),
}
FIRST = 12  # rows of the first worker: three items of two segments in two views; the second has two items
PATIENTS = (4, 1, 4, 0, 1)  # 4 twice on the first worker, 1 on both


@pytest.fixture(scope="module")
def setting():
    torch.manual_seed(0)
    model = ECGContrastiveModel(ECGContrastiveConfig(**OPTIONS))
    row = torch.arange(4 * len(PATIENTS))
    batch = {
        "id": row // 4,
        "source": torch.randn(len(row), 12, 320, generator=torch.Generator().manual_seed(5)),
        "patient_id": torch.tensor(PATIENTS).repeat_interleave(4),
        "segment": row // 2 % 2,
        "segment_row": row // 2,
        "view": row % 2,
    }
    return model, batch, [rows_of(batch, slice(0, FIRST)), rows_of(batch, slice(FIRST, None))]


def rows_of(batch: dict, rows: slice) -> dict:
    """A batch of these rows, as the collater gives it."""
    part = {key: value[rows] for key, value in batch.items()}
    return {**part, "net_input": {"source": part.pop("source"), "padding_mask": None}}


@pytest.fixture(scope="module")
def workers(two_workers, setting):
    """What two workers computed, in every scenario."""
    model, _, parts = setting
    scenarios = {}
    for name, (criterion, options) in CRITERIONS.items():
        common = {"model": ("ecg_contrastive", OPTIONS), "state": model.state_dict(), "train": True}
        gathered = {**common, "criterion": (criterion, options)}
        alone = {**common, "criterion": (criterion, {**options, "all_gather": False})}
        scenarios[f"{name} joint"] = {**gathered, "batches": parts, "ignored": []}
        scenarios[f"{name} alone"] = {**alone, "batches": parts, "ignored": []}
        # fairseq repeats a batch on workers that have none left
        scenarios[f"{name} repeated"] = {**gathered, "batches": [parts[0], parts[0]], "ignored": [1]}
    return two_workers(scenarios)


@pytest.fixture
def one_process(setting):
    """`one_process(name, batches)`: the sum of what a single process computes of each batch."""
    model, _, _ = setting

    def step(name: str, batches: list) -> dict:
        criterion_name, options = CRITERIONS[name]
        cfg = CRITERION_DATACLASS_REGISTRY[criterion_name](**options)
        criterion = CRITERION_REGISTRY[criterion_name](cfg, None)
        model.train().zero_grad()
        outputs = [criterion(model, batch) for batch in batches]
        sum(loss for loss, _, _ in outputs).backward()
        grads = {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters()}
        loss = float(sum(loss.detach() for loss, _, _ in outputs))
        return {"loss": loss, "sample_size": sum(n for _, n, _ in outputs), "logs": outputs, **grads}

    return step


def check(found: dict, expected: dict) -> None:
    """Loss, sample size and every gradient agree."""
    assert found["sample_size"] == expected["sample_size"]
    assert float(found["loss"]) == pytest.approx(expected["loss"], rel=TOLERANCE)
    keys = [key for key in expected if key.startswith("grad.")]
    # the bias of an attention key has no gradient but rounding
    least = 1e-6 * max(float(expected[key].abs().max()) for key in keys)
    assert least > 0
    for key in keys:
        scale = max(float(expected[key].abs().max()), least)
        assert float((found[key] - expected[key]).abs().max()) <= TOLERANCE * scale, key


@pytest.mark.parametrize("name", list(CRITERIONS))
def test_two_workers_have_the_loss_and_the_gradients_of_the_joint_batch(name, setting, workers, one_process):
    _, batch, _ = setting
    expected = one_process(name, [rows_of(batch, slice(None))])
    ((_, _, log),) = expected["logs"]
    for worker in workers:
        check(worker[f"{name} joint"], expected)
        for key in ("positive_pairs", "correct", "anchors"):  # each worker knows of the joint batch
            assert int(worker[f"{name} joint"][f"own.{key}"]) == int(log[key])


@pytest.mark.parametrize("name", list(CRITERIONS))
def test_without_gathering_each_worker_contrasts_its_own_rows(name, setting, workers, one_process):
    _, batch, parts = setting
    expected = one_process(name, parts)
    for rank, worker in enumerate(workers):
        check(worker[f"{name} alone"], expected)
        assert int(worker[f"{name} alone"]["own.anchors"]) == int(expected["logs"][rank][2]["anchors"])
    joint = one_process(name, [rows_of(batch, slice(None))])
    assert joint["loss"] != pytest.approx(expected["loss"], rel=1e-3)


@pytest.mark.parametrize("name", list(CRITERIONS))
def test_a_batch_that_fairseq_repeats_on_a_worker_without_one_changes_nothing(
    name, setting, workers, one_process
):
    _, _, parts = setting
    expected = one_process(name, parts[:1])
    for worker in workers:
        check(worker[f"{name} repeated"], expected)
