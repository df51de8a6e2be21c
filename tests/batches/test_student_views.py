"""Which leads the views of teacher and students have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_signals.batches.student_views import StudentViews
from fairseq_signals.ecg.leads import LEAD_SETS, LEADS
from fairseq_signals.ecg.normalize import Scaling
from fairseq_signals.errors import ConfigError
from fairseq_signals.transforms.base import Compose
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask

ALL = list(range(12))


def drawn(views: StudentViews, n: int = 600, present: list | None = None) -> list[list[int]]:
    """The students' leads of n segments, one after the other; the teacher's are checked."""
    there = None if present is None else np.isin(np.arange(12), present)
    rng = np.random.default_rng(0)
    students = []
    for _ in range(n):
        teacher, *others = views.draw(rng, there)
        assert teacher == views.canonical
        assert len(others) == len(views) - 1
        students += others
    assert all(leads == sorted(set(leads)) for leads in students)
    return students


def test_their_number_is_uniform_in_its_range_and_every_lead_comes_as_often_as_another():
    students = drawn(StudentViews(ALL, 2, "random", 1, 6), 3000)
    sizes = np.bincount([len(leads) for leads in students], minlength=8)
    assert sizes[0] == sizes[7] == 0
    assert np.allclose(sizes[1:7] / 6000, 1 / 6, atol=0.02)
    often = np.bincount(np.concatenate(students), minlength=12) / 6000
    assert np.allclose(often, 3.5 / 12, atol=0.03)


def test_only_leads_that_the_record_has_and_that_are_loaded_are_chosen():
    views = StudentViews([5, 0, 1, 7], 1, "random", 2, 6)
    assert {tuple(leads) for leads in drawn(views, present=[0, 1, 2, 3])} == {(0, 1)}
    assert {tuple(leads) for leads in drawn(views, present=[7])} == {(7,)}
    assert {len(leads) for leads in drawn(views)} == {2, 3, 4}


def test_lead_sets_are_those_of_the_paper_as_far_as_they_are_there():
    views = StudentViews(ALL, 1, "sets")
    sets = {tuple(sorted(LEADS.index(name) for name in names)) for names in LEAD_SETS.values()}
    assert {tuple(leads) for leads in drawn(views)} == sets
    assert {tuple(leads) for leads in drawn(views, present=[1, 7, 8])} == {(1, 7, 8), (1,), (1, 7)}
    assert {tuple(leads) for leads in drawn(views, present=[9])} == {(9,)}


def test_students_may_have_all_leads():
    assert {tuple(leads) for leads in drawn(StudentViews([3, 1], 3, "all"))} == {(1, 3)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((1, "some"), "task.student_leads must be one of all, random, sets, but is 'some'"),
        ((-1,), "task.student_views must be 0 or more, but is -1"),
        ((1, "random", 0, 6), "at most task.student_max_leads, but they are 0 and 6"),
        ((1, "random", 4, 3), "at most task.student_max_leads, but they are 4 and 3"),
    ],
)
def test_options_that_make_no_views_are_refused_by_name(options, message):
    with pytest.raises(ConfigError, match=message):
        StudentViews(ALL, *options)


SEGMENTS = [(r, k) for r in range(6) for k in range(2)]  # the last record has no V6
RLM = Compose([RandomLeadMask("random", 0.5)])


def louder(signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The signal by a random factor."""
    return signal_mv * np.float32(rng.uniform(2, 3))


@pytest.mark.parametrize("pairs", [True, False])
def test_a_batch_says_which_rows_are_the_teachers_and_those_are_the_segments_as_they_are(dataset_of, pairs):
    dataset = dataset_of(SEGMENTS, views=StudentViews(ALL, 2), pairs=pairs, transform=louder)
    batch = dataset.collater(range(len(dataset)))
    inputs, plain = batch["net_input"], dataset_of(SEGMENTS, pairs=pairs)
    is_teacher = inputs["is_teacher"]
    assert is_teacher.dtype == torch.bool
    assert batch["view"].tolist() == [0, 1, 2] * 12
    assert is_teacher.tolist() == [True, False, False] * 12
    expected = plain.collater(range(len(plain)))["net_input"]
    assert "is_teacher" not in expected
    for key in ("source", "lead_present"):
        assert torch.equal(inputs[key][is_teacher], expected[key])
    students, whole = inputs["source"][~is_teacher], expected["source"].repeat_interleave(2, dim=0)
    present = inputs["lead_present"][~is_teacher]
    assert torch.equal(students.any(dim=2), present)
    assert set(present.sum(dim=1).tolist()) <= set(range(1, 7))
    assert not present[-4:, 11].any()  # V6 of the record without it
    factors = (students / whole)[present]
    assert ((factors > 1.99) & (factors < 3.01)).all()
    assert len({row.numpy().tobytes() for row in students}) == len(students)


@pytest.mark.parametrize("scaling", [Scaling(), Scaling("segment")])  # two ways of reading
def test_students_leads_are_masked_too_and_what_is_left_is_said(dataset_of, scaling):
    views = StudentViews(ALL, 3, "all")
    dataset = dataset_of(SEGMENTS, views=views, transform=RLM, scaling=scaling, keep_a_lead=True)
    inputs = dataset.collater(range(len(dataset)))["net_input"]
    n_leads = inputs["lead_present"].sum(dim=1).view(12, 4)
    assert torch.equal(inputs["source"].any(dim=2), inputs["lead_present"])
    assert n_leads[:, 0].tolist() == [12] * 10 + [11] * 2
    assert 3 < n_leads[:, 1:].float().mean() < 9


def test_views_are_a_function_of_seed_epoch_and_item(dataset_of):
    def sources(seed: int, epoch: int, items: list) -> torch.Tensor:
        dataset = dataset_of(SEGMENTS, views=StudentViews(ALL, 2), transform=louder, seed=seed, shuffle=True)
        dataset.set_epoch(epoch)
        return dataset.collater(items)["net_input"]["source"]

    first = sources(1, 3, [4, 7])
    assert torch.equal(first, sources(1, 3, [7, 4])[[3, 4, 5, 0, 1, 2]])
    for other in (sources(2, 3, [4, 7]), sources(1, 4, [4, 7])):
        assert torch.equal(first[[0, 3]], other[[0, 3]])  # the teacher's
        assert not torch.equal(first, other)
