"""Damage of every kind to the bytes of a file, for tests that all formats go through."""

import re

import numpy as np

_NUMBER = re.compile(rb"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?")
#: What stands in the place of a number of a text, and of some bytes of anything else.
TEXTS = (
    *(b"-1", b"0", b"1", b"nan", b"inf", b"-inf", b"1e400", b"1e-400", b"", b"x", b"\xff"),
    *(
        b"65536",
        b"2147483648",
        b"4294967295",
        b"99999999",
        b"9223372036854775808",
        b"9" * 21,
        b"9" * 400,
        b"0.1",
    ),
)
INTEGERS = (0, 1, -1, 2**7, 2**15 - 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63)


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with bits flipped, a number at a limit, a stretch taken out or doubled, or cut off."""
    kinds = (_flip, _flip, _set_number, _set_number, _set_integer, _set_integer, _take_out, _double, _cut)
    return kinds[rng.integers(len(kinds))](data, rng)


def _place(data: bytes, rng: np.random.Generator) -> int:
    """Mostly near the beginning, where headers are."""
    return int(len(data) * rng.random() ** 3)


def _flip(data, rng):
    changed = bytearray(data)
    for place in _place(data, rng) + rng.integers(0, 64, rng.integers(1, 5)):
        if changed:
            changed[min(place, len(data) - 1)] ^= 1 << rng.integers(8)
    return bytes(changed)


def _set_number(data, rng):
    numbers = [found.span() for found in _NUMBER.finditer(data[:65536])]
    if not numbers:
        return data
    begin, end = numbers[int(len(numbers) * rng.random() ** 2)]
    return data[:begin] + TEXTS[rng.integers(len(TEXTS))] + data[end:]


def _set_integer(data, rng):
    size, place = int(2 ** rng.integers(4)), _place(data, rng)
    value = INTEGERS[rng.integers(len(INTEGERS))] % 2 ** (8 * size)
    return (
        data[:place] + value.to_bytes(size, "little" if rng.random() < 0.7 else "big") + data[place + size :]
    )


def _take_out(data, rng):
    place = _place(data, rng)
    return data[:place] + data[place + rng.integers(1, 40) :]


def _double(data, rng):
    place = _place(data, rng)
    return data[:place] + data[place : place + rng.integers(1, 40)] + data[place:]


def _cut(data, rng):
    return data[: _place(data, rng)]
