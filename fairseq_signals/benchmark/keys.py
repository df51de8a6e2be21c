"""Values of a YAML file as dataclasses, with errors that name the key."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from fairseq_signals.errors import ConfigError, did_you_mean

Made = TypeVar("Made")
_SINGLE = {"str": str, "int": int, "float": float, "float | None": float}
_SEVERAL = {"tuple[str, ...]": str, "tuple[int, ...]": int}
_MEANS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "float | None": "a number",
    "bool": "true or false",
}


def made(kind: type[Made], given: Mapping[str, Any], where: str) -> Made:
    """A dataclass of what a file gives for its fields.

    Args:
        kind: of fields that are numbers, texts, tuples of them, true or false; others are taken as they are.
        given: field -> value.
        where: the key that all of it is the value of; of the whole file "".

    Raises:
        ConfigError: a key that is no field, a value of another type, a field without default not given.
    """
    fields = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    before = f"{where}." if where else ""
    for key in mapping(given, where):
        if key not in fields:
            raise ConfigError(f"there is no key {before}{key}{did_you_mean(str(key), fields)}")
    needed = (name for name, each in fields.items() if _is_needed(each) and name not in given)
    if missing := " and ".join(needed):
        raise ConfigError(f"{where or 'the settings'}: {missing} must be given")
    return kind(
        **{key: _converted(value, str(fields[key].type), before + key) for key, value in given.items()}
    )


def _is_needed(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _converted(value: Any, kind: str, where: str) -> Any:
    """A value of YAML as one of a field of this type; where several are meant, one alone is all."""
    one = _SINGLE.get(kind) or _SEVERAL.get(kind)
    if kind == "float | None" and value is None:
        return None
    try:
        if kind in _SEVERAL:
            return tuple(_single(each, one) for each in _flat(value))
        if kind == "bool" and not isinstance(value, bool):
            raise ValueError
        return _single(value, one) if one else value
    except (TypeError, ValueError):
        wanted = f"{_MEANS[one.__name__]}, or a list" if kind in _SEVERAL and one else _MEANS[kind]
        raise ConfigError(f"{where} must be {wanted}, but is {value!r}") from None


def _flat(value: Any) -> list[Any]:
    """What is in a list and the lists in it, such as those that YAML repeats by an alias."""
    return [each for part in value for each in _flat(part)] if isinstance(value, (list, tuple)) else [value]


def _single(value: Any, kind: Any) -> Any:
    if isinstance(value, (list, tuple, dict, bool)) or value is None or (kind is int and value != int(value)):
        raise ValueError
    return kind(value)


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Keys and values, which this key of a file must have."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where or 'the settings'} must be keys and values, but is {value!r}")
    return dict(value)


def one_of(where: str, values: Iterable[str], known: Collection[str]) -> None:
    """Raise ConfigError at a value that is not known; names near misses."""
    for value in values:
        if value not in known:
            hint = did_you_mean(value, known) or f"; there are {', '.join(known)}"
            raise ConfigError(f"{where}: there is no {value}{hint}")


def plain(value: Any) -> Any:
    """Dataclasses and tuples as YAML has them: mappings and lists, without what is the default."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        defaults = {f.name: f.default for f in dataclasses.fields(value)}
        found = {name: getattr(value, name) for name in defaults}
        return {name: plain(each) for name, each in found.items() if each != defaults[name]}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple) else value
