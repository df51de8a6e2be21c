"""Text of a filter expression to a tree of comparisons: the grammar of `--where` in `manifests/README.md`.

The text is never evaluated as Python: it has fields, constants and these few operators, and nothing else.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple, NoReturn

from fairseq_signals.data.where_tree import (
    Compare,
    Constant,
    Contains,
    Every,
    Field,
    IsMissing,
    Node,
    Not,
    OneOf,
    Some,
    fault,
)
from fairseq_signals.errors import ConfigError

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 50  # of parentheses and `not`


class _Token(NamedTuple):
    kind: str  # number, text, name, op, end
    text: str
    at: int


class _Values(NamedTuple):
    """Constants as an operand; in parentheses or brackets several."""

    values: tuple[Constant, ...]
    in_brackets: bool


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<op>==|!=|<=|>=|[<>()\[\],-])"
    r"|(?P<end>$))",
    re.ASCII,
)
_ORDER = ("==", "!=", "<", "<=", ">", ">=")
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_WORDS = ("and", "or", "not", "in", "is", "None")
_HINTS = {"=": "write ==", "&": "write and", "|": "write or", "!": "write not", ".": "fields have no parts"}


def parse_where(text: str) -> Node:
    """The tree of a filter expression.

    Raises:
        ConfigError: where it is not one, with the position.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"--where: {len(text):,} characters are too many; at most {MAX_LENGTH:,} are read")
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str):
        self.tokens = _tokens(text)
        self.place = 0
        self.depth = 0

    def parse(self) -> Node:
        if self.token.kind == "end":
            raise fault(0, "the expression is empty; write a condition such as age >= 18")
        node = self.some()
        if self.token.kind != "end":
            if self.token.text == "(":
                raise fault(self.token.at, "there are no calls; write conditions joined with and, or")
            self.unexpected("and, or, or the end")
        return node

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def take(self, *texts: str) -> bool:
        """Step over the next tokens if they are these."""
        ahead = self.tokens[self.place : self.place + len(texts)]
        if [t.text for t in ahead if t.kind in ("op", "name")] != list(texts):
            return False
        self.place += len(texts)
        return True

    def unexpected(self, wanted: str) -> NoReturn:
        token = self.token
        found = "the end" if token.kind == "end" else token.text
        raise fault(token.at, f"expected {wanted}, but found {found}")

    def some(self) -> Node:
        parts = [self.every()]
        while self.take("or"):
            parts.append(self.every())
        return Some(tuple(parts)) if len(parts) > 1 else parts[0]

    def every(self) -> Node:
        parts = [self.negation()]
        while self.take("and"):
            parts.append(self.negation())
        return Every(tuple(parts)) if len(parts) > 1 else parts[0]

    def negation(self) -> Node:
        at = self.token.at
        if self.take("not"):
            self.enter(at)
            part = self.negation()
            self.depth -= 1
            return Not(part)
        if self.token.text == "(" and self.token.kind == "op" and not self.at_constants():
            self.place += 1
            self.enter(at)
            node = self.some()
            if not self.take(")"):
                self.unexpected("and, or, or )")
            self.depth -= 1
            if self.operator_ahead():
                raise fault(self.token.at, "a condition cannot be compared; compare a field with a constant")
            return node
        return self.comparison()

    def enter(self, at: int) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise fault(at, f"parentheses and not are nested more than {MAX_DEPTH} deep")

    def comparison(self) -> Node:
        left = self.operand()
        at = self.token.at
        if self.take("is"):
            missing = not self.take("not")
            if not self.take("None"):
                self.unexpected("None" if not missing else "None or not None")
            if not isinstance(left, Field):
                raise fault(at, "before is there must be a field")
            return IsMissing(left) if missing else Not(IsMissing(left))
        if self.take("not", "in"):
            return Not(_membership(left, self.operand(), at))
        if self.take("in"):
            return _membership(left, self.operand(), at)
        parts: list[Node] = []
        while self.token.kind == "op" and self.token.text in _ORDER:  # 18 <= age < 65 is two conditions
            token = self.token
            self.place += 1
            right = self.operand()
            parts.append(_compare(left, token, right))
            left = right
        if not parts:
            self.unexpected("a comparison (== != < <= > >= in is)")
        if self.operator_ahead():
            self.unexpected("and, or, or the end")
        return Every(tuple(parts)) if len(parts) > 1 else parts[0]

    def operator_ahead(self) -> bool:
        token = self.token
        return (token.kind == "op" and token.text in _ORDER) or token.text in ("in", "is")

    def at_constants(self) -> bool:
        """Whether the parenthesis here holds constants, not a condition."""
        rest = self.tokens[self.place + 1 :]
        if rest[0].text == "-":
            rest = rest[1:]
        return rest[0].kind in ("number", "text") and rest[1].text in (",", ")")

    def operand(self) -> Field | _Values:
        token = self.token
        if token.kind == "name" and token.text not in _WORDS:
            self.place += 1
            if self.token.text == "(":
                raise fault(self.token.at, "there are no calls; compare a field with a constant")
            return Field(token.text, token.at, self.key() if self.take("[") else None)
        if token.kind == "op" and token.text in ("(", "["):
            return self.constants()
        if token.text == "None":
            raise fault(token.at, "write `is None` or `is not None`")
        return _Values((self.constant(),), in_brackets=False)

    def key(self) -> str:
        """The text before the bracket that closes."""
        if self.token.kind != "text":
            self.unexpected("a name in quotes")
        key = self.constant()
        if not self.take("]"):
            self.unexpected("]")
        return str(key)

    def constants(self) -> _Values:
        closing = {"(": ")", "[": "]"}[self.token.text]
        self.place += 1
        values = [self.constant()]
        while self.take(","):
            if self.token.text == closing:
                break
            values.append(self.constant())
        if not self.take(closing):
            self.unexpected(f"a comma or {closing}")
        return _Values(tuple(values), in_brackets=True)

    def constant(self) -> Constant:
        negative = self.take("-")
        token = self.token
        if token.kind == "number":
            value = float(token.text)
            if math.isinf(value):
                raise fault(token.at, "the number is too large")
            self.place += 1
            return -value if negative else value
        if token.kind == "text" and not negative:
            self.place += 1
            return token.text[1:-1]
        self.unexpected("a number" if negative else "a field, a number or a text in quotes")


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, place)
        if match is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            if text[at] in "'\"":
                raise fault(at, f"the text that begins here has no closing {text[at]}")
            hint = _HINTS.get(text[at])
            raise fault(at, f"{text[at]!r} means nothing here" + (f"; {hint}" if hint else ""))
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return tokens


def _compare(left: Field | _Values, op: _Token, right: Field | _Values) -> Node:
    symbol = op.text
    if not isinstance(left, Field):
        left, right, symbol = right, left, _MIRRORED[symbol]
    if not isinstance(left, Field) or isinstance(right, Field):
        raise fault(op.at, f"{op.text} compares a field with a constant")
    if len(right.values) > 1:
        raise fault(op.at, f"{op.text} takes one constant; with several write in")
    return Compare(left, symbol, right.values[0])


def _membership(left: Field | _Values, right: Field | _Values, at: int) -> Node:
    if isinstance(left, Field):
        if isinstance(right, Field) or not right.in_brackets:
            raise fault(at, f"after `{left} in` comes a list, such as ('a', 'b')")
        return OneOf(left, right.values)
    if not isinstance(right, Field):
        raise fault(at, "one side of in must be a field")
    if len(left.values) > 1:
        raise fault(at, f"before `in {right}` comes one text; join several such conditions with or")
    text = left.values[0]
    if not isinstance(text, str):
        raise fault(at, f"before `in {right}` comes a text in quotes, but here is the number {text:.16g}")
    return Contains(right, text)
