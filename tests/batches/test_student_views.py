"""Which leads the views of teacher and students have."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_signals.batches.student_views import StudentViews
from fairseq_signals.ecg.leads import LEAD_SETS, LEADS
from fairseq_signals.errors import ConfigError

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
