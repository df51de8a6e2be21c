"""Random generators that are a function of a few numbers, one at a time or many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_WORD = 2**32
_128 = 2**128

# numpy.random.SeedSequence: Melissa O'Neill's seed_seq_fe with a pool of four words, see the numpy manual
_POOL = 4
_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_L, _MIX_R = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_SHIFT = np.uint32(16)
_PCG_MULT = 0x2360ED051FC65DA44385DF649FCCF645  # of PCG64, XSL-RR


def generator(key: Sequence[int]) -> np.random.Generator:
    """`np.random.default_rng(key)`, in half its time where all numbers fit 32 bits."""
    if max(key) >= _WORD or min(key) < 0:
        return np.random.default_rng(list(key))
    words = np.array(key, dtype=np.uint32)  # the words that a sequence of such numbers is made into
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def generators(keys: np.ndarray) -> Iterator[np.random.Generator]:
    """`np.random.default_rng(key)` for each row of (N, numbers), in a fifth of its time.

    What is drawn is the same; but the seeds of all are computed together, and one object serves all of them,
    so that each is over when the next one is asked for.
    """
    if keys.size and (keys.max() >= _WORD or keys.min() < 0):
        yield from (np.random.default_rng(key.tolist()) for key in keys)
        return
    bits = np.random.PCG64(0)
    shared = np.random.Generator(bits)
    for high, low, inc_high, inc_low in _states(keys.astype(np.uint32)).tolist():
        increment = ((inc_high << 64 | inc_low) << 1 | 1) % _128
        state = ((high << 64 | low) + increment) * _PCG_MULT + increment
        bits.state = {
            "bit_generator": "PCG64",
            "state": {"state": state % _128, "inc": increment},
            "has_uint32": 0,
            "uinteger": 0,
        }
        yield shared


def _states(words: np.ndarray) -> np.ndarray:
    """`SeedSequence(row).generate_state(4, np.uint64)` for each row of (N, words) uint32: (N, 4) uint64."""
    n_words = words.shape[1]
    constant = _INIT_A

    def hashed(value: np.ndarray) -> np.ndarray:
        nonlocal constant
        value = value ^ np.uint32(constant)
        constant = constant * _MULT_A % _WORD
        value = value * np.uint32(constant)
        return value ^ (value >> _SHIFT)

    def mixed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        value: np.ndarray = _MIX_L * x - _MIX_R * y
        return value ^ (value >> _SHIFT)

    zeros = np.zeros(len(words), dtype=np.uint32)
    pool = [hashed(words[:, i] if i < n_words else zeros) for i in range(_POOL)]
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                pool[target] = mixed(pool[target], hashed(pool[source]))
    for source in range(_POOL, n_words):
        for target in range(_POOL):
            pool[target] = mixed(pool[target], hashed(words[:, source]))
    constant = _INIT_B
    state = np.empty((len(words), 8), dtype=np.uint32)
    for i in range(8):
        value = pool[i % _POOL] ^ np.uint32(constant)
        constant = constant * _MULT_B % _WORD
        value = value * np.uint32(constant)
        state[:, i] = value ^ (value >> _SHIFT)
    return state.view("<u8")
