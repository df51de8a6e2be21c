"""Saved files of any content: they are read, or refused by one of our errors, within 10 seconds each."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairseq_signals import ECGModel
from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.inference.gallery import Gallery

pytestmark = pytest.mark.slow

FUZZ = settings(
    max_examples=300,
    deadline=10_000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
VALUES = st.one_of(
    st.sampled_from(
        [None, -1, 0, 5.5, float("nan"), float("inf"), 10**9, 10**400, "x", "\ud800", "9" * 9999]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=9,
    ),
)


def places(node: Any, *before: Any) -> Iterator[tuple[Any, ...]]:
    """Where something is in nested containers, outermost first."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*before, key)
        yield from places(value, *before, key)


def changed(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    content = copy.deepcopy(content)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return content


def told(load, path) -> str:
    """What an error about a file says; of a file that can be used, its name."""
    try:
        load(path)
    except FairseqSignalsError as error:
        return str(error)
    return str(path)


def describe(path) -> None:
    ECGModel.load(path).describe()


@FUZZ
@given(data=st.data())
def test_a_checkpoint_with_any_value_in_any_place(checkpoints, tmp_path, data):
    content = torch.load(checkpoints["classification"], weights_only=True)
    options = {key: value for key, value in content.items() if key != "model"}
    names = [("model", name) for name in content["model"]]
    place = data.draw(st.sampled_from([*places(options), *names]))
    torch.save(changed(content, place, data.draw(VALUES)), tmp_path / "x.pt")
    assert str(tmp_path / "x.pt") in told(describe, tmp_path / "x.pt")


@FUZZ
@given(data=st.data())
def test_a_configuration_with_any_value_in_any_place(models, tmp_path, data):
    models["classification"].save(tmp_path / "m", overwrite=True)
    content = json.loads((tmp_path / "m" / "config.json").read_text())
    place = data.draw(st.sampled_from(list(places(content))))
    (tmp_path / "m" / "config.json").write_text(json.dumps(changed(content, place, data.draw(VALUES))))
    assert str(tmp_path / "m") in told(describe, tmp_path / "m")


@FUZZ
@given(start=st.floats(0, 1), run=st.binary(max_size=64), cut=st.booleans())
@pytest.mark.parametrize("kind", ["checkpoint", "gallery"])
def test_a_file_with_any_bytes_in_any_place(checkpoints, tmp_path, kind, start, run, cut):
    path = tmp_path / "x"
    if kind == "gallery":
        Gallery(np.eye(8), np.arange(8), tuple("abcdefgh"), "model", 0.5).save(path)
    whole = path.read_bytes() if kind == "gallery" else checkpoints["classification"].read_bytes()
    at = int(start * len(whole))
    path.write_bytes(whole[:at] + run + (b"" if cut else whole[at + len(run) :]))
    assert str(path) in told(Gallery.load if kind == "gallery" else describe, path)
