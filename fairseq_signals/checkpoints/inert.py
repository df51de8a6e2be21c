"""Options as they were pickled, made plain; nothing of the libraries that made them is imported or run."""

import argparse
import re
from typing import Any, Iterable

#: What a pickled configuration names besides its values: classes of the library of configurations and of the
#: authors' options, and the types that their fields are to have.
_NAMED = re.compile(
    r"(omegaconf|fairseq|fairseq_signals|typing)(\.\w+)*\.[A-Z]\w*"
    r"|builtins\.(bool|bytes|dict|float|int|list|str|tuple|type)|collections\.defaultdict|_?operator\.getitem"
)
#: Where an object of omegaconf keeps what it holds: a container, a value.
_HOLDS = ("_content", "_val")


class Inert:
    """In place of an object of a class that is not trusted: keeps what it is given, and does nothing."""

    args: tuple
    state: Any = None

    def __new__(cls, *args: Any) -> "Inert":
        new = super().__new__(cls)
        new.args = args
        return new

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def content(self) -> Any:
        """What it holds: a container or a value of omegaconf, fields, or the value of an enumeration."""
        if isinstance(self.state, dict):
            return next((self.state[key] for key in _HOLDS if key in self.state), self.state)
        return self.args[0] if self.args else None


def may_be_inert(name: str) -> bool:
    """Whether a pickle may name this, full path, to get an `Inert` in its place."""
    return _NAMED.fullmatch(name) is not None


def plain(value: Any) -> Any:
    """Plain containers of what a pickle held: of namespaces, and of `Inert` objects what they hold."""
    if isinstance(value, Inert):
        return plain(value.content)
    if isinstance(value, argparse.Namespace):
        return plain(vars(value))
    if isinstance(value, dict):
        return {plain(key): plain(entry) for key, entry in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def inside(value: Any) -> Iterable[Any]:
    """What is one level below a value that is not plain yet; as `plain` goes down."""
    if isinstance(value, Inert):
        return (value.content,)
    if isinstance(value, argparse.Namespace):
        return vars(value).values()
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()
