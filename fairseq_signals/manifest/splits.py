"""Splits that depend on the seed and the keys alone, not on the order in which records are met.

Keys (patients) are ranked by a hash of seed and key, then cut at exact proportions. The same seed therefore
ranks a patient alike for every task, so that the test patients of two tasks overlap as far as they can.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

from fairseq_signals.errors import ConfigError


def hash_order(keys: Iterable[str], seed: int) -> list[str]:
    """The distinct keys in an order that is random but fixed by the seed."""
    return sorted(set(keys), key=lambda key: (_digest(key, seed), key))


def split_keys(keys: Iterable[str], weights: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign each distinct key to a split.

    Args:
        keys: patients, or whatever must not be divided between splits.
        weights: the splits in order and their shares, of any sum; a share of 0 gives an empty split.
        seed: another seed gives another assignment.

    Returns:
        The split of each key. Sizes are the exact shares, rounded; no split with a share is left empty.

    Raises:
        ConfigError: where there are fewer keys than splits, or a share is negative.
    """
    ordered = hash_order(keys, seed)
    assigned: dict[str, str] = {}
    begin = 0
    for name, size in zip(weights, split_sizes(len(ordered), list(weights.values()))):
        assigned.update(dict.fromkeys(ordered[begin : begin + size], name))
        begin += size
    return assigned


def split_sizes(total: int, weights: list[float]) -> list[int]:
    """Whole numbers in the proportion of the weights, of that sum; at least 1 where the weight is not 0."""
    if not weights or min(weights) < 0 or not 0 < sum(weights) < math.inf:
        raise ConfigError(f"shares must be numbers from 0 with a positive sum, but are {weights} instead")
    n_splits = sum(weight > 0 for weight in weights)
    if total < n_splits:
        raise ConfigError(f"{total} patients cannot be divided into {n_splits} splits; give more records")
    exact = [total * weight / sum(weights) for weight in weights]
    sizes = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: sizes[i] - exact[i])  # stable: first split first
    for i in by_remainder[: total - sum(sizes)]:
        sizes[i] += 1
    for i, weight in enumerate(weights):
        if weight > 0 and sizes[i] == 0:
            sizes[sizes.index(max(sizes))] -= 1
            sizes[i] = 1
    return sizes


def parse_shares(text: str, names: Iterable[str]) -> dict[str, float]:
    """The shares of a split like `8:1:1`, by the names of its parts.

    Raises:
        ConfigError: where the text is not as many numbers as there are names.
    """
    names = list(names)
    try:
        shares = [float(share) for share in text.split(":")]
    except ValueError:
        shares = []
    if len(shares) != len(names) or not all(math.isfinite(share) and share >= 0 for share in shares):
        raise ConfigError(
            f"split must be {len(names)} numbers ({':'.join(names)}) like 8:1:1, but is {text!r}"
        )
    return dict(zip(names, shares))


def _digest(key: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=16).digest()
