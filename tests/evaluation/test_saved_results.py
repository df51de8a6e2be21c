"""Saved evaluations: back as they were, and refused where they are something else."""

import numpy as np
import pytest

from fairseq_signals.evaluation.results import Evaluation, ResultsError
from fairseq_signals.evaluation.saved_results import SavedEvaluation, read_evaluation, write_evaluation


@pytest.fixture
def identification():
    arrays = {
        "gallery": np.array([[[2.0, 0], [0, 3]]], np.float32),
        "probe": np.array([[[1.0, 1], [0, 1]]], np.float32),
        "gallery_ids": np.array(["a", "b"]),
        "probe_ids": np.array(["a", "b"]),
        "normalize": True,
    }
    return Evaluation("identification", 2, "probe records", {"I+II": {}}, lambda: iter(()), [], arrays)


def test_what_is_written_is_read(tmp_path, identification):
    path = tmp_path / "new" / "id.npz"
    write_evaluation(path, identification, "W2V")
    saved = read_evaluation(path)
    assert (saved.task, saved.method, saved.counted, saved.leads) == (
        "identification",
        "W2V",
        "probe records",
        ("I+II",),
    )
    assert saved.arrays["gallery_ids"].tolist() == ["a", "b"]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(saved.similarity("I+II"), [[half, half], [0, 1]])
    assert [file.name for file in path.parent.iterdir()] == ["id.npz"]


def test_inner_products_are_not_normalised(tmp_path, identification):
    identification.arrays["normalize"] = False
    write_evaluation(tmp_path / "id.npz", identification, "W2V")
    np.testing.assert_allclose(read_evaluation(tmp_path / "id.npz").similarity("I+II"), [[2, 3], [0, 3]])


def test_what_cannot_be_used_is_said(tmp_path, identification):
    path = tmp_path / "id.npz"
    with pytest.raises(ResultsError, match="--save"):
        read_evaluation(path)
    path.write_bytes(b"PK\3\4 nothing")
    with pytest.raises(ResultsError, match="not a saved evaluation"):
        read_evaluation(path)
    np.savez(path, task="identification", format=1, leads=np.array(["12"]))
    with pytest.raises(ResultsError, match="there is no method in it"):
        read_evaluation(path)
    np.savez(path, objects=np.array([object()], dtype=object))
    with pytest.raises(ResultsError):
        read_evaluation(path)
    write_evaluation(path, identification, "W2V")
    with pytest.raises(ResultsError, match="fairseq-signals plot identification"):
        read_evaluation(path, "classification")
    with pytest.raises(ResultsError, match=r"'12' was not evaluated.*I\+II"):
        read_evaluation(path).index("12")


def test_a_file_tells_for_how_many_records_patients_are_not_known(tmp_path):
    outcome = Evaluation(
        "classification", 2, "records", {}, lambda: iter(()), ["a note"], {"labels": np.ones((2, 1))}
    )
    outcome.patients = ("x/record/a", "x/p1")
    told = ("a note", "patients are not known for 1 of 2 records: each counts as its own")
    write_evaluation(tmp_path / "x.npz", outcome, "m")
    assert tuple(np.load(tmp_path / "x.npz")["notes"]) == told
    assert SavedEvaluation.of(outcome, "m").notes == told


@pytest.fixture
def classification():
    arrays = {
        "probabilities": np.full((1, 3, 2), 0.5, np.float32),
        "labels": np.eye(3, 2, dtype=bool),
        "record_ids": np.array(["a", "b", "c"]),
        "patient_ids": np.array(["p", "q", "r"]),
        "names": np.array(["AF", "SR"]),
        "threshold": 0.5,
        "weights": np.eye(2),
    }
    values = {"12": {"macro_auroc": 0.5, "macro_auprc": np.nan}}
    return Evaluation("classification", 3, "records", values, lambda: iter(()), ["a note"], arrays)


NOTHING = object()


@pytest.mark.parametrize(
    ("task", "key", "value", "message"),
    [
        ("classification", "probabilities", np.full((1, 3, 2), np.nan), r"from 0 to 1, but 6 values .* nan"),
        ("classification", "probabilities", np.full((1, 3, 2), 1.5), "probabilities must be from 0 to 1"),
        ("classification", "probabilities", np.zeros((3, 2)), r"must have 3 axes, but its shape is \(3, 2\)"),
        ("classification", "probabilities", np.zeros((1, 3, 2), complex), "must hold floating-point numbers"),
        ("classification", "labels", np.zeros((3, 2)), "must hold booleans, but holds float64"),
        ("classification", "labels", np.zeros((2, 2), bool), r"must be 3 x 2, but its shape is \(2, 2\)"),
        ("classification", "labels", NOTHING, "there is no labels in it"),
        ("classification", "record_ids", np.arange(3), "must hold texts"),
        ("classification", "names", np.array(["AF"]), "must be 2, but"),
        ("classification", "names", np.array(["AF", "AF"]), "has one name twice"),
        ("classification", "threshold", np.nan, "must be from 0 to 1"),
        ("classification", "threshold", np.array([0.5]), "must have 0 axes"),
        ("classification", "weights", np.full((2, 2), np.inf), "must be finite"),
        ("classification", "weights", np.eye(3), "must be 2 x 2"),
        ("classification", "values", np.full((1, 2), np.inf), "must be finite"),
        ("classification", "values", NOTHING, "one of metrics and values"),
        ("classification", "format", np.array([1]), "must have 0 axes"),
        ("classification", "format", 2, "format 2"),
        ("classification", "task", "x", "task 'x'"),
        ("classification", "leads", np.array([{}], object), "must hold texts"),
        ("classification", "notes", 3, "must hold texts"),
        ("identification", "gallery", np.full((1, 2, 2), np.nan), "must be finite"),
        ("identification", "gallery", np.zeros((1, 0, 2)), "must be 1 x at least 1 x"),
        ("identification", "probe", np.zeros((1, 2, 3)), "must be 1 x .* x 2"),
        ("identification", "normalize", 1, "must hold booleans"),
        ("identification", "probe_ids", np.array(["a"]), "must be 2, but"),
    ],
)
def test_an_array_that_cannot_be_is_named(request, tmp_path, task, key, value, message):
    path = tmp_path / "saved.npz"
    write_evaluation(path, request.getfixturevalue(task), "m")
    read_evaluation(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays.pop(key) if value is NOTHING else arrays.update({key: value})
    np.savez(path, **arrays)
    with pytest.raises(ResultsError, match=rf"saved\.npz: .*{message}"):
        read_evaluation(path)


def test_an_embedding_without_direction_is_an_error_about_the_file(tmp_path, identification):
    identification.arrays["probe"][:] = 0
    write_evaluation(tmp_path / "id.npz", identification, "W2V")
    with pytest.raises(ResultsError, match=r"W2V, I\+II leads: probe 0: the embedding is all zeros"):
        read_evaluation(tmp_path / "id.npz").similarity("I+II")


def test_of_classes_that_exclude_each_other_the_most_probable_one_is_predicted(tmp_path):
    arrays = {
        "probabilities": np.array([[[0.4, 0.35, 0.25], [0.3, 0.1, 0.6]]]),
        "labels": np.array([[True, False, False], [False, True, False]]),
        "record_ids": np.array(["a", "b"]),
        "patient_ids": np.array(["a", "b"]),
        "names": np.array(["x", "y", "z"]),
        "threshold": 0.5,
    }
    for exclusive, threshold, predicted in ((True, None, [0, 2]), (False, 0.5, [None, 2])):
        outcome = Evaluation("classification", 2, "records", {"12": {}}, lambda: iter(()), [], dict(arrays))
        if exclusive:  # older files do not say
            outcome.arrays["exclusive"] = True
        write_evaluation(tmp_path / "c.npz", outcome, "m")
        saved = read_evaluation(tmp_path / "c.npz", "classification")
        assert saved.threshold == threshold
        expected = [[c == one for c in range(3)] for one in predicted]
        assert saved.predicted("12", saved.threshold).tolist() == expected
