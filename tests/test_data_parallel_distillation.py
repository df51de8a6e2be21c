"""Distillation on two data-parallel processes against one process with the joint batch.

Loss and gradients agree within 3e-5 of the largest entry of each gradient, in float32; running statistics and
centre within 1e-6.
"""

from __future__ import annotations

import fairseq  # noqa: F401  # first: it registers our components
import pytest
import torch

from fairseq_signals.criterions.dino import DinoCriterion, DistillationTermConfig
from fairseq_signals.models.ecg_distillation import ECGDistillationConfig, ECGDistillationModel
from tests.sizes import TINY

TOLERANCE = 3e-5
OPTIONS = {
    **TINY,
    "encoder_layers": 1,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "distill_dim": 8,
    "distill_hidden": 16,
    "prototypes": 7,
}
#: Options of the model, and of the criterion.
KINDS = {
    "segments, cosine": ({"distill_level": "segment", "distill_loss": "cosine"}, {}),
    "frames, cosine": ({"distill_level": "frames", "distill_loss": "cosine"}, {}),
    "both segments, dino": (
        {"distill_level": "segment", "distill_loss": "dino"},
        {"teacher_segments": "both"},
    ),
    "frames, dino": ({"distill_level": "frames", "distill_loss": "dino"}, {}),
}
FIRST = 18  # rows of the first worker: three items of two segments in three views; the second has five
each = pytest.mark.parametrize("name", list(KINDS))


def model_of(name: str) -> ECGDistillationModel:
    torch.manual_seed(0)
    return ECGDistillationModel(ECGDistillationConfig(**OPTIONS, **KINDS[name][0]))


def rows_of(rows: slice) -> dict:
    """A batch of these rows of eight items, some segments of which are padded, as the collater gives it."""
    row = torch.arange(48)
    padding_mask = torch.zeros(48, 160, dtype=torch.bool)
    padding_mask[(row // 3) % 5 == 1, 80:] = True
    inputs = {
        "source": torch.randn(48, 12, 160, generator=torch.Generator().manual_seed(5)),
        "padding_mask": padding_mask,
        "is_teacher": row % 3 == 0,
    }
    batch = {"id": row // 6, "segment": row // 3 % 2, "segment_row": row // 3, "view": row % 3}
    parts = [{key: value[rows] for key, value in columns.items()} for columns in (inputs, batch)]
    return {**parts[1], "net_input": parts[0]}


@pytest.fixture(scope="module")
def workers(two_workers):
    """What two workers computed, in every scenario."""
    scenarios = {}
    parts = [rows_of(slice(0, FIRST)), rows_of(slice(FIRST, None))]
    for name, (options, criterion) in KINDS.items():
        common = {"model": ("ecg_distillation", {**OPTIONS, **options}), "criterion": ("dino", criterion)}
        common.update(state=model_of(name).state_dict(), train=True)
        scenarios[f"{name} joint"] = {**common, "batches": parts, "ignored": []}
        # fairseq repeats a batch on workers that have none left
        scenarios[f"{name} repeated"] = {**common, "batches": [parts[0], parts[0]], "ignored": [1]}
    return two_workers(scenarios)


def one_process(name: str, rows: slice) -> dict:
    """What a single process computes of a batch."""
    model = model_of(name).train()
    loss, n, _ = DinoCriterion(DistillationTermConfig(**KINDS[name][1]), None)(model, rows_of(rows))
    loss.backward()
    grads = {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    buffers = {f"own.{n}": buffer for n, buffer in model.named_buffers()}
    return {"loss": float(loss.detach()), "sample_size": n, **grads, **buffers}


@each
@pytest.mark.parametrize(("scenario", "rows"), [("joint", slice(None)), ("repeated", slice(0, FIRST))])
def test_two_workers_have_loss_gradients_and_statistics_of_the_joint_batch(name, scenario, rows, workers):
    expected = one_process(name, rows)
    grads, buffers = ([key for key in expected if key.startswith(kind)] for kind in ("grad.", "own."))
    largest = max(float(expected[key].abs().max()) for key in grads)
    assert largest > 0.01
    assert any("waiting" in key if "dino" in name else "running_var" in key for key in buffers)
    for worker in workers:
        found = worker[f"{name} {scenario}"]
        assert found["sample_size"] == expected["sample_size"]
        assert float(found["loss"]) == pytest.approx(expected["loss"], rel=TOLERANCE)
        for key in grads:
            # what batch normalisation takes off again has no gradient but rounding
            scale = max(float(expected[key].abs().max()), 0.1 * largest)
            assert float((found[key] - expected[key]).abs().max()) <= TOLERANCE * scale, key
        for key in buffers:
            assert torch.allclose(found[key], expected[key], rtol=1e-5, atol=1e-6), key
