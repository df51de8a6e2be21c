"""Batches in memory that is used again: never while a tensor of it is left."""

import gc
import os
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fairseq_signals.batches.memory import BatchMemory
from fairseq_signals.ecg.normalize import Scaling
from fairseq_signals.transforms.base import Compose, Sometimes
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask

SHAPE = (3, 2, 5)


@pytest.fixture
def memory():
    return BatchMemory(n_slots=2, slot_bytes=4096)


def slot_of(taken):
    _, place = taken
    return None if place is None else place[1]


def test_a_slot_is_used_again_when_no_tensor_of_it_is_left(memory):
    first, place = memory.take(SHAPE)
    row = first[1]
    del first
    assert slot_of(memory.take(SHAPE)) != place[1]  # the row still holds it
    row.fill_(3.0)
    del row
    assert slot_of(memory.take(SHAPE)) == place[1]


def test_arrays_and_saved_tensors_hold_a_slot_too(memory):
    tensor, place = memory.take(SHAPE)
    weight = torch.ones(5, requires_grad=True)
    loss = (tensor * weight).sum()  # autograd keeps the tensor
    array = tensor.numpy()
    del tensor
    assert memory.owner[place[1]] == os.getpid()
    del array
    assert memory.owner[place[1]] == os.getpid()
    del loss
    gc.collect()
    assert memory.owner[place[1]] == 0


def test_without_a_free_slot_or_with_too_large_a_batch_memory_is_fresh(memory):
    held = [memory.take(SHAPE) for _ in range(3)]
    assert [slot_of(taken) for taken in held] == [0, 1, None]
    addresses = {taken[0].data_ptr() for taken in held}
    assert len(addresses) == 3
    assert slot_of(BatchMemory(1, 4096).take((1, 1, 1025))) is None


def test_where_there_is_no_region_memory_is_fresh(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("fairseq_signals.batches.memory.mmap.mmap", refuse)
    tensor, place = BatchMemory().take(SHAPE)
    assert (tensor.shape, place) == (torch.Size(SHAPE), None)


def test_a_memory_that_is_pickled_leaves_its_region_behind(memory):
    copy = pickle.loads(pickle.dumps(memory))
    assert slot_of(copy.take(SHAPE)) is None
    assert slot_of(memory.take(SHAPE)) == 0


def test_slots_of_processes_that_are_gone_are_taken_back(memory):
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    memory.owner[:] = gone
    assert slot_of(memory.take(SHAPE)) == 0


def test_a_forked_process_does_not_free_what_its_parent_holds(memory):
    held, place = memory.take(SHAPE)
    child = os.fork()
    if child == 0:
        del held
        os._exit(0)
    os.waitpid(child, 0)
    assert memory.owner[place[1]] == os.getpid()
    assert held is not None


# --- batches of a dataset --------------------------------------------------------------------------------


SEGMENTS = [(record, k) for record in range(6) for k in range(4)]


def masked(dataset_of, **options):
    transform = Compose([Sometimes(RandomLeadMask("random", 0.5), 0.8)])
    return dataset_of(SEGMENTS, pairs=True, shuffle=True, seed=3, transform=transform, **options)


def assert_same(found, expected):
    assert type(found) is dict
    assert list(found) == list(expected) or set(found) == set(expected)
    for key, value in expected.items():
        if key == "net_input":
            assert torch.equal(found[key]["source"], value["source"])
            assert found[key]["padding_mask"] is value["padding_mask"] is None
        elif isinstance(value, torch.Tensor):
            assert found[key].dtype == value.dtype
            assert torch.equal(found[key], value)
        else:
            assert found[key] == value


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"leads": [0, 1, 7]},
        {"leads": [7, 0], "pad_leads": False},
        {"scaling": Scaling("segment")},
        {"max_sample_size": 30},
        {"views": 2},
        {"views": 2, "view_leads": "disjoint"},
        {"view_leads": "single", "leads": [1, 5]},
        {"targets": torch.arange(24)},
        {"targets": torch.eye(24)},
        {"is_probe": np.arange(24) % 3 == 0},
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_a_batch_is_its_items_one_after_the_other(dataset_of, options):
    dataset = masked(dataset_of, **options)
    dataset.set_epoch(2)
    indices = dataset.ordered_indices()[:5]
    ones = [dataset.collater([int(i)]) for i in indices]
    expected = {
        key: torch.cat([one[key] for one in ones]) for key in ones[0] if key not in ("net_input", "subset")
    }
    source = torch.cat([one["net_input"]["source"] for one in ones])
    expected.update(net_input={"source": source, "padding_mask": None}, subset="train")
    assert_same(dataset.collater(indices), expected)
    assert_same(dataset.collater(indices.tolist()), expected)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_that_are_kept_do_not_change(dataset_of, workers):
    dataset = masked(dataset_of)
    dataset.memory = BatchMemory(n_slots=4, slot_bytes=2**16)  # fewer than there are batches
    plan = [dataset.ordered_indices()[i : i + 2].tolist() for i in range(0, 12, 2)] * 3
    loader = DataLoader(dataset, batch_sampler=plan, collate_fn=dataset.collater, num_workers=workers)
    kept = list(loader)
    for batch, indices in zip(kept, plan):
        assert_same(batch, dataset.collater(indices))
    del batch
    kept.clear()
    gc.collect()
    assert not dataset.memory.owner.any()  # every slot came back


def test_a_loader_whose_batches_are_dropped_works_with_few_slots(dataset_of):
    dataset = masked(dataset_of)
    dataset.memory = BatchMemory(n_slots=2, slot_bytes=2**16)
    plan = [[0, 1], [2, 3], [4, 5]] * 10
    loader = DataLoader(dataset, batch_sampler=plan, collate_fn=dataset.collater, num_workers=2)
    for batch, indices in zip(loader, plan):
        assert_same(batch, dataset.collater(indices))


def test_an_iteration_that_is_broken_off_costs_no_slots_for_good(dataset_of):
    dataset = masked(dataset_of)
    dataset.memory = BatchMemory(n_slots=3, slot_bytes=2**16)
    for _ in range(4):
        loader = DataLoader(dataset, batch_sampler=[[0, 1]] * 9, collate_fn=dataset.collater, num_workers=1)
        next(iter(loader))
    gc.collect()
    assert slot_of(dataset.memory.take(SHAPE)) is not None
