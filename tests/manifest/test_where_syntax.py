"""Filter expressions are read as Python would read them, and nothing but comparisons is read at all."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.where_syntax import MAX_DEPTH, MAX_LENGTH, Condition, Join, parse_where

A, B, C = ("a", "==", 1.0), ("b", "==", 2.0), ("c", "==", 3.0)


def shape(node):
    """A tree without positions."""
    if isinstance(node, Join):
        return node.op, *map(shape, node.parts)
    name = str(node.field)
    if node.op in ("in", "missing"):
        return (name, "in", node.values) if node.values else (name, "is None")
    (value,) = node.values
    return (value, "in", name) if node.op == "contains" else (name, node.op, value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age >= 18", ("age", ">=", 18.0)),
        ("18 <= age", ("age", ">=", 18.0)),
        ("18 <= age < 65.5", ("and", ("age", ">=", 18.0), ("age", "<", 65.5))),
        ("age > -1.5e1", ("age", ">", -15.0)),
        ("(-.5) == age", ("age", "==", -0.5)),
        ("sex=='female'", ("sex", "==", "female")),
        ('sex == "it\'s"', ("sex", "==", "it's")),
        ("'a' in codes", ("a", "in", "codes")),
        ("'a' not in codes", ("not", ("a", "in", "codes"))),
        ("not 'a' in codes", ("not", ("a", "in", "codes"))),
        ("source in ('a', 'b',)", ("source", "in", ("a", "b"))),
        ("source in ['a']", ("source", "in", ("a",))),
        ("source in ('a')", ("source", "in", ("a",))),
        ("age not in (1, -2)", ("not", ("age", "in", (1.0, -2.0)))),
        ("age is None", ("age", "is None")),
        ("age is not None", ("not", ("age", "is None"))),
        ("attributes['x y'] == '1'", ("attributes['x y']", "==", "1")),
        ("'n' in attributes[\"x\"]", ("n", "in", "attributes['x']")),
        (
            "a == 1 or b == 2 and c == 3",
            ("or", A, ("and", B, C)),
        ),
        (
            "(a == 1 or b == 2) and c == 3",
            ("and", ("or", A, B), C),
        ),
        ("not a == 1 and b == 2", ("and", ("not", A), B)),
        ("not (a == 1 and b == 2)", ("not", ("and", A, B))),
        ("not not a == 1", ("not", ("not", ("a", "==", 1.0)))),
        (" \n(((a\t== 1)))", ("a", "==", 1.0)),
        ("'and' == a", ("a", "==", "and")),
        (
            "18 <= age < 65and a != 007",
            ("and", ("and", ("age", ">=", 18.0), ("age", "<", 65.0)), ("a", "!=", 7.0)),
        ),
        (r"r == '\n' or r == '\'", ("or", ("r", "==", r"\n"), ("r", "==", "\\"))),
        ("'(\n' in r", ("(\n", "in", "r")),
    ],
)
def test_expressions_mean_what_they_mean_in_python(text, expected):
    assert shape(parse_where(text)) == expected


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("", 1, "the expression is empty"),
        ("age", 1, "expected a condition: a comparison with == != < <= > >= in or is"),
        ("age = 3", 5, "'=' means nothing here; write =="),
        ("age > 3 && sex == 'x'", 9, "'&' means nothing here; write and"),
        ("age > 3 and", 12, "this cannot be read: invalid syntax"),
        ("(age > 3", 1, "this cannot be read: '(' was never closed"),
        ("age > 3)", 8, "this cannot be read: unmatched ')'"),
        ("sex == 'x", 8, "the text that begins here has no closing '"),
        ("age == None", 8, "write `is None` or `is not None`"),
        ("age is 3", 8, "after is comes None or not None"),
        ("3 is None", 3, "before is there must be a field"),
        ("3 < 4", 3, "< compares a field with a constant"),
        ("age < fs", 5, "< compares a field with a constant"),
        ("sex == ('a', 'b')", 5, "== takes one constant; with several write in"),
        ("sex in 'ab'", 5, "after `sex in` comes a list, such as ('a', 'b')"),
        ("'a' in ('a', 'b')", 5, "one side of in must be a field"),
        ("426 in codes", 5, "before `in codes` comes a text in quotes, but here is the number 426"),
        ("('a', 'b') in codes", 12, "before `in codes` comes one text; join several such conditions with or"),
        ("(age > 3) == 2", 11, "a condition cannot be compared"),
        ("'a' in codes == 1", 5, "in and is stand alone; join conditions with and, or"),
        ("age in ()", 8, "expected a field, a number or a text in quotes"),
        ("age in (1 2)", 9, "this cannot be read: invalid syntax. Perhaps you forgot a comma?"),
        ("attributes[x] == 1", 12, "expected a name in quotes"),
        ("attributes['x' == 1", 11, "this cannot be read: '[' was never closed"),
        ("(---1) < age", 2, "expected a field, a number or a text in quotes"),
        ("age > -'x'", 7, "expected a field, a number or a text in quotes"),
        ("len(leads) == 12", 4, "there are no calls; compare a field with a constant"),
        ("sex == 'a' 'b'", 8, "expected a field, a number or a text in quotes"),
        ("age == 0x10", 8, "expected a field, a number or a text in quotes"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, at, message):
    with pytest.raises(ConfigError) as caught:
        parse_where(text)
    assert str(caught.value).startswith(f"--where, character {at}: {message}")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "age.__class__ == 1",
        "().__class__.__bases__[0] == 1",
        "open('x') == 1",
        "age > 3 (1)",
        "[x for x in codes]",
        "lambda: 0",
        "age := 3",
        "age > 2 ** 9 ** 9 ** 9",
        "age > 1e999",
        "age > " + "9" * 9_000,
        "f'{age}' == 1",
        "age > 1; age",
        "age\0 > 1",
        "age > \u0661",  # a digit, but not one of ours
        "`age` > 1",
        "age > 3 if age else 2",
        "*age == 1",
        "\\",
        "'" * 3,
        "(" * MAX_LENGTH,
        "not " * 2_400 + "age",
        "not " * (MAX_DEPTH + 1) + "age > 1",
        "(" * (MAX_DEPTH + 1) + "age > 1" + ")" * (MAX_DEPTH + 1),
        "[" * 5_000,
        "age > 1 or " * 1_000,
        "-" * 9_000 + "1 < age",
        "age" + ".age" * 2_400,
        ("not " * 40 + "(") * 50 + "age > 1" + ")" * 50,
        "r'a' in codes",
    ],
)
def test_what_is_no_comparison_is_refused(text):
    with pytest.raises(ConfigError, match="--where"):
        parse_where(text)


def test_reasonable_depth_and_length_are_read():
    deep = "(" * MAX_DEPTH + "age > 1" + ")" * MAX_DEPTH
    assert shape(parse_where(deep)) == ("age", ">", 1.0)
    many = " or ".join(["age == 1"] * 800)
    assert len(parse_where(many).parts) == 800


@settings(deadline=None)
@given(text=st.text(alphabet="agesx'\"()[]<>=!,-.19 \n\\andortis", max_size=60))
@example("(-")
@example("(1")
@example("is not")
@example("a not in")
@example("a[")
@example("a['x'")
def test_any_text_is_an_expression_or_an_error_with_a_place(text):
    try:
        node = parse_where(text)
    except ConfigError as error:
        node = None
        place = int(re.match(r"--where, character (\d+): ", str(error))[1])
    assert isinstance(node, (Condition, Join)) if node else 1 <= place <= len(text) + 1
