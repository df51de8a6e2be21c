"""What a saved file may hold: a rule for each of its keys, and reading JSON and arrays by such rules.

Rules stand in a table beside what uses the file, such as `{"fs": number(50, 20_000)}`. A file that breaks one
is refused by its name and the key. Sizes are compared with limits before anything is allocated.
"""

from __future__ import annotations

import itertools
import json
import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Callable, NamedTuple

import numpy as np

from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.files import open_file

LARGEST_JSON = 1 << 24  # bytes
LARGEST_ARRAYS = 1 << 33  # bytes of all arrays of a file, in memory
DEEPEST, MOST_VALUES = 32, 200_000  # of containers within containers
_KINDS = {
    "f": "floating-point numbers",
    "fiu": "numbers",
    "iu": "integers",
    "b": "booleans",
    "U": "texts",
    "iuU": "texts or integers",
}


class Rule(NamedTuple):
    """What a value must be.

    Attributes:
        wanted: in words, after "must be".
        fits: whether a value is so.
        required: whether the key must be there; else None is as good as no value.
    """

    wanted: str
    fits: Callable[[Any], bool]
    required: bool = False


def required(rule: Rule) -> Rule:
    """The rule of a key that must be there."""
    return rule._replace(required=True)


def number(low: float, high: float, below: bool = False) -> Rule:
    """From `low` to `high`; `below`: less than `high`."""

    def fits(value: Any) -> bool:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        return plain and low <= value <= high and not (below and value == high)

    return Rule(f"a number from {low:,g} to {'below ' if below else ''}{high:,g}", fits)


def integer(low: int, high: int) -> Rule:
    """From `low` to `high`."""
    inside = number(low, high).fits
    return Rule(
        f"an integer from {low:,} to {high:,}", lambda value: isinstance(value, int) and inside(value)
    )


def one_of(*values: Any) -> Rule:
    """One of these texts, or True and False."""
    return Rule(
        f"one of {', '.join(map(str, values))}",
        lambda value: any(type(value) is type(each) and value == each for each in values),
    )


def text(longest: int = 4096) -> Rule:
    """A text."""
    return Rule(
        f"a text of at most {longest:,} characters",
        lambda value: isinstance(value, str) and len(value) <= longest,
    )


def list_of(rule: Rule, longest: int) -> Rule:
    """A list of values, each by a rule."""
    return Rule(
        f"a list of at most {longest:,}, each {rule.wanted}",
        lambda value: (
            isinstance(value, (list, tuple)) and len(value) <= longest and all(map(rule.fits, value))
        ),
    )


def either(one: Rule, other: Rule) -> Rule:
    """By one of two rules."""
    return Rule(f"{one.wanted}, or {other.wanted}", lambda value: one.fits(value) or other.fits(value))


def section(rules: Mapping[str, Rule]) -> Rule:
    """A dictionary whose values are by rules."""
    named = ", ".join(rules)
    return Rule(
        "a dictionary" + (f" with {named} as they must be" if named else ""),
        lambda value: isinstance(value, dict) and not broken(value, rules),
    )


TRUTH = one_of(True, False)


def check(
    values: Mapping[str, Any], rules: Mapping[str, Rule], where: str, error: type[FairseqSignalsError]
) -> None:
    """Raise `error` where a key breaks its rule; `where` is the file, and the section the key is in."""
    problems = broken(values, rules, where)
    if problems:
        more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise error(f"{problems[0]}{more}. The file is damaged, or was changed: get it again")


def broken(values: Mapping[str, Any], rules: Mapping[str, Rule], where: str = "") -> list[str]:
    """Which keys break their rules, each in words; `where` is put before a key's name."""
    return [
        f"{where}{key} must be {rule.wanted}, but is {shown(values.get(key))} instead"
        for key, rule in rules.items()
        if not (rule.fits(values[key]) if values.get(key) is not None else not rule.required)
    ]


def shown(value: Any) -> str:
    """A value as messages show it: not longer than a line."""
    try:
        found = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in itself
        return f"a {type(value).__name__}"
    return found if len(found) <= 80 else f"{found[:60]}... ({len(found):,} characters)"


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def too_nested(value: Any, inside: Callable[[Any], Iterable[Any]] = _inside) -> str | None:
    """How containers are deeper, or hold more, than any of ours; None: they are not.

    Args:
        value: plain containers.
        inside: what is one level below a value, of containers that are not plain.
    """
    level, count = [value], 0
    for _ in range(DEEPEST):
        count += len(level)
        if count > MOST_VALUES:
            return f"holds more than {MOST_VALUES:,} values"
        inner = itertools.chain.from_iterable(map(inside, level))
        level = list(itertools.islice(inner, MOST_VALUES + 1))
        if not level:
            return None
    return f"is nested deeper than {DEEPEST} levels"


def read_json(path: Path, error: type[FairseqSignalsError]) -> Any:
    """What a JSON file holds; `error` where it is no such file, longer than `LARGEST_JSON`, or too nested.

    Raises:
        FileNotFoundError: it is not there.
    """
    try:
        with open_file(path) as file:
            content = file.read(LARGEST_JSON + 1)
        if len(content) > LARGEST_JSON:
            size = path.stat().st_size
            raise error(f"{path}: {size:,} bytes, but at most {LARGEST_JSON:,} are read; it is damaged")
        found = json.loads(content.decode("utf-8"))
        problem = too_nested(found)
    except FileNotFoundError:
        raise
    except RecursionError:
        problem = f"is nested deeper than {DEEPEST} levels"
    except (ValueError, OSError) as e:
        if isinstance(e, error):
            raise
        raise error(f"{path}: not a readable JSON file ({e})") from None
    if problem:
        raise error(f"{path}: {problem}; it is damaged, or no file of this project")
    return found


class Array(NamedTuple):
    """What an array must be.

    Attributes:
        kinds: NumPy's letters of what it may hold.
        axes: a letter an axis. In all arrays of a file the same letter is the same length, at least 1, or of
            small letters 0.
        low, high: numbers are finite and in this range.
        nan: and may be NaN too.
        required: whether it must be there.
    """

    kinds: str
    axes: str = ""
    low: float = -math.inf
    high: float = math.inf
    nan: bool = False
    required: bool = True


def read_arrays(
    path: Path, rules: Mapping[str, Array], error: type[FairseqSignalsError], what: str
) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file that have rules; nothing is unpickled, and no other array is read.

    Whoever damages the file changes the check sums in it, which are compared.

    Args:
        what: it must be, for messages.

    Raises:
        FileNotFoundError: it is not there.
    """
    arrays: dict[str, np.ndarray] = {}
    lengths: dict[str, int] = {}
    left = LARGEST_ARRAYS
    try:
        with open_file(path) as opened, zipfile.ZipFile(opened) as archive:
            there = {info.filename: info for info in archive.infolist()}
            for name, rule in rules.items():
                info = there.get(f"{name}.npy")
                if info is None and rule.required:
                    raise error(f"{path}: not {what}: there is no {name} in it")
                if info is None:
                    continue
                with archive.open(info) as file:
                    problem = _header_problem(file, info.file_size, left, rule, lengths)
                if not problem:
                    left -= info.file_size
                    with archive.open(info) as file:
                        arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
                        file.read(1)  # the end, where the check sum is compared
                    problem = _value_problem(arrays[name], rule)
                if problem:
                    raise error(f"{path}: {name} {problem}")
    except (error, FileNotFoundError):
        raise
    except Exception as e:  # a damaged archive can raise nearly anything
        raise error(f"{path}: not {what}, or a damaged one ({type(e).__name__}: {e})") from None
    return arrays


def _header_problem(
    file: IO[bytes], size: int, left: int, rule: Array, lengths: dict[str, int]
) -> str | None:
    """What is wrong with an array by its header; the lengths of its axes are noted."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.kind not in rule.kinds:
        return f"must hold {_KINDS[rule.kinds]}, but holds {dtype}"
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes != size - file.tell():
        return f"claims {n_bytes:,} bytes, but there are {size - file.tell():,}"
    if n_bytes > left:
        return f"takes {n_bytes:,} bytes, but of {LARGEST_ARRAYS:,} only {left:,} are left"
    if len(shape) != len(rule.axes):
        return f"must have {len(rule.axes)} axes, but its shape is {shape}"
    for axis, length in zip(rule.axes, shape):
        if length != lengths.setdefault(axis, length) or (axis.isupper() and not length):
            wanted = " x ".join(str(lengths.get(each) or "at least 1") for each in rule.axes)
            return f"must be {wanted}, but its shape is {shape}"
    return None


def _value_problem(array: np.ndarray, rule: Array) -> str | None:
    """What is wrong with the values of an array."""
    if array.dtype.kind == "U":
        array.tolist()  # raises where a number is no character
    if array.dtype.kind not in "fiu" or not array.size:
        return None
    outside = ~((array >= rule.low) & (array <= rule.high) & np.isfinite(array))
    if rule.nan:
        outside &= ~np.isnan(array)
    if not outside.any():
        return None
    place = tuple(np.argwhere(outside)[0].tolist())
    wanted = "finite" if math.isinf(rule.low) else f"from {rule.low:g} to {rule.high:g}"
    return f"must be {wanted}, but {outside.sum():,} values are not, such as {array[place]:g} at {place}"
