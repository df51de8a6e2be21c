"""Fast generators draw what numpy's `default_rng` draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.data.randomness import generator, generators

numbers = st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1))


def draws(rng):
    return [rng.random(), rng.integers(100), rng.normal(), *rng.random(3), *rng.permutation(4)]


@settings(max_examples=50, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=7))
def test_one_generator_draws_as_default_rng(key):
    assert draws(generator(key)) == draws(np.random.default_rng(key))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 7).flatmap(lambda n: st.lists(st.tuples(*[numbers] * n), min_size=1, max_size=5)))
def test_many_generators_draw_as_default_rng_each(keys):
    found = [draws(rng) for rng in generators(np.array(keys))]
    assert found == [draws(np.random.default_rng(list(key))) for key in keys]


@pytest.mark.parametrize("key", [[2**32, 1], [1, 2**40 + 3]])
def test_larger_numbers_are_taken_too(key):
    expected = draws(np.random.default_rng(key))
    assert draws(generator(key)) == expected
    assert [draws(rng) for rng in generators(np.array([key]))] == [expected]


def test_negative_numbers_are_refused_as_numpy_does():
    with pytest.raises(ValueError, match="non-negative"):
        generator([-1])
    with pytest.raises(ValueError, match="non-negative"):
        next(generators(np.array([[-1]])))
