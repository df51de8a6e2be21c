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
    with pytest.raises(ResultsError, match="missing gallery"):
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
