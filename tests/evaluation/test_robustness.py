"""Robustness curves, from the names of lead sets to points and pictures."""

import json
import math

import pytest
import torch

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.commands.evaluate import main
from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.robustness import curves_of, lines_of_rows
from fairseq_signals.evaluation.saved_results import read_evaluation
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGIdentifier


def test_curves_are_lead_sets_of_what_the_model_takes():
    sets = parse_lead_sets(["2,each"], InputFormat(fs=125, leads=(0, 1, 7)), "leads,rate,noise")
    assert list(sets.families) == ["each", "random:1", "random:2", "random:3"]
    degraded = [name for name in sets if "@" in name]
    assert degraded[:3] == ["2@125Hz", "2@100Hz", "2@62.5Hz"]
    assert degraded[3:9] == [f"2@emg{ratio}dB" for ratio in (24, 18, 12, 6, 0, -6)]
    assert len(degraded) == 3 + 3 * 6
    assert set(sets[name] for name in degraded) == {(0, 1)}
    slower = parse_lead_sets(["each"], InputFormat(fs=100), "noise")
    assert {name.partition("@")[2] for name in slower.families if "powerline" in name} == set()
    assert "each@emg0dB" in slower.families  # there is nothing else to degrade


def test_a_curve_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="there is no curve 'speed', but leads, rate, noise"):
        parse_lead_sets(["12"], curves="rate,speed")


def row(leads, value, method="a", **more):
    return {"method": method, "task": "classification", "leads": leads, "metric": "macro_auroc",
            "value": value, "n": 9, **more}  # fmt: skip


ROWS = [
    row("12", 0.9, low=0.8, high=0.95),
    row("random:1 I", 0.5),
    row("random:2 mean", 0.7, low=0.6, high=0.8),
    row("random:1:20 mean", 0.6),
    row("random:1:20 worst", 0.4, low=0.3, high=0.5, of="I"),
    row("random:1:20 sd", 0.1),
    row("12@100Hz", 0.8),
    row("12@500Hz", 0.9),
    row("each mean", 0.65),
    row("each@emg0dB mean", 0.55),
    row("I@emg0dB", 0.5),
    row("12@emg0dB", 0.3, group="sex=female"),
]


def test_results_lie_on_the_curves_that_their_names_say():
    (lines,) = lines_of_rows(ROWS).values()
    curves = curves_of(lines, "macro_auroc")
    assert list(curves) == ["leads", "rate", "emg"]
    mean = curves["leads"]["random leads, mean"]
    assert [point[:2] for point in mean] == [(1, 0.6), (2, 0.7)]
    assert mean[1][2:] == (0.6, 0.8)
    (worst,) = curves["leads"]["random leads, worst"]
    assert worst[:2] == (1, 0.4)
    assert math.isnan(worst.low)
    assert [point[:2] for point in curves["rate"]["12"]] == [(100, 0.8), (500, 0.9)]
    assert [point[:2] for point in curves["emg"]["each"]] == [(0, 0.55), (math.inf, 0.65)]
    assert curves_of(lines, "accuracy") == {}


def test_each_seed_of_a_method_has_its_curves():
    rows = [row("12@100Hz", 0.8, seed=1), row("12@100Hz", 0.7, seed=2), row("12@100Hz", 0.6, "b", seed=1)]
    assert list(lines_of_rows(rows)) == ["a, seed 1", "a, seed 2", "b"]


def test_curves_are_drawn_for_one_method_and_for_several():
    pytest.importorskip("matplotlib")
    from fairseq_signals.evaluation.results import ResultsError
    from fairseq_signals.report.figures import robustness_figure

    (lines,) = lines_of_rows(ROWS).values()
    figure = robustness_figure({"a": lines})
    leads, rate, noise = figure.axes
    assert rate.lines[0].get_xydata().tolist() == [[100, 0.8], [500, 0.9]]
    assert noise.lines[0].get_xydata().tolist() == [[0, 0.55], [6, 0.65]]
    assert [text.get_text() for text in noise.get_xticklabels()] == ["0", "clean"]
    assert leads.get_ylim() == noise.get_ylim()
    names = [text.get_text() for text in robustness_figure({"a": lines, "b": lines}).legends[0].get_texts()]
    assert {"a, random leads, mean", "b, 12 leads", "b, each"} <= set(names)
    with pytest.raises(ResultsError, match=r"no robustness curve of accuracy.*there are macro_auroc"):
        robustness_figure({"a": lines}, "accuracy")


def test_the_command_tests_what_curves_are_made_of(corpus, tiny, tmp_path, capsys):
    torch.manual_seed(0)
    model = ECGIdentifier(ECGEncoder(EncoderConfig(**tiny)), 2)
    torch.save({"model": model.state_dict(), "cfg": {"model": dict(tiny)}}, tmp_path / "c.pt")
    files = ["--json", str(tmp_path / "r.json"), "--save", str(tmp_path / "r.npz"), "--intervals=9"]
    how = ["--manifest", str(corpus.identification), "--leads=1", "--robustness=rate"]
    assert main([str(tmp_path / "c.pt"), *how, *files]) == 0
    assert "1@62.5Hz" in capsys.readouterr().out
    lines = lines_of_rows(json.loads((tmp_path / "r.json").read_text()))["c"]
    curve = curves_of(lines, "accuracy")["rate"]["1"]
    assert [point.x for point in curve] == [62.5, 100, 125, 250, 500]
    assert curve[-1].value == lines[0].values["accuracy"]
    saved = read_evaluation(tmp_path / "r.npz")
    assert saved.alone == ["1"]
