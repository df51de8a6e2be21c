"""Views of a segment: how leads are dealt out, and which options make no views."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from fairseq_signals.batches.views import Views, keep_leads, partition
from fairseq_signals.errors import ConfigError

TWELVE = range(12)


@st.composite
def dealt(draw) -> tuple:
    """Leads, views and the least number of leads a view that go together, and a seed."""
    leads = draw(st.lists(st.integers(0, 11), min_size=2, max_size=12, unique=True))
    n_views = draw(st.integers(2, len(leads)))
    return leads, n_views, draw(st.integers(1, len(leads) // n_views)), draw(st.integers(0, 2**32))


@settings(deadline=None)
@given(dealt())
def test_disjoint_views_share_no_lead_and_have_all_loaded_leads(case):
    leads, n_views, least, seed = case
    views = Views(leads, n_views, "disjoint", least)
    drawn = views.draw(np.random.default_rng([1, seed]))
    assert len(drawn) == len(views) == n_views
    assert sorted(lead for view in drawn for lead in view) == sorted(leads)
    assert min(map(len, drawn)) >= least
    assert views.draw(np.random.default_rng([1, seed])) == drawn
    assert all(view == sorted(view) for view in drawn)


def draws(n: int, *options) -> list:
    views = Views(TWELVE, *options)
    return [views.draw(np.random.default_rng([7, i])) for i in range(n)]


@pytest.mark.parametrize(("least", "sizes"), [(1, range(1, 12)), (4, range(4, 9)), (6, [6])])
def test_sizes_of_two_disjoint_views_are_uniform(least, sizes):
    n = 3000
    found = np.bincount([len(first) for first, _ in draws(n, 2, "disjoint", least)], minlength=13)
    p = 1 / len(sizes)
    assert set(np.flatnonzero(found)) == set(sizes)
    assert np.abs(found[list(sizes)] - n * p).max() <= 5 * (n * p * (1 - p)) ** 0.5


def test_all_sizes_and_all_sets_of_a_size_are_drawn_equally_often():
    """A chi-squared test at one in a million, which a split that orders leads by `argpartition` fails."""
    first = np.zeros((20_000, 12), dtype=int)
    rng = np.random.default_rng(3)
    for row in first:
        row[partition(12, 2, 2, rng) == 0] = 1
    size = first.sum(axis=1)
    assert chisquare(np.bincount(size, minlength=11)[2:]).pvalue > 1e-6
    two = (first[size == 2] @ (1 << np.arange(12))).tolist()
    counts = [two.count((1 << a) + (1 << b)) for a in range(12) for b in range(a)]
    assert sum(counts) == len(two)
    assert chisquare(counts).pvalue > 1e-6


def test_sizes_of_three_disjoint_views_are_uniform_over_all_that_add_up():
    n, sizes = 3000, [(a, b, 5 - a - b) for a in range(1, 4) for b in range(1, 5 - a)]
    rng = np.random.default_rng(0)
    found = [tuple(np.bincount(partition(5, 3, 1, rng), minlength=3)) for _ in range(n)]
    assert set(found) == set(sizes)
    bound = 5 * (n / 6 * 5 / 6) ** 0.5
    assert all(abs(found.count(size) - n / 6) <= bound for size in sizes)


def test_every_lead_is_in_either_view_equally_often_and_leads_are_together_at_random():
    n = 3000
    first = np.zeros((n, 12))
    for row, (view, _) in zip(first, draws(n, 2, "disjoint")):
        row[view] = 1
    assert np.abs(first.mean(axis=0) - 0.5).max() <= 5 * 0.5 / n**0.5
    together = [(first[:, a] == first[:, b]).mean() for a in range(12) for b in range(a)]
    assert max(together) - min(together) <= 10 * 0.5 / n**0.5


def test_single_views_have_one_lead_each_in_canonical_order():
    views = Views([7, 0, 3], 1, "single")
    assert len(views) == 3
    assert views.draw(None) == views.draw(None) == [[0], [3], [7]]


@pytest.mark.parametrize("n_views", [1, 2, 3])
def test_views_with_all_leads_have_all_loaded_leads(n_views):
    assert Views([2, 0], n_views).draw(None) == [[0, 2]] * n_views


def test_kept_leads_are_bit_identical_and_the_others_zeros():
    signal = np.random.default_rng(0).normal(size=(12, 9)).astype(np.float32)
    before = signal.copy()
    view = keep_leads(signal, [1, 11])
    assert np.array_equal(view[[1, 11]], signal[[1, 11]])
    assert not view[[0, *range(2, 11)]].any()
    assert view.dtype == np.float32
    assert np.array_equal(signal, before)
    assert keep_leads(signal, list(TWELVE)) is signal


@pytest.mark.parametrize(
    ("leads", "options", "message"),
    [
        (12, (1, "some"), r"task\.view_leads must be one of all, disjoint, single, but is 'some'"),
        (12, (0,), r"task\.views must be at least 1, but is 0"),
        (12, (2, "disjoint", 0), r"task\.min_view_leads must be at least 1, but is 0"),
        (12, (2, "single"), r"task\.views is 2, but task\.view_leads=single makes one view of each"),
        (12, (1, "disjoint"), r"task\.view_leads=disjoint .* but task\.views is 1; set it to 2"),
        (1, (2, "disjoint"), r"task\.leads_to_load gives 1 leads, but 2 disjoint views .* need 2"),
        (3, (2, "disjoint", 2), r"task\.leads_to_load gives 3 leads, but 2 .* of at least 2 .* need 4"),
    ],
)
def test_options_that_make_no_views_are_refused_by_name(leads, options, message):
    with pytest.raises(ConfigError, match=message):
        Views(range(leads), *options)
