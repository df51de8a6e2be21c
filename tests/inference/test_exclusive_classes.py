"""Classes that exclude each other: a softmax, and the most probable class, wherever a model is used."""

import csv
import json

import numpy as np
import pytest
from scipy.special import softmax

from fairseq_signals import ECGModel
from fairseq_signals.commands.main import main
from fairseq_signals.errors import CheckpointError, LabelError
from fairseq_signals.evaluation.classification import evaluate_classification
from fairseq_signals.inference.encoded import Encoded
from fairseq_signals.inference.saliency import saliency
from fairseq_signals.inference.sources import read_recording
from fairseq_signals.inference.windows import cut
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.report.run import Run
from fairseq_signals.report.sections import model_section, recordings_section

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def path(save_checkpoint, tmp_path_factory):
    """A checkpoint as `cross_entropy_with_logits` trains one."""
    criterion = {"_name": "cross_entropy_with_logits"}
    path = tmp_path_factory.mktemp("softmax") / "softmax.pt"
    return save_checkpoint(path, "classification", criterion=criterion)


@pytest.fixture(scope="module")
def model(path) -> ECGModel:
    return ECGModel.load(path, labels=NAMES)


def test_probabilities_are_the_softmax_of_each_segment_averaged(model, recording):
    (done,) = model.stream([recording.wfdb], outputs=["logit"])
    expected = softmax(done.values["logit"].astype(float), axis=1).mean(axis=0)
    np.testing.assert_allclose(model.predict_proba(recording.wfdb), expected, rtol=1e-12)
    assert expected.sum() == pytest.approx(1)


def test_known_logits_give_known_probabilities():
    done = Encoded("r", 20, cut(20, 10), exclusive=True)
    for logit in np.log([[1, 1, 2], [6, 2, 2]]):
        done.add("logit", logit)
    np.testing.assert_allclose(done.probabilities(), [(0.25 + 0.6) / 2, (0.25 + 0.2) / 2, (0.5 + 0.2) / 2])
    np.testing.assert_allclose(done.probabilities("max"), [0.6, 0.25, 0.5])


def test_the_most_probable_class_is_positive_and_thresholds_are_refused(model, recording):
    found = model.predict(recording.wfdb)
    assert found.positive == (found.top(1)[0][0],)
    assert max(found.values()) < 0.5  # no class is above a threshold here
    with pytest.raises(LabelError, match="exclude each other: the most probable one counts"):
        model.thresholds = 0.2


def test_the_command_writes_the_most_probable_class(path, model, recording, tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "index,name,abbreviation,codes\n" + "".join(f"{i},{n},{n},{n}\n" for i, n in enumerate("abc"))
    )
    call = ("predict", str(path), str(recording.wfdb), "--labels", str(labels), "--out")
    assert main([*call, str(tmp_path / "p.csv")]) == 0
    (row,) = csv.DictReader((tmp_path / "p.csv").read_text().splitlines())
    probabilities = [float(row[name]) for name in NAMES]
    np.testing.assert_allclose(probabilities, model.predict_proba(recording.wfdb))
    assert row["positive"] == NAMES[int(np.argmax(probabilities))]
    assert main(["info", str(path), "--labels", str(labels)]) == 0
    assert "classes (3, of which exactly one holds)\n  a  [a]\n" in capsys.readouterr().out


def test_saliency_gives_the_same_probability(model, recording):
    found = saliency(model, read_recording(recording.wfdb), "b")
    assert found.probability == pytest.approx(model.predict(recording.wfdb)["b"], rel=1e-5)


def test_a_saved_model_knows_it_and_one_of_before_is_multi_label(model, recording, tmp_path):
    model.save(tmp_path / "m")
    loaded = ECGModel.load(tmp_path / "m")
    assert loaded.classes == model.classes
    np.testing.assert_array_equal(loaded.predict_proba(recording.wfdb), model.predict_proba(recording.wfdb))
    assert "exactly one holds" in (tmp_path / "m" / "README.md").read_text()
    file = tmp_path / "m" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in config.items() if key != "exclusive"}))
    assert not ECGModel.load(tmp_path / "m").exclusive
    file.write_text(json.dumps({**config, "exclusive": "no"}))
    with pytest.raises(CheckpointError, match="exclusive must be one of True, False, but is 'no'"):
        ECGModel.load(tmp_path / "m")


def test_evaluate_scores_the_most_probable_class(tmp_path, recording):
    rows = [Row(f"shard-00000.arrow#{i}:0", 5000, f"corpus/{name}", f"p{i}", 0, str(c))
            for i, (name, c) in enumerate([("zero", 0), ("one", 1), ("two", 1)])]  # fmt: skip
    (tmp_path / "test.tsv").write_text("".join(format_manifest(recording.store, rows)))
    logits = np.log([[[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.45, 0.35, 0.2]]])
    outcome = evaluate_classification(
        lambda _: logits, tmp_path, ["12"], "test", "record", 0.5, exclusive=True
    )
    found = outcome.values["12"]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["macro_f_measure"] == pytest.approx(2 / 3)
    assert found["macro_auroc"] == pytest.approx((0.5 + 1) / 2)
    np.testing.assert_allclose(outcome.arrays["probabilities"], np.exp(logits), rtol=1e-6)
    assert bool(outcome.arrays["exclusive"])


def test_a_report_decides_by_no_thresholds(model, path, recording):
    pytest.importorskip("matplotlib")
    run = Run("run", path, model, {})
    shown = recordings_section(run, [read_recording(recording.wfdb)], range(12)).html()
    assert "most probable" in shown
    assert "Exactly one of these classes holds" in model_section(run).html()
    assert "threshold" not in shown
    assert ">above<" not in shown + model_section(run).html()
