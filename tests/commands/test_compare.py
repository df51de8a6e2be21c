"""`fairseq-signals compare` of saved evaluations."""

import json

import numpy as np
import pytest

from fairseq_signals.commands.compare import main
from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.evaluation.saved_results import write_evaluation
from fairseq_signals.metrics.classification import classification_metrics

N = 150
LABELS = np.random.default_rng(0).random((N, 3)) < 0.4
NOISE = np.random.default_rng(1).random((2, N, 3))


def save(path, method, noise=0, keep=lambda arrays: arrays):
    """An evaluation on two lead sets; the more noise, the worse. `keep` changes its arrays."""
    scores = (LABELS + (1 + noise) * NOISE) / (2 + noise)
    arrays = {
        "probabilities": scores, "labels": LABELS.copy(), "threshold": 0.5, "exclusive": False,
        "record_ids": np.array([f"x/r{i}" for i in range(N)]),
        "patient_ids": np.array([f"x/p{i // 3}" for i in range(N)]), "names": np.array(["AF", "NSR", "PVC"]),
        "weights": np.eye(3) + 0.2, "normal": 1,
    }  # fmt: skip
    values = {leads: {"macro_auroc": 0.5} for leads in ("12", "2")}
    outcome = Evaluation("classification", N, "records", values, lambda: iter(()), [], keep(arrays))
    write_evaluation(path, outcome, method)
    return str(path)


def change(name, place, value):
    def keep(arrays):
        arrays[name][place] = value
        return arrays

    return keep


def test_the_better_model_is_told_with_interval_and_p(tmp_path, capsys):
    good, bad = save(tmp_path / "a.npz", "good"), save(tmp_path / "b.npz", "bad", noise=1)
    assert main([good, bad, "--json", str(tmp_path / "c.json")]) == 0
    rows = json.loads((tmp_path / "c.json").read_text())
    assert [(r["leads"], r["metric"]) for r in rows] == [
        (leads, metric) for leads in ("12", "2") for metric in ("cinc_score", "macro_auroc", "macro_auprc")
    ]
    row = rows[1]
    auroc = classification_metrics(LABELS, ((LABELS + NOISE[0]) / 2).astype(np.float32))["auroc"]
    assert (row["method"], row["than"], row["value"]) == ("good", "bad", pytest.approx(auroc, abs=1e-9))
    assert row["difference"] == pytest.approx(row["value"] - row["other"], abs=1e-12)
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert row["p"] < 0.001
    shown = capsys.readouterr().out
    assert "classification: good less bad" in shown
    assert f"{row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}]  < 0.001" in shown


def test_a_model_does_not_differ_from_itself(tmp_path, capsys):
    same = save(tmp_path / "a.npz", "m")
    assert main([same, same, "--leads", "12"]) == 0
    assert capsys.readouterr().out.count("0.000 [0.000, 0.000]  1.000") == 3


def test_one_lead_set_is_compared_with_another(tmp_path):
    same = save(tmp_path / "a.npz", "m")
    assert main([same, same, "--leads", "12:2", "--json", str(tmp_path / "c.json")]) == 0
    row = json.loads((tmp_path / "c.json").read_text())[1]
    aurocs = [classification_metrics(LABELS, ((LABELS + noise) / 2).astype("f4"))["auroc"] for noise in NOISE]
    assert (row["leads"], row["difference"]) == ("12:2", pytest.approx(aurocs[0] - aurocs[1], abs=1e-9))


def test_a_softmax_is_compared_with_sigmoids_by_the_metrics_that_both_have(tmp_path):
    soft = save(tmp_path / "a.npz", "soft", keep=lambda arrays: {**arrays, "exclusive": True})
    others = save(tmp_path / "b.npz", "sigmoids")
    for pair in ([soft, others], [others, soft]):
        assert main([*pair, "--leads", "12", "--json", str(tmp_path / "c.json")]) == 0
        rows = json.loads((tmp_path / "c.json").read_text())
        assert [row["metric"] for row in rows] == ["cinc_score", "macro_auroc", "macro_auprc"]
        assert rows[1]["difference"] == 0 != rows[0]["difference"]


def without_the_first(arrays):
    rows = {name: arrays[name][1:] for name in ("labels", "record_ids", "patient_ids")}
    return {**arrays, **rows, "probabilities": arrays["probabilities"][:, 1:]}


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (change("record_ids", 4, "x/z"), "records, first number 5: a has x/r4, but b x/z .1 of 150 differ"),
        (change("patient_ids", 4, "x/z"), "patients, first number 5 of x/r4: a has x/p1, but b x/z"),
        (change("labels", 7, [True, False, True]), "labels, first number 8 of x/r7: .* b classes 0, 2"),
        (change("names", 0, "VT"), "classes, first number 1: a has AF, but b VT"),
        (without_the_first, "numbers of records: a has 150, but b 149"),
    ],
)
def test_evaluations_of_other_records_are_refused_by_the_first_difference(tmp_path, keep, message):
    with pytest.raises(FairseqSignalsError, match=f"different {message}"):
        main([save(tmp_path / "a.npz", "a"), save(tmp_path / "b.npz", "b", keep=keep)])


def test_files_from_before_the_normal_class_was_saved_have_no_challenge_score(tmp_path, capsys):
    old = save(
        tmp_path / "a.npz", "a", keep=lambda arrays: {k: v for k, v in arrays.items() if k != "normal"}
    )
    assert main([old, save(tmp_path / "b.npz", "b"), "--leads", "2"]) == 0
    shown = capsys.readouterr().out
    assert "CinC" not in shown
    assert "macro AUROC" in shown
