"""A queue and sequences on two data-parallel processes against one process with the joint batch (float32)."""

from __future__ import annotations

import fairseq  # noqa: F401  # first: it registers our components
import pytest
import torch
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY

from fairseq_signals.models.ecg_contrastive import ECGContrastiveConfig, ECGContrastiveModel

TOLERANCE = 1e-4  # float32, of which some CPUs round products otherwise
SHAPE = {
    "encoder_layers": 1,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "conv_feature_layers": "[(8, 2, 2)] * 4",
    "position": "none",
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "projection": "mlp_norm",
    "final_dim": 8,
}
#: Criterion and options of the model.
CASES = {
    "queue": ("swav", {}, {**SHAPE, "prototypes": 5, "queue": 30}),
    "sequences": ("smd", {}, {**SHAPE, "sequence_layers": 1, "sequence_dim": 6}),
    "sequences, vicreg": ("smd", {"loss": "vicreg"}, {**SHAPE, "sequence_layers": 1, "sequence_dim": 6}),
}
FIRST = 12  # rows of the first worker: three items of two segments in two views; the second has two items


def rows_of(batch: dict, rows: slice) -> dict:
    """A batch of these rows, as the collater gives it."""
    part = {key: value[rows] for key, value in batch.items()}
    return {**part, "net_input": {"source": part.pop("source"), "padding_mask": None}}


@pytest.fixture(scope="module")
def batch() -> dict:
    row = torch.arange(20)
    source = torch.randn(20, 12, 320, generator=torch.Generator().manual_seed(5))
    places = {"segment": row // 2 % 2, "segment_row": row // 2, "view": row % 2}
    return {"id": row // 4, "source": source, **places}


@pytest.fixture(scope="module")
def models() -> dict:
    made = {}
    for name, (_, _, options) in CASES.items():
        torch.manual_seed(0)
        made[name] = ECGContrastiveModel(ECGContrastiveConfig(**options))
        if made[name].queue is not None:
            made[name].queue.add(torch.nn.functional.normalize(torch.randn(7, 8), dim=1))
    return made


@pytest.fixture(scope="module")
def workers(two_workers, batch, models) -> list:
    """What two workers computed, in every case."""
    parts, scenarios = [rows_of(batch, slice(0, FIRST)), rows_of(batch, slice(FIRST, None))], {}
    for name, (criterion, options, shape) in CASES.items():
        common = {"model": ("ecg_contrastive", shape), "state": models[name].state_dict(), "train": True}
        common["criterion"] = (criterion, {"_name": criterion, **options})
        scenarios[name] = {**common, "batches": parts, "ignored": []}
        # fairseq repeats a batch on workers that have none left
        scenarios[f"{name} repeated"] = {**common, "batches": [parts[0], parts[0]], "ignored": [1]}
    return two_workers(scenarios)


@pytest.mark.parametrize("scenario", ["", " repeated"])
@pytest.mark.parametrize("name", list(CASES))
def test_two_workers_have_the_loss_the_gradients_and_the_queue_of_one(name, scenario, batch, models, workers):
    criterion, options, shape = CASES[name]
    model = ECGContrastiveModel(ECGContrastiveConfig(**shape))
    model.load_state_dict(models[name].state_dict())
    cfg = CRITERION_DATACLASS_REGISTRY[criterion](_name=criterion, **options)
    rows = slice(0, FIRST if scenario else None)
    loss, n, _ = CRITERION_REGISTRY[criterion](cfg, None)(model, rows_of(batch, rows))
    loss.backward()
    grads = {key: p.grad for key, p in model.named_parameters()}
    largest = max(float(grad.abs().max()) for grad in grads.values())
    for worker in workers:
        found = worker[name + scenario]
        assert found["sample_size"] == n
        assert float(found["loss"]) == pytest.approx(float(loss.detach()), rel=TOLERANCE)
        for key, grad in grads.items():
            assert float((found[f"grad.{key}"] - grad).abs().max()) <= TOLERANCE * largest, key
        if model.queue is not None:
            assert torch.allclose(found["own.queue.last"], model.queue.last, atol=1e-6)
            assert found["own.queue.filled"] == 7 + len(batch["id"][rows])
