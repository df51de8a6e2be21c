"""Scores of a classifier from given outputs."""

import numpy as np
import pytest

from fairseq_signals.errors import LabelError, ManifestError
from fairseq_signals.evaluation.classification import evaluate_classification, sigmoid
from fairseq_signals.manifest.table import Row, format_manifest

LABELS = "index,name,abbreviation,codes\n0,atrial fibrillation,AF,1\n1,sinus rhythm,NSR,426783006\n"
WEIGHTS = ",1,426783006\n1,1.0,0.2\n426783006,0.2,1.0\n"
TARGETS = {"a": "0", "b": "1", "c": "0,1", "d": ""}


@pytest.fixture
def folder(tmp_path, write_store):
    """Four records of two segments each, two classes."""
    write_store(tmp_path, TARGETS)
    rows = [
        Row(f"s/shard-00000.arrow#{i}:{250 * k}", 250, f"x/{name}", f"x/p{name}", k, target)
        for i, (name, target) in enumerate(TARGETS.items())
        for k in (0, 1)
    ]
    (tmp_path / "test.tsv").write_text("".join(format_manifest(".", rows)))
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "weights.csv").write_text(WEIGHTS)
    return tmp_path


def evaluate(folder, logits, per="record", lead_sets=("12",)):
    """Evaluate a model that gives these logits (S, 8, 2)."""
    return evaluate_classification(lambda manifest: logits, folder, lead_sets, "test", per, 0.5)


def perfect(n_sets=1):
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1], [1, 1], [0, 0], [0, 0]])
    return np.stack([20.0 * truth - 10] * n_sets)


def test_a_perfect_model_scores_one_in_everything(folder):
    outcome = evaluate(folder, perfect())
    assert outcome.values == {"12": {"cinc_score": 1.0, "macro_auroc": 1.0, "macro_auprc": 1.0}}
    assert (outcome.n, outcome.counted, outcome.notes) == (4, "records", [])


def test_records_of_a_store_that_was_built_anew_are_not_scored(folder):
    (folder / "test.tsv").write_text((folder / "test.tsv").read_text().replace("x/b", "x/z"))
    with pytest.raises(
        ManifestError, match=r"test.tsv:4: s/shard-00000.arrow#1:0 is x/b in the store, but x/z"
    ):
        evaluate(folder, perfect())


def test_probabilities_are_averaged_over_the_segments_of_a_record(folder):
    logits = perfect()
    logits[0, 0, 0] = -10.0  # one of the two segments of record a misses AF: the mean is just 0.5
    lines = list(evaluate(folder, logits).predictions())
    assert lines[0] == [
        *("leads", "record_id", "patient_id"),
        *("probability_AF", "label_AF", "probability_NSR", "label_NSR"),
    ]
    assert lines[1] == ["12", "x/a", "x/pa", "0.5", 1, "4.53979e-05", 0]
    assert len(lines) == 1 + 4


def test_segments_are_counted_by_themselves_when_asked(folder):
    logits = perfect()
    logits[0, 0] = [-10.0, 10.0]
    outcome = evaluate(folder, logits, per="segment")
    lines = list(outcome.predictions())
    assert (outcome.n, outcome.counted) == (8, "segments")
    assert lines[0][:4] == ["leads", "record_id", "patient_id", "segment"]
    assert lines[1][:5] == ["12", "x/a", "x/pa", 0, "4.53979e-05"]
    assert (
        outcome.values["12"]["macro_auroc"] == 7 / 8
    )  # one of four positives ties with the negatives, in both classes


def test_every_lead_set_gets_its_own_score(folder):
    logits = perfect(2)
    logits[1] *= -1
    outcome = evaluate(folder, logits, lead_sets=("12", "I+V2"))
    assert outcome.values["12"]["macro_auroc"] == 1.0
    assert outcome.values["I+V2"]["macro_auroc"] == 0.0
    assert outcome.values["I+V2"]["cinc_score"] < 0
    assert [line[0] for line in outcome.predictions()][1:] == ["12"] * 4 + ["I+V2"] * 4


def test_the_challenge_score_is_left_out_without_weights(folder):
    (folder / "weights.csv").unlink()
    assert list(evaluate(folder, perfect()).values["12"]) == ["macro_auroc", "macro_auprc"]


def test_classes_are_numbered_without_a_label_table(folder):
    (folder / "weights.csv").unlink()
    (folder / "labels.csv").unlink()
    assert next(evaluate(folder, perfect()).predictions())[3:5] == ["probability_0", "label_0"]


def test_a_class_without_both_outcomes_is_named(folder):
    path = folder / "test.tsv"
    path.write_text(path.read_text().replace("\t0,1\n", "\t1\n").replace("\t0\n", "\t\n"))
    outcome = evaluate(folder, perfect())
    assert outcome.notes == ["macro AUROC and AUPRC are means over 1 of 2 classes; without both outcomes: AF"]


def test_a_model_of_other_classes_is_refused(folder):
    with pytest.raises(LabelError, match=r"has 3 classes, but .*labels\.csv has 2"):
        evaluate(folder, np.zeros((1, 8, 3)))


def test_a_target_outside_the_models_classes_is_refused_by_line(folder):
    (folder / "labels.csv").unlink()
    (folder / "weights.csv").unlink()
    with pytest.raises(ManifestError, match=r"test\.tsv:4: class 1, but the checkpoint has 1 classes"):
        evaluate(folder, np.zeros((1, 8, 1)))


def test_weights_without_a_label_table_are_refused(folder):
    (folder / "labels.csv").unlink()
    with pytest.raises(LabelError, match=r"labels\.csv"):
        evaluate(folder, perfect())


def test_segments_of_a_record_must_agree_in_their_target(folder):
    path = folder / "test.tsv"
    path.write_text(path.read_text().replace("\t1\t0\n", "\t1\t1\n"))
    with pytest.raises(ManifestError, match="segments of record x/a have different targets"):
        evaluate(folder, perfect())


def test_manifests_of_the_other_task_are_recognised(folder):
    (folder / "test.tsv").rename(folder / "test_gallery.tsv")
    with pytest.raises(ManifestError, match="holds identification manifests"):
        evaluate(folder, perfect())


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])
    x = np.linspace(-5, 5, 11, dtype=np.float32)
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x.astype(float))), rtol=1e-12)
