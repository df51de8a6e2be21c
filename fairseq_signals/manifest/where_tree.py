"""What a filter expression is made of: conditions on fields, joined with `and`, `or` and `not`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Union

from fairseq_signals.errors import ConfigError

Constant = Union[float, str]


class Field(NamedTuple):
    """A field's name, where it stands (0-based), and the key in `name['key']`."""

    name: str
    at: int
    key: str | None = None

    def __str__(self) -> str:
        return self.name if self.key is None else f"{self.name}[{self.key!r}]"


@dataclass(frozen=True)
class Compare:
    """`field op value`, with op out of == != < <= > >=."""

    field: Field
    op: str
    value: Constant


@dataclass(frozen=True)
class OneOf:
    """`field in (value, ...)`."""

    field: Field
    values: tuple[Constant, ...]


@dataclass(frozen=True)
class Contains:
    """`'text' in field`: an item of a list, or a part of a text."""

    field: Field
    text: str


@dataclass(frozen=True)
class IsMissing:
    """`field is None`."""

    field: Field


@dataclass(frozen=True)
class Not:
    """`not part`."""

    part: Node


@dataclass(frozen=True)
class Every:
    """`part and part ...`."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Some:
    """`part or part ...`."""

    parts: tuple[Node, ...]


Node = Union[Compare, OneOf, Contains, IsMissing, Not, Every, Some]


def fault(at: int, message: str) -> ConfigError:
    """An error at a position of the expression."""
    return ConfigError(f"--where, character {at + 1}: {message}")
