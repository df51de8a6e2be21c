"""Masked, predictive and joint-embedding objectives on two data-parallel processes against the joint batch.

Masks and negatives are given, as random ones would differ. Loss and gradients agree within 3e-5 of the
largest entry of each gradient, in float32; running statistics and prototypes within 1e-6.
"""

from __future__ import annotations

import pytest
import torch

from tests.objectives import PARTS, SCENARIOS, batch_of, criterion_of, model_of

TOLERANCE = 3e-5
SEPARABLE = ("mae", "mae of leads", "jepa", "s4_jepa", "cpc")
each = pytest.mark.parametrize("name", list(SCENARIOS))


@pytest.fixture(scope="module")
def workers(two_workers):
    """What two workers computed, in every scenario."""
    scenarios = {}
    for name, (model, criterion, _) in SCENARIOS.items():
        common = {"model": model, "criterion": criterion, "state": model_of(name).state_dict(), "train": True}
        parts = [batch_of(name, rows) for rows in PARTS]
        scenarios[f"{name} joint"] = {**common, "batches": parts, "ignored": []}
        # fairseq repeats a batch on workers that have none left
        scenarios[f"{name} repeated"] = {**common, "batches": [parts[0], parts[0]], "ignored": [1]}
    return two_workers(scenarios)


def one_process(name: str, *batches: dict) -> dict:
    """The sum of what a single process computes of each batch."""
    model, criterion = model_of(name), criterion_of(name)
    loss = n = 0
    for batch in batches:
        one, size, _ = criterion(model, batch)
        one.backward()
        loss, n = loss + float(one.detach()), n + int(size)
    grads = {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    buffers = {f"own.{n}": buffer for n, buffer in model.named_buffers()}
    return {"loss": loss, "sample_size": n, **grads, **buffers}


def check(found: dict, expected: dict) -> None:
    """Loss, sample size, every gradient and what is kept of a batch agree."""
    assert found["sample_size"] == expected["sample_size"]
    assert float(found["loss"]) == pytest.approx(expected["loss"], rel=TOLERANCE)
    grads, buffers = ([key for key in expected if key.startswith(kind)] for kind in ("grad.", "own."))
    largest = max(float(expected[key].abs().max()) for key in grads)
    assert largest > 0.01
    for key in grads:
        # what a norm takes off again has no gradient but rounding
        scale = max(float(expected[key].abs().max()), 0.1 * largest)
        assert float((found[key] - expected[key]).abs().max()) <= TOLERANCE * scale, key
    for key in buffers:
        if key != "own.first_std":  # the mean over workers of their deviations
            assert torch.allclose(found[key], expected[key], rtol=1e-5, atol=1e-6), key


@each
@pytest.mark.parametrize(("scenario", "rows"), [("joint", slice(None)), ("repeated", PARTS[0])])
def test_two_workers_have_loss_gradients_and_statistics_of_the_joint_batch(name, scenario, rows, workers):
    expected = one_process(name, batch_of(name, rows))
    for worker in workers:
        check(worker[f"{name} {scenario}"], expected)


def test_two_workers_know_of_one_collapse(workers):
    first, second = (worker["jepa joint"]["own.first_std"] for worker in workers)
    assert first == second  # both stop, or neither
    joint = one_process("jepa", batch_of("jepa", slice(None)))["own.first_std"]
    assert float(first) == pytest.approx(float(joint), rel=0.05)


@pytest.mark.parametrize("name", SEPARABLE)
def test_micro_batches_have_the_loss_and_the_gradients_of_the_joint_batch(name):
    parts = [batch_of(name, rows) for rows in PARTS]
    check(one_process(name, *parts), one_process(name, batch_of(name, slice(None))))


@pytest.mark.parametrize("name", ["jepa", "s4_jepa", "hubert", "byol", "simdino"])
def test_a_teacher_steps_once_an_update_whatever_its_micro_batches(name):
    model = model_of(name)
    parts = dict(model.teacher.named_children())
    before = {key: value.clone() for key, value in model.teacher.named_parameters()}
    for update in (0, 0, 1, 1, 1):  # fairseq says it before every micro-batch
        model.set_num_updates(update)
    for part, module in parts.items():
        for key, value in module.named_parameters():
            student = getattr(model, part).get_parameter(key)
            assert torch.allclose(value, (before[f"{part}.{key}"] + student) / 2, atol=1e-6), key
    assert int(model.teacher.last_update) == 1
