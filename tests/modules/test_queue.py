"""The queue of earlier embeddings: what it holds, and that prototypes are shared out among it too (SwAV)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.swav import SwAVConfig, SwAVCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_contrastive import ECGContrastiveConfig, ECGContrastiveModel
from fairseq_signals.modules.joint_embedding import sinkhorn, swav_costs
from fairseq_signals.modules.queue import Queue


@pytest.mark.parametrize("batch", [1, 3, 5, 12])
def test_it_holds_the_last_rows_in_their_order(batch):
    queue, added = Queue(5, 2), torch.arange(48.0).view(24, 2).requires_grad_()
    for n, rows in enumerate(added.split(batch), start=1):
        queue.add(rows)
        expected = added[: n * batch][-5:]
        assert torch.equal(queue.rows(), expected)
    assert not queue.rows().requires_grad


def test_what_was_never_added_is_no_row():
    queue = Queue(5, 2)
    assert queue.rows().shape == (0, 2)
    queue.add(torch.ones(3, 2))
    assert torch.equal(queue.rows(), torch.ones(3, 2))


@pytest.fixture
def step(ecg_batch):
    """`step(model, seed)`: the loss of a segment, of a batch of two views of three segments."""

    def run(model: ECGContrastiveModel, seed: int = 0) -> float:
        row = torch.arange(6)
        source = ecg_batch(6) + torch.randn(6, 12, 320, generator=torch.Generator().manual_seed(seed))
        sample = {"id": row // 2, "segment_row": row // 2, "view": row % 2}
        sample["net_input"] = {"source": source}
        loss, n, _ = SwAVCriterion(SwAVConfig(_name="swav"), None)(model, sample)
        return float(loss.detach()) / n

    return run


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny model with prototypes, in training mode."""

    def build(**options: object) -> ECGContrastiveModel:
        torch.manual_seed(0)
        no_noise = {"dropout": 0.0, "attention_dropout": 0.0}
        options = {"prototypes": 4, "queue": 8, "projection": "mlp", "final_dim": 3, **no_noise, **options}
        return ECGContrastiveModel(ECGContrastiveConfig(**{**tiny, **options}))

    return build


def test_codes_are_shared_out_among_the_batch_and_the_queue(make, step):
    model, plain, scores = make(), make(queue=0), []
    assert step(model, seed=1) == step(plain, seed=1)  # it was empty
    earlier = model.queue.rows()
    assert torch.allclose(earlier.norm(dim=1), torch.ones(6))
    with_queue = step(model, seed=2)
    with plain.register_forward_hook(lambda *args: scores.append(args[2].scores.detach())):
        without = step(plain, seed=2)
    one, other = scores[0][::2], scores[0][1::2]
    rest = earlier @ F.normalize(model.prototypes.weight.detach(), dim=1).T
    costs = [swav_costs(a, sinkhorn(torch.cat([b, rest]))[:3], 0.1) for a, b in ((one, other), (other, one))]
    assert with_queue == pytest.approx(float(torch.cat(costs).mean()), rel=1e-5)
    assert with_queue != pytest.approx(without, rel=1e-3)
    assert torch.equal(model.queue.rows()[:2], earlier[-2:])


def test_validation_neither_uses_it_nor_adds_to_it(make, step):
    model = make()
    step(model)
    before = model.queue.rows()
    assert step(model.eval()) == step(make(queue=0).eval())
    assert torch.equal(model.queue.rows(), before)


def test_it_is_filled_but_not_used_before_the_update_that_is_asked_for(make, step):
    model, plain = make(queue_after_updates=2), make(queue=0)
    for update, is_used in ((0, False), (1, False), (2, True)):
        model.set_num_updates(update)
        assert (step(model) != step(plain)) is is_used
    assert len(model.queue.rows()) == 8


def test_a_checkpoint_keeps_it(make, step):
    model, resumed = make(), make()
    step(model, seed=1)
    resumed.load_state_dict(model.state_dict())
    assert step(model, seed=2) == step(resumed, seed=2)


def test_without_prototypes_it_is_refused(make):
    with pytest.raises(ConfigError, match=r"set model\.prototypes"):
        make(prototypes=0)
