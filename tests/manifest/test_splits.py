"""Splits are exact, and depend on the seed and the keys alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.splits import hash_order, parse_shares, split_keys, split_sizes

SHARES = {"train": 8.0, "valid": 1.0, "test": 1.0}
keys = st.lists(st.text(min_size=1), min_size=3, unique=True)


@given(keys=keys, seed=st.integers(0, 99), shuffle=st.randoms())
def test_order_and_repetition_of_keys_change_nothing(keys, seed, shuffle):
    again = keys + keys[:2]
    shuffle.shuffle(again)
    assert split_keys(again, SHARES, seed) == split_keys(keys, SHARES, seed)


@given(keys=keys, seed=st.integers(0, 99))
def test_every_key_is_in_one_split_and_no_split_is_empty(keys, seed):
    split = split_keys(keys, SHARES, seed)
    assert set(split) == set(keys)
    assert set(split.values()) == {"train", "valid", "test"}


@given(total=st.integers(3, 10_000), weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=3))
def test_sizes_are_the_exact_shares_rounded(total, weights):
    sizes = split_sizes(total, weights)
    assert sum(sizes) == total
    for size, weight in zip(sizes, weights):
        exact = total * weight / sum(weights)
        assert abs(size - exact) < 1 or size == 1 or min(sizes) == 1


def test_eight_one_one_of_a_hundred_is_eighty_ten_ten():
    assert split_sizes(100, [8, 1, 1]) == [80, 10, 10]
    assert split_sizes(5, [8, 1, 1]) == [3, 1, 1]  # nothing is left empty
    assert split_sizes(10, [1, 0, 1]) == [5, 0, 5]


def test_another_seed_gives_another_split():
    patients = [f"p{i}" for i in range(100)]
    assert split_keys(patients, SHARES, 1) != split_keys(patients, SHARES, 2)


def test_held_out_keys_of_a_small_share_are_held_out_of_a_larger_one():
    patients = [f"p{i}" for i in range(100)]
    small = split_keys(patients, {"train": 0.9, "test": 0.1}, 1)
    large = split_keys(patients, {"train": 0.7, "test": 0.3}, 1)
    assert {p for p in patients if small[p] == "test"} <= {p for p in patients if large[p] == "test"}


def test_the_order_is_the_same_on_every_machine_and_version():
    """Golden: sorted by blake2b(f"{seed}\\0{key}", digest_size=16); a change would alter every split."""
    assert hash_order(["a", "b", "c", "d", "e"], seed=1) == ["d", "a", "e", "c", "b"]


def test_the_order_looks_random():
    order = hash_order((f"{i:04d}" for i in range(2000)), seed=3)
    assert 400 < sum(int(key) < 1000 for key in order[:1000]) < 600


@pytest.mark.parametrize("n_keys", [0, 1, 2])
def test_fewer_keys_than_splits_are_refused(n_keys):
    with pytest.raises(ConfigError, match=f"{n_keys} patients cannot be divided into 3 splits"):
        split_keys([f"p{i}" for i in range(n_keys)], SHARES, 1)


@pytest.mark.parametrize("weights", [[], [0, 0], [-1, 2], [float("nan"), 1], [float("inf"), 1]])
def test_shares_that_are_none_are_refused(weights):
    with pytest.raises(ConfigError, match="shares must be numbers from 0 with a positive sum"):
        split_sizes(10, weights)


def test_shares_are_parsed_by_name():
    assert parse_shares("8:1:1", SHARES) == SHARES
    assert parse_shares("0.7 : .1: 0.2", SHARES) == {"train": 0.7, "valid": 0.1, "test": 0.2}


@pytest.mark.parametrize("text", ["8:1", "8:1:1:1", "a:b:c", "8:-1:1", "8:nan:1", ""])
def test_shares_that_cannot_be_read_are_refused(text):
    with pytest.raises(ConfigError, match=r"split must be 3 numbers \(train:valid:test\) like 8:1:1, but is"):
        parse_shares(text, SHARES)
