"""Filters over columns do what the conditions do row by row; what is missing is neither true nor false."""

import operator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.where import FIELDS, Where

TYPES = {
    "record_id": pa.string(),
    "patient_id": pa.string(),
    "source": pa.string(),
    "fs": pa.float64(),
    "n_samples": pa.int64(),
    "leads": pa.list_(pa.string()),
    "n_faults": pa.int64(),
    "age": pa.float32(),
    "sex": pa.string(),
    "codes": pa.list_(pa.string()),
    "report": pa.string(),
    "attributes": pa.map_(pa.string(), pa.string()),
}
RECORD = {
    "record_id": "r",
    "patient_id": None,
    "source": "a",
    "fs": 500.0,
    "n_samples": 5000,
    "leads": ["I", "II"],
    "n_faults": 0,
    "age": None,
    "sex": None,
    "codes": [],
    "report": None,
    "attributes": None,
}


def table_of(rows, n_chunks=1):
    """A metadata table of records, each given by what differs from `RECORD`."""
    rows = [{**RECORD, **row} for row in rows]
    columns = {name: [row[name] for row in rows] for name in TYPES}
    columns["attributes"] = [None if a is None else list(a.items()) for a in columns["attributes"]]
    schema = pa.schema(list(TYPES.items()))
    parts = np.array_split(np.arange(len(rows)), n_chunks)
    return pa.concat_tables(
        pa.table({name: [column[i] for i in part] for name, column in columns.items()}, schema)
        for part in parts
    )


def outcome(text, *rows):
    return Where(text).evaluate(table_of(rows)).to_pylist()


def test_the_example_of_the_readme():
    text = "age >= 18 and sex == 'female' and '426783006' in codes and n_leads == 12 and not source == 'ptb'"
    full = {"age": 30, "sex": "female", "codes": ["1", "426783006"], "leads": ["I"] * 12, "source": "georgia"}
    other = ({"age": 17}, {"sex": "male"}, {"codes": []}, {"leads": ["I"]}, {"source": "ptb"}, {"age": None})
    rows = [full, *({**full, **change} for change in other)]
    assert outcome(text, *rows) == [True, False, False, False, False, False, None]


@pytest.mark.parametrize("age", [None, float("nan")])
def test_a_missing_value_satisfies_no_comparison_nor_its_negation(age):
    for text in ("age < 18", "not age < 18", "age != 18", "age in (18,)", "age not in (18,)"):
        assert outcome(text, {"age": age}) == [None], text
    assert outcome("age is None", {"age": age}, {"age": 3}) == [True, False]
    assert outcome("age is not None", {"age": age}, {"age": 3}) == [False, True]


def test_what_is_known_can_settle_what_is_missing():
    assert outcome("age > 5 or fs == 500", {}) == [True]
    assert outcome("age > 5 and fs == 100", {}) == [False]
    assert outcome("age > 5 or fs == 100", {}) == [None]


def test_a_record_without_codes_has_none_of_them():
    assert outcome("'x' in codes", {"codes": []}) == [False]
    assert outcome("not 'x' in codes", {"codes": []}) == [True]
    assert outcome("n_codes == 0", {"codes": []}, {"codes": ["x"]}) == [True, False]


def test_codes_are_whole_and_reports_are_searched():
    assert outcome("'42' in codes", {"codes": ["426"]}, {"codes": ["42"]}) == [False, True]
    assert outcome("'rhyth' in report", {"report": "sinus rhythm"}, {"report": ""}, {}) == [True, False, None]


def test_quality_is_duration_rate_leads_and_faults():
    assert outcome("duration_s >= 10", {"n_samples": 4999}, {"n_samples": 5000}) == [False, True]
    assert outcome("fs in (250, 500)", {"fs": 257.0}, {}) == [False, True]
    assert outcome("'V1' in leads", {}, {"leads": ["V1"]}) == [False, True]
    assert outcome("n_leads > 1 and n_faults == 0", {}, {"n_faults": 1}, {"leads": ["I"]}) == [
        True,
        False,
        False,
    ]


def test_attributes_are_texts_or_numbers_as_they_are_compared():
    rows = [{"attributes": a} for a in ({"w": "70"}, {"w": " 7.5e1 "}, {"w": "none"}, {"v": "70"}, None)]
    assert outcome("attributes['w'] >= 70", *rows) == [True, True, None, None, None]
    assert outcome("attributes['w'] == '70'", *rows) == [True, False, False, None, None]
    assert outcome("attributes['w'] in (70, 80)", *rows) == [True, False, None, None, None]
    assert outcome("'o' in attributes['w']", *rows) == [False, False, True, None, None]
    assert outcome("attributes['w'] is None", *rows) == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("agee > 1", 1, r"there is no field agee among record_id, .*, attributes; did you mean age\?"),
        ("fs == 1 and exec == 1", 13, "there is no field exec among"),
        ("age > '1'", 1, "age is a number, but is compared with the text '1'"),
        ("'1' in age", 8, "age is a number and contains nothing"),
        ("source == 1", 1, "source is text, but is compared with a number; write '1'"),
        ("source < 'b'", 1, "source is compared with a text; that goes with ==, != and in"),
        ("codes == 'x'", 1, "codes is a list; write 'x' in codes"),
        ("codes in ('x', 'y')", 1, "codes is a list; write 'x' in codes"),
        ("sex == 'f'", 1, "sex has no 'f' among female, male"),
        ("sex in ('Female',)", 1, r"sex has no 'Female' among female, male; did you mean female\?"),
        ("'v2' in leads", 9, r"leads has no 'v2' among I, .*; did you mean V2\?"),
        ("attributes == 'x'", 1, "attributes is a group of values; name one, as in"),
        ("age['x'] == 1", 1, "age is one value; write age without brackets"),
        ("attributes['x'] in (1, '2')", 1, r"attributes\['x'\] is compared with texts and numbers"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(text, at, message):
    with pytest.raises(ConfigError, match=f"--where, character {at}: {message}"):
        Where(text)


def test_values_that_no_record_has_are_slips_of_the_pen():
    table = table_of(
        [{"source": "ptb-xl", "codes": ["1"], "attributes": {"noise": "x"}}, {"source": "georgia"}]
    )
    with pytest.raises(ConfigError, match=r"no 'ptbxl' among georgia, ptb-xl; did you mean ptb-xl\?"):
        Where("not source == 'ptbxl'").check_values(table)
    with pytest.raises(ConfigError, match=r"attributes has no 'noice' among noise; did you mean noise\?"):
        Where("attributes['noice'] is None").check_values(table)
    assert Where("'2' in codes or '1' in codes").check_values(table) == [
        "note: --where asks for code '2', which no record has"
    ]
    assert Where("attributes['noise'] is None and source == 'georgia'").check_values(table) == []


def test_only_the_columns_asked_for_are_needed():
    assert Where("duration_s > 5 and '1' in codes").columns == {"n_samples", "fs", "codes"}
    assert Where("attributes['x'] is None or n_faults == 0").columns == {"attributes", "n_faults"}
    assert {name for kind in FIELDS.values() for name in kind.columns} == set(TYPES)


# --- the slow twin: conditions as Python functions of one row, None for neither true nor false ----------

NUMBERS = {
    "age": lambda row: row["age"],
    "fs": lambda row: row["fs"],
    "n_leads": lambda row: len(row["leads"]),
    "n_codes": lambda row: len(row["codes"]),
    "duration_s": lambda row: row["n_samples"] / row["fs"],
    "attributes['w']": lambda row: _number((row["attributes"] or {}).get("w")),
}
TEXTS = {
    "patient_id": lambda row: row["patient_id"],
    "report": lambda row: row["report"],
    "attributes['w']": lambda row: (row["attributes"] or {}).get("w"),
}
OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
WORDS = ("a", "b", "ab", "1")


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _known(get, compute):
    return lambda row: None if get(row) is None else compute(get(row))


def _every(parts):
    def value(row):
        found = [part(row) for part in parts]
        return False if False in found else None if None in found else True

    return value


def _some(parts):
    def value(row):
        found = [part(row) for part in parts]
        return True if True in found else None if None in found else False

    return value


def _not(part):
    return lambda row: None if part(row) is None else not part(row)


@st.composite
def comparisons(draw):
    """The text of a comparison, and its twin."""
    kind = draw(st.sampled_from(["number", "range", "member", "text", "one of", "part", "item", "missing"]))
    if kind in ("number", "range", "member"):
        name = draw(st.sampled_from(sorted(NUMBERS)))
        get = NUMBERS[name]
        values = draw(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0, 10.0, 30.5]), min_size=2, max_size=3))
        if kind == "member":
            return f"{name} in ({', '.join(map(str, values))})", _known(get, lambda x: x in values)
        first, second = draw(st.sampled_from(sorted(OPERATORS))), draw(st.sampled_from(sorted(OPERATORS)))
        if kind == "number":
            return f"{name} {first} {values[0]}", _known(get, lambda x: OPERATORS[first](x, values[0]))
        return (
            f"{values[0]} {first} {name} {second} {values[1]}",
            _known(get, lambda x: OPERATORS[first](values[0], x) and OPERATORS[second](x, values[1])),
        )
    word = draw(st.sampled_from(WORDS))
    if kind == "item":
        name = draw(st.sampled_from(["codes"]))
        return f"'{word}' in {name}", lambda row: word in row[name]
    name = draw(st.sampled_from(sorted(TEXTS)))
    get = TEXTS[name]
    if kind == "missing":
        return f"{name} is None", lambda row: get(row) is None
    if kind == "one of":
        return f"{name} in ('{word}', 'x')", _known(get, lambda x: x in (word, "x"))
    if kind == "part":
        return f"'{word}' in {name}", _known(get, lambda x: word in x)
    equal = draw(st.booleans())
    return f"{name} {'==' if equal else '!='} '{word}'", _known(get, lambda x: (x == word) is equal)


def _grow(children):
    joined = st.lists(children, min_size=2, max_size=3)
    return st.one_of(
        joined.map(lambda c: (" and ".join(f"({t})" for t, _ in c), _every([f for _, f in c]))),
        joined.map(lambda c: (" or ".join(f"({t})" for t, _ in c), _some([f for _, f in c]))),
        children.map(lambda c: (f"not ({c[0]})", _not(c[1]))),
    )


WORD = st.sampled_from(WORDS)
ROWS = st.fixed_dictionaries(
    {
        "patient_id": st.none() | WORD,
        "fs": st.sampled_from([1.0, 2.0, 500.0]),
        "n_samples": st.sampled_from([1, 10, 61, 5000]),
        "leads": st.sampled_from([["I"], ["I", "II"], ["V1"] * 12]),
        "age": st.none() | st.sampled_from([0.0, 1.0, 10.0, 30.5, 90.0]),
        "codes": st.lists(WORD, max_size=3),
        "report": st.none() | WORD,
        "attributes": st.none() | st.dictionaries(st.sampled_from("vw"), WORD | st.just("10"), max_size=2),
    }
)


@settings(deadline=None)
@given(
    expression=st.recursive(comparisons(), _grow, max_leaves=6),
    rows=st.lists(ROWS, min_size=1, max_size=8),
    n_chunks=st.integers(1, 3),
)
def test_columns_give_what_rows_give(expression, rows, n_chunks):
    text, twin = expression
    table = table_of(rows, n_chunks)
    assert Where(text).evaluate(table).to_pylist() == [twin({**RECORD, **row}) for row in rows]


@settings(deadline=None)
@given(
    left=comparisons(), middle=comparisons(), right=comparisons(), rows=st.lists(ROWS, min_size=1, max_size=4)
)
def test_and_binds_closer_than_or_and_not_closest(left, middle, right, rows):
    text = f"{left[0]} or not {middle[0]} and {right[0]}"
    twin = _some([left[1], _every([_not(middle[1]), right[1]])])
    assert outcome(text, *rows) == [twin({**RECORD, **row}) for row in rows]
