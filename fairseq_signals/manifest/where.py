"""Filter expressions over the metadata of records (`--where`), evaluated on whole columns.

Logic has three values, as in SQL: a comparison with a missing value is neither true nor false, nor is its
negation. What is not true is left out. The language is described in `manifests/README.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import did_you_mean
from fairseq_signals.manifest.where_syntax import Condition, Field, Node, fault, parse_where

NUMBER, TEXT, LIST, ATTRIBUTE = "number", "text", "list", "attribute"
FAULTS_COLUMN = "n_faults"  # not in the store's tables; see `selection.read_metadata`

Column = Any  # pa.ChunkedArray; pyarrow ships no type information


@dataclass(frozen=True)
class Kind:
    """What a field holds and where it comes from.

    Args:
        type: "number", "text", "list" (of texts), or "attribute" (text, or a number where compared with one).
        columns: columns of metadata that it is computed from.
        values: the only values that there are, where they are known.
    """

    type: str
    columns: tuple[str, ...]
    values: tuple[str, ...] = ()


FIELDS = {
    "record_id": Kind(TEXT, ("record_id",)),
    "patient_id": Kind(TEXT, ("patient_id",)),
    "source": Kind(TEXT, ("source",)),
    "fs": Kind(NUMBER, ("fs",)),
    "n_samples": Kind(NUMBER, ("n_samples",)),
    "duration_s": Kind(NUMBER, ("n_samples", "fs")),
    "leads": Kind(LIST, ("leads",), LEADS),
    "n_leads": Kind(NUMBER, ("leads",)),
    "n_faults": Kind(NUMBER, (FAULTS_COLUMN,)),
    "age": Kind(NUMBER, ("age",)),
    "sex": Kind(TEXT, ("sex",), ("female", "male")),
    "codes": Kind(LIST, ("codes",)),
    "n_codes": Kind(NUMBER, ("codes",)),
    "report": Kind(TEXT, ("report",)),
    "attributes": Kind(ATTRIBUTE, ("attributes",)),
}

_OPERATIONS = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_JOINS = {"and": pc.and_kleene, "or": pc.or_kleene}
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


@dataclass(frozen=True)
class Where:
    """A filter expression that has been understood.

    Args:
        text: the expression.

    Raises:
        ConfigError: with the position, where the text is not a filter expression, names a field that there is
            not, or compares a field with what it cannot be.
    """

    text: str
    tree: Node = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", parse_where(self.text))
        for condition in _conditions(self.tree):
            _check(condition)

    @property
    def columns(self) -> set[str]:
        """The columns of metadata that it needs."""
        return {name for of, *_ in _conditions(self.tree) for name in FIELDS[of.name].columns}

    def evaluate(self, table: pa.Table) -> Column:
        """True, false or, where a missing value leaves it open, null for each row of a table."""
        return _evaluate(self.tree, table)

    def check_values(self, table: pa.Table) -> list[str]:
        """Remarks on codes that no record of a table has.

        Raises:
            ConfigError: where no record is of a source or has an attribute that is named.
        """
        remarks = []
        for of, op, values in _conditions(self.tree):
            if of.name == "source" and op != "contains":
                _require_known(of, values, _distinct(table["source"]))
            elif of.name == "attributes":
                _require_known(of, [str(of.key)], attribute_names(table))
            elif of.name == "codes" and op == "contains" and not _occurs(table["codes"], values[0]):
                remarks.append(f"note: --where asks for code {values[0]!r}, which no record has")
        return remarks


def attribute_names(table: pa.Table) -> tuple[str, ...]:
    """The attributes that any record of a table has."""
    return _distinct(pa.chunked_array([chunk.keys for chunk in table["attributes"].chunks], pa.string()))


def attribute_values(table: pa.Table, name: str) -> Column:
    """The text of an attribute; null where a record does not have it."""
    return pc.map_lookup(table["attributes"], pa.scalar(name, pa.string()), "first")


def _conditions(node: Node) -> Iterator[Condition]:
    if isinstance(node, Condition):
        yield node
    else:
        for part in node.parts:
            yield from _conditions(part)


def _evaluate(node: Node, table: pa.Table) -> Column:
    if not isinstance(node, Condition):
        parts = (_evaluate(part, table) for part in node.parts)
        return pc.invert(next(parts)) if node.op == "not" else reduce(_JOINS[node.op], parts)
    kind = FIELDS[node.field.name]
    as_number = kind.type == NUMBER or isinstance(next(iter(node.values), None), float)
    values = _field_values(table, node.field, as_number)
    if node.op == "missing":
        return pc.is_null(values)
    if node.op == "contains":
        return (_list_contains if kind.type == LIST else pc.match_substring)(values, node.values[0])
    type_ = pa.float64() if as_number else pa.string()
    if node.op in _OPERATIONS:
        return _OPERATIONS[node.op](values, pa.scalar(node.values[0], type_))
    found = pc.is_in(values, value_set=pa.array(node.values, type_))
    return pc.if_else(pc.is_valid(values), found, pa.scalar(None, pa.bool_()))


def _field_values(table: pa.Table, of: Field, as_number: bool) -> Column:
    """The values of a field: numbers as float64; missing ones, and what is no number, null."""
    if of.name == "duration_s":
        return pc.divide(pc.cast(table["n_samples"], pa.float64()), table["fs"])
    if of.name in ("n_leads", "n_codes"):
        return pc.cast(pc.list_value_length(table[of.name[2:]]), pa.float64())
    values = table[of.name] if of.key is None else attribute_values(table, of.key)
    if of.key is not None and as_number:
        is_number = pc.match_substring_regex(values, _NUMBER)
        values = pc.if_else(is_number, pc.utf8_trim_whitespace(values), pa.scalar(None, pa.string()))
    if not as_number:
        return values
    values = pc.cast(values, pa.float64())
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)


def _list_contains(lists: Column, item: object) -> Column:
    chunks = []
    for chunk in lists.chunks:
        rows = pc.list_parent_indices(chunk).filter(pc.equal(chunk.flatten(), item))
        chunks.append(pc.is_in(pa.array(range(len(chunk)), rows.type), value_set=rows))
    return pa.chunked_array(chunks, pa.bool_())


def _occurs(lists: Column, item: object) -> bool:
    return any(pc.any(pc.equal(chunk.flatten(), item)).as_py() for chunk in lists.chunks)


def _check(condition: Condition) -> None:
    """Whether a comparison makes sense for its field."""
    of, op, values = condition
    kind = FIELDS.get(of.name)
    if kind is None:
        raise fault(of.at, f"there is no field {of.name} among {_and_near(of.name, tuple(FIELDS))}")
    if (kind.type == ATTRIBUTE) != (of.key is not None):
        how = "name one, as in attributes['name']" if of.key is None else f"write {of.name} without brackets"
        raise fault(of.at, f"{of.name} is {'a group of values' if of.key is None else 'one value'}; {how}")
    if op == "contains" and kind.type == NUMBER:
        raise fault(of.at, f"{of} is a number and contains nothing; compare it with == or <")
    if op not in ("contains", "missing") and kind.type == LIST:
        raise fault(of.at, f"{of} is a list; write 'x' in {of}")
    for value in values:
        if kind.type == NUMBER and isinstance(value, str):
            raise fault(of.at, f"{of} is a number, but is compared with the text {value!r}")
        if kind.type in (TEXT, LIST) and not isinstance(value, str):
            raise fault(of.at, f"{of} is text, but is compared with a number; write '{value:.16g}'")
    if len({type(value) for value in values}) > 1:
        raise fault(of.at, f"{of} is compared with texts and numbers; write all as the one or the other")
    if op.startswith(("<", ">")) and isinstance(values[0], str):
        raise fault(of.at, f"{of} is compared with a text; that goes with ==, != and in")
    if kind.values and (op != "contains" or kind.type == LIST):
        _require_known(of, values, kind.values)


def _require_known(of: Field, values: Iterable[float | str], known: tuple[str, ...]) -> None:
    """Refuse texts that a field cannot have: they are slips of the pen."""
    for value in values:
        if isinstance(value, str) and value not in known:
            raise fault(of.at, f"{of.name} has no {value!r} among {_and_near(value, known)}")


def _and_near(name: str, known: tuple[str, ...]) -> str:
    """The names that there are, and the one that may be meant."""
    return (", ".join(known) or "none") + did_you_mean(name, known)


def _distinct(column: Column) -> tuple[str, ...]:
    return tuple(sorted(pc.unique(column).to_pylist()))
