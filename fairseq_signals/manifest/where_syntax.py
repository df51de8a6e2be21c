"""Text of a filter expression to a tree of comparisons: the grammar of `--where` in `manifests/README.md`.

Python's parser reads it, and nothing is evaluated: there are fields, constants and these few operators, and
whatever else the parser knows is refused.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from typing import NamedTuple, Union

from fairseq_signals.errors import ConfigError

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 50  # of brackets, and of `not`

_PIECE = re.compile(
    r"(?P<text>'[^']*'|\"[^\"]*\")|(?P<bracket>[()\[\]])|[<>=!]=|\d\.?[eE]\+|(?P<strange>[^\w\s<>,.-])",
    re.ASCII,
)
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ORDER = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_HINTS = {"=": "; write ==", "&": "; write and", "|": "; write or", "!": "; write not"}

Constant = Union[float, str]


class Field(NamedTuple):
    """A field's name, where it stands (0-based), and the key in `name['key']`."""

    name: str
    at: int
    key: str | None = None

    def __str__(self) -> str:
        return self.name if self.key is None else f"{self.name}[{self.key!r}]"


class Condition(NamedTuple):
    """A field compared with constants.

    Args:
        field: what is compared.
        op: == != < <= > >= ("field op value"), "in" ("field in (value, ...)"), "contains" ("'text' in field":
            an item of a list, or a part of a text), or "missing" ("field is None").
        values: one constant; of "in" one or more, of "missing" none.
    """

    field: Field
    op: str
    values: tuple[Constant, ...] = ()


class Join(NamedTuple):
    """Conditions joined with "and" or "or", or with "not" the contrary of a single one."""

    op: str
    parts: tuple[Node, ...]


Node = Union[Condition, Join]
_Operand = Union[Field, tuple[Constant, ...]]


def fault(at: int, message: str) -> ConfigError:
    """An error at a position of the expression."""
    return ConfigError(f"--where, character {at + 1}: {message}")


def parse_where(text: str) -> Node:
    """The tree of a filter expression.

    Raises:
        ConfigError: where it is not one, with the position.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"--where: {len(text):,} characters are too many; at most {MAX_LENGTH:,} are read")
    if not text.strip():
        raise fault(0, "the expression is empty; write a condition such as age >= 18")
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str):
        self.texts: dict[int, str] = {}  # by place; they have no escapes, so Python's parser gets blank ones
        depth = 0
        for piece in _PIECE.finditer(text):
            at, found = piece.start(), piece[0]
            if piece["text"]:
                self.texts[at] = found
            elif piece["bracket"]:
                depth += 1 if found in "([" else -1
                if depth > MAX_DEPTH:
                    raise fault(at, f"brackets are nested more than {MAX_DEPTH} deep")
            elif piece["strange"] and found in "'\"":
                raise fault(at, f"the text that begins here has no closing {found}")
            elif piece["strange"]:
                raise fault(at, f"{found!r} means nothing here{_HINTS.get(found, '')}")
        blank = _PIECE.sub(lambda p: p[0][0] + " " * (len(p[0]) - 2) + p[0][-1] if p["text"] else p[0], text)
        # one line of ASCII: columns are characters. To Python 007 is octal, here it is 7
        self.code = re.sub(r"\s|(?<![\w.])0+(?=\d)", lambda gap: " " * len(gap[0]), blank)

    def read(self) -> Node:
        code = self.code.lstrip()
        self.indent = len(self.code) - len(code)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # `18 <= age < 65and ...`
                tree = ast.parse(code, mode="eval").body
        except SyntaxError as error:
            at = self.indent + error.offset - 1 if error.offset else len(self.code)
            raise fault(min(at, len(self.code)), f"this cannot be read: {error.msg}") from None
        except (MemoryError, RecursionError, ValueError):
            raise fault(
                self.indent, "this cannot be read: too deeply nested, or a number is too long"
            ) from None
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                raise fault(self.after(node.func), "there are no calls; compare a field with a constant")
        return self.condition(tree)

    def at(self, node: ast.expr) -> int:
        return node.col_offset + self.indent

    def after(self, node: ast.expr) -> int:
        """Where what follows an operand begins."""
        end = (node.end_col_offset or 0) + self.indent
        return len(self.code) - len(self.code[end:].lstrip(" )"))

    def condition(self, node: ast.expr, depth: int = 0) -> Node:
        if isinstance(node, ast.BoolOp):
            op = "and" if isinstance(node.op, ast.And) else "or"
            return Join(op, tuple(self.condition(part, depth) for part in node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            if depth == MAX_DEPTH:
                raise fault(self.at(node), f"not is nested more than {MAX_DEPTH} deep")
            return Join("not", (self.condition(node.operand, depth + 1),))
        if isinstance(node, ast.Compare):
            return self.comparison(node)
        raise fault(self.at(node), "expected a condition: a comparison with == != < <= > >= in or is")

    def comparison(self, node: ast.Compare) -> Node:
        op, left, right = node.ops[0], node.left, node.comparators[0]
        if len(node.ops) == 1 and isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)):
            read = self.is_missing if isinstance(op, (ast.Is, ast.IsNot)) else self.membership
            found = read(left, right)
            return Join("not", (found,)) if isinstance(op, (ast.IsNot, ast.NotIn)) else found
        parts: list[Node] = []
        for op, right in zip(node.ops, node.comparators):  # 18 <= age < 65 is two conditions
            if type(op) not in _ORDER:
                raise fault(self.after(left), "in and is stand alone; join conditions with and, or")
            at = self.after(left)
            parts.append(_compare(self.operand(left), _ORDER[type(op)], self.operand(right), at))
            left = right
        return Join("and", tuple(parts)) if len(parts) > 1 else parts[0]

    def is_missing(self, left: ast.expr, right: ast.expr) -> Condition:
        field = self.operand(left)
        if not isinstance(field, Field):
            raise fault(self.after(left), "before is there must be a field")
        if not isinstance(right, ast.Constant) or right.value is not None:
            raise fault(self.at(right), "after is comes None or not None")
        return Condition(field, "missing")

    def membership(self, left: ast.expr, right: ast.expr) -> Condition:
        item, of, at = self.operand(left), self.operand(right), self.after(left)
        if isinstance(item, Field):
            in_parentheses = self.code[: self.at(right)].rstrip().endswith("(")  # ('a') is as good as ('a',)
            if isinstance(of, Field) or not (in_parentheses or isinstance(right, (ast.Tuple, ast.List))):
                raise fault(at, f"after `{item} in` comes a list, such as ('a', 'b')")
            return Condition(item, "in", of)
        if not isinstance(of, Field):
            raise fault(at, "one side of in must be a field")
        if len(item) > 1:
            raise fault(at, f"before `in {of}` comes one text; join several such conditions with or")
        if not isinstance(item[0], str):
            raise fault(at, f"before `in {of}` comes a text in quotes, but here is the number {item[0]:.16g}")
        return Condition(of, "contains", item)

    def operand(self, node: ast.expr) -> _Operand:
        """A field, or constants: in parentheses or brackets there may be several."""
        if isinstance(node, ast.Name):
            return Field(node.id, self.at(node))
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            key = node.slice
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                raise fault(self.at(key), "expected a name in quotes")
            return Field(node.value.id, self.at(node), str(self.constant(key)))
        if isinstance(node, (ast.Tuple, ast.List)) and node.elts:
            return tuple(map(self.constant, node.elts))
        if isinstance(node, (ast.Compare, ast.BoolOp)):
            raise fault(self.after(node), "a condition cannot be compared; compare a field with a constant")
        return (self.constant(node),)

    def constant(self, node: ast.expr) -> Constant:
        at = self.at(node)
        source = self.code[at : (node.end_col_offset or 0) + self.indent]
        text = self.texts.get(at, "")
        # the lengths differ with a prefix, or of several texts in a row
        if isinstance(node, ast.Constant) and len(text) == len(source):
            return text[1:-1]
        if _NUMBER.fullmatch(source.replace(" ", "")):
            value = float(source.replace(" ", ""))
            if math.isinf(value):
                raise fault(at, "the number is too large")
            return value
        wanted = "expected a field, a number or a text in quotes"
        raise fault(at, "write `is None` or `is not None`" if source == "None" else wanted)


def _compare(left: _Operand, written: str, right: _Operand, at: int) -> Condition:
    symbol = written
    if not isinstance(left, Field):
        left, right, symbol = right, left, _MIRRORED[symbol]
    if not isinstance(left, Field) or isinstance(right, Field):
        raise fault(at, f"{written} compares a field with a constant")
    if len(right) > 1:
        raise fault(at, f"{written} takes one constant; with several write in")
    return Condition(left, symbol, right)
