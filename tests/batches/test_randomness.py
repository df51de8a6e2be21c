"""Generators are a function of their numbers alone, one at a time or many at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.batches.randomness import generator, generators

numbers = st.one_of(st.integers(0, 3), st.integers(0, 2**63 - 1))


def draws(rng):
    return [rng.random(), rng.integers(100), rng.normal(), *rng.random(3), *rng.permutation(4)]


@settings(max_examples=50, deadline=None)
@given(numbers, numbers, st.lists(st.tuples(numbers, numbers), max_size=5))
def test_many_generators_draw_as_one_each(seed, epoch, places):
    array = np.array(places, dtype=np.int64).reshape(-1, 2)
    assert [draws(rng) for rng in generators(seed, epoch, array)] == [
        draws(generator(seed, epoch, *place)) for place in places
    ]


@settings(max_examples=50, deadline=None)
@given(*[st.tuples(*[numbers] * 5)] * 2)
def test_generators_draw_alike_if_and_only_if_all_numbers_are_equal(first, second):
    assert (draws(generator(*first)) == draws(generator(*second))) == (first == second)


def test_each_number_changes_what_is_drawn():
    keys = [tuple(int(i == j) for j in range(5)) for i in range(-1, 5)]  # all zero, then one of each
    assert len({generator(*key).random() for key in keys}) == 6


def test_first_draws_of_neighbouring_items_are_uniform_and_independent():
    n = 20_000
    places = np.stack([np.arange(n) // 2, np.arange(n) % 2], axis=1)
    first = np.array([rng.random() for rng in generators(1, 1, places)])
    counts = np.histogram(first, bins=20, range=(0, 1))[0]
    assert ((counts - n / 20) ** 2 / (n / 20)).sum() < 43.8  # chi square, 19 degrees of freedom, 0.1 %
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 4 / n**0.5


def test_what_is_drawn_stays_the_same_from_release_to_release():
    assert generator(1, 2, 3, 0).random() == pytest.approx(0.06344102965932141, abs=1e-15)


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="non-negative"):
        generator(-1, 0, 0, 0)
