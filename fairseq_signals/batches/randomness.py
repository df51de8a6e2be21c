"""Random generators that are a function of a few numbers, by design of numpy's counter-based Philox."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def generator(seed: int, epoch: int, item: int, part: int, stream: int = 0) -> np.random.Generator:
    """What draws for one part of an item; `stream` tells apart what must not be drawn alike. All >= 0."""
    if min(seed, epoch, item, part, stream) < 0:
        raise ValueError(f"the numbers of a generator must be non-negative, but the seed is {seed} instead")
    # Philox counts in the first word of the counter, so that 2^64 blocks of draws lie between two streams
    return np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, stream, part, item]))


def generators(seed: int, epoch: int, places: np.ndarray) -> Iterator[np.random.Generator]:
    """`generator(seed, epoch, item, part)` for each row (item, part) of (N, 2), in a quarter of its time.

    One object serves all of them, so that each is over when the next one is asked for.
    """
    shared = generator(seed, epoch, 0, 0)
    state = shared.bit_generator.state
    counter = state["state"]["counter"]
    for item, part in places.tolist():
        counter[:] = (0, 0, part, item)
        shared.bit_generator.state = state
        yield shared
