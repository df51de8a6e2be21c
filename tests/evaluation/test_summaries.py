"""Mean and worst over a family of lead sets: in tables, rows, files and comparisons."""

import json
import math

import numpy as np
import pytest
import torch

from fairseq_signals.commands.evaluate import main
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.evaluation.comparison import compare
from fairseq_signals.evaluation.intervals import add_intervals, group_by
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.predict import predict
from fairseq_signals.evaluation.results import Evaluation, group_cells, result_rows, table_cells
from fairseq_signals.evaluation.saved_results import SavedEvaluation, read_evaluation, write_evaluation
from fairseq_signals.evaluation.summaries import lines_of
from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier

N = 60
FAMILY = {"each": ("I", "II", "V1")}


def lines(values, families=FAMILY):
    return {line.leads: line for line in lines_of(values, {}, families)}


def test_mean_worst_and_deviation_are_those_of_the_lead_sets_metric_by_metric():
    values = {"12": {"macro_auroc": 0.9, "mae": 1}} | {
        name: {"macro_auroc": auroc, "mae": mae}
        for name, auroc, mae in zip(FAMILY["each"], (0.8, 0.6, 0.7), (3, 2, 7))
    }
    found = lines(values)
    assert list(found) == ["12", "I", "II", "V1", "each mean", "each worst", "each sd"]
    assert found["each mean"].values == pytest.approx({"macro_auroc": 0.7, "mae": 4})
    assert found["each worst"].values == {"macro_auroc": 0.6, "mae": 7}  # of errors, the highest
    assert found["each worst"].of == {"macro_auroc": "II", "mae": "V1"}
    assert found["each sd"].values == pytest.approx({"macro_auroc": 0.1, "mae": math.sqrt(7)})


def test_what_is_not_defined_for_one_lead_set_is_not_defined_for_the_family():
    found = lines({name: {"pearson": value} for name, value in zip(FAMILY["each"], (0.8, math.nan, 0.7))})
    assert all(math.isnan(found[f"each {what}"].values["pearson"]) for what in ("mean", "worst", "sd"))
    assert found["each worst"].of == {"pearson": "II"}


def test_a_family_of_one_has_no_worst_and_no_deviation():
    assert list(lines({"12": {"mae": 1}}, {"random:12": ("12",)})) == ["12", "random:12 mean"]


def identification(noise=0.0):
    """12, whose values are those of "V1", and three leads, of which II is the worst."""
    rng = np.random.default_rng(0)
    correct = np.stack([rng.random(N) < share for share in (0.9, 0.5, 0.7)])
    correct = np.concatenate([correct[2:], correct]) & (rng.random((4, N)) >= noise)
    arrays = {
        "correct": correct, "probe_ids": np.char.add("p", (np.arange(N) // 2).astype(str)),
        "probe_records": np.arange(N).astype(str), "gallery_ids": np.array(["p0", "p1"]), "normalize": True,
        "gallery": np.ones((4, 2, 3), np.float32), "probe": np.ones((4, N, 3), np.float32),
    }  # fmt: skip
    found = zip(("12", *FAMILY["each"]), correct.mean(axis=1))
    values = {name: {"accuracy": accuracy, "chance": 0.5} for name, accuracy in found}
    outcome = Evaluation("identification", N, "probe records", values, lambda: iter(()), [], arrays)
    outcome.families = FAMILY
    return outcome


def test_the_mean_has_an_interval_by_patient_and_the_worst_that_of_its_lead():
    outcome = identification()
    add_intervals(outcome, 200)
    rows = {r["leads"]: r for r in result_rows(outcome, "m") if r["metric"] == "accuracy"}
    mean, worst = rows["each mean"], rows["each worst"]
    assert mean["value"] == pytest.approx(outcome.arrays["correct"][1:].mean())
    assert mean["low"] < mean["value"] < mean["high"]
    widths = [rows[name]["high"] - rows[name]["low"] for name in ("each mean", *FAMILY["each"])]
    assert widths[0] < min(widths[1:])  # errors of leads are independent here
    assert (worst["of"], worst["value"], worst["low"]) == ("II", rows["II"]["value"], rows["II"]["low"])
    assert "low" not in rows["each sd"]
    assert "of" not in mean


def test_the_mean_over_copies_of_a_lead_set_has_its_interval():
    outcome = identification()
    outcome.families = {"random:2": ("12", "V1")}
    outcome.arrays["correct"][0] = outcome.arrays["correct"][3]
    add_intervals(outcome, 200)
    found = outcome.intervals
    assert found["random:2 mean"]["accuracy"] == pytest.approx(found["12"]["accuracy"])


def test_tables_have_no_line_on_each_random_set():
    outcome = identification()
    outcome.values["random:1 I"] = outcome.values.pop("I")
    _, cells = table_cells(outcome.values, None, {"random:1": ("random:1 I",)})
    assert [line[0] for line in cells] == ["12", "II", "V1", "random:1 mean", "mean"]


def test_tables_have_the_summaries_and_a_mean_of_the_other_lead_sets():
    outcome = identification()
    outcome.values["2"] = dict(outcome.values["12"])
    _, cells = table_cells(outcome.values, None, FAMILY)
    assert [line[0] for line in cells[-4:]] == ["each mean", "each worst", "each sd", "mean"]
    assert cells[-3][1].endswith(" (II)")
    assert cells[-1][1:] == cells[0][1:]
    del outcome.values["2"]
    groups = group_by("x", dict.fromkeys(outcome.arrays["probe_records"].tolist(), "a"), outcome, 50)
    _, cells = group_cells("x", groups, "records", FAMILY)
    assert [line[3] for line in cells[-3:]] == ["each mean", "each worst", "each sd"]
    assert "[" in cells[-3][4]


def test_families_are_saved_with_the_intervals_of_their_means(tmp_path):
    outcome = identification()
    add_intervals(outcome, 50)
    write_evaluation(tmp_path / "a.npz", outcome, "m")
    saved = read_evaluation(tmp_path / "a.npz")
    assert saved.families == FAMILY
    assert saved.intervals["each mean"]["accuracy"] == outcome.intervals["each mean"]["accuracy"]
    assert table_cells(saved.values, saved.intervals, saved.families) == table_cells(
        outcome.values, outcome.intervals, outcome.families
    )


def test_the_mean_over_a_family_is_compared_on_the_same_resamples():
    one, other = (SavedEvaluation.of(identification(noise), str(noise)) for noise in (0, 0.3))
    *_, mean = compare(one, other, n_resamples=100)
    assert mean.leads == "each"
    shares = [saved.arrays["correct"][1:].mean() for saved in (one, other)]
    assert mean.difference == pytest.approx(shares[0] - shares[1])
    assert 0 < mean.bounds.low < mean.difference < mean.bounds.high
    same, against = compare(one, one, ["each", "12:each"], 100)
    assert (same.difference, same.p) == (0, 1)
    assert against.value == one.values["12"]["accuracy"]


def test_each_lead_alone_is_what_it_is_when_asked_for_by_itself(corpus, tiny):
    torch.manual_seed(0)
    model = ECGIdentifier(ECGEncoder(EncoderConfig(**tiny)), 2).eval()
    manifest = read_manifest(corpus.classification / "valid.tsv")
    each = predict(model, manifest, parse_lead_sets(["each"]), 8)
    for lead, found in zip(LEADS, each):
        np.testing.assert_array_equal(found, predict(model, manifest, parse_lead_sets([lead]), 8)[0])


@pytest.mark.parametrize("head", [ECGClassifier, ECGIdentifier])
def test_families_are_tested_by_the_command(head, corpus, tiny, tmp_path, capsys):
    torch.manual_seed(0)
    n_classes = len(read_labels(corpus.classification / "labels.csv"))
    state = head(ECGEncoder(EncoderConfig(**tiny)), n_classes).state_dict()
    torch.save({"model": state, "cfg": {"model": dict(tiny)}}, tmp_path / "c.pt")
    manifests = corpus.classification if head is ECGClassifier else corpus.identification
    files = ["--json", str(tmp_path / "r.json"), "--save", str(tmp_path / "r.npz"), "--append"]
    how = ["--manifest", str(manifests), "--leads=each,random:4:2", "--intervals=9"]
    assert main([str(tmp_path / "c.pt"), *how, *files]) == 0
    assert "each worst" in capsys.readouterr().out
    names = [row["leads"] for row in json.loads((tmp_path / "r.json").read_text())]
    assert {"V6", "each mean", "each worst", "random:4:2 mean", "random:4:2 sd"} <= set(names)
    assert list(read_evaluation(tmp_path / "r.npz").families) == ["each", "random:4:2"]
