"""What an update costs, by trainings that pretend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fairseq_signals.benchmark import measure
from fairseq_signals.benchmark.entries import Method
from fairseq_signals.benchmark.settings import Settings, find_config
from fairseq_signals.errors import TrainingError


@pytest.fixture
def settings(tmp_path) -> Settings:
    config = find_config("w2v/config/pretraining/w2v_demo.yaml", tmp_path)
    methods = {name: Method(name, config=config) for name in ("quick", "slow")}
    return replace(Settings(methods, {}, {}), out=str(tmp_path))


def test_an_update_costs_what_a_longer_training_takes_more(settings, monkeypatch):
    """A start takes 7 s, an update .1 s and .3 s, in the second round half as much more."""
    spent, order = [0.0], []

    def train(command: list[str], log: Path) -> int:
        updates = int(next(part for part in command if "max_update=" in part).partition("=")[2])
        name = "quick" if len(order) % 4 < 2 else "slow"
        cost = {"quick": 0.1, "slow": 0.3}[name] * (1.0 if len(order) < 4 else 1.5)
        order.append((name, updates))
        spent[0] += 7 + cost * updates
        return 0

    monkeypatch.setattr(measure, "fork", train)
    monkeypatch.setattr(measure, "_used", lambda: spent[0])
    found = measure.measure(settings, ["quick", "slow"], rounds=2)
    assert found["quick"] == pytest.approx([0.1, 0.15])
    assert found["slow"] == pytest.approx([0.3, 0.45])
    assert [name for name, _ in order] == ["quick", "quick", "slow", "slow"] * 2


def test_a_method_that_cannot_be_trained_is_named_with_its_log(settings, monkeypatch):
    monkeypatch.setattr(measure, "fork", lambda command, log: 1)
    with pytest.raises(TrainingError, match=r"slow cannot be trained; see .*measure\.log"):
        measure.measure(settings, ["slow"], rounds=1)
