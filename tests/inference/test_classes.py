"""A classifier's outputs have the names that its training gave them."""

import logging

import numpy as np
import pytest

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.errors import LabelError
from fairseq_signals.inference.classes import classes_of_checkpoint
from fairseq_signals.manifest.labels import LabelTable

TABLE = LabelTable(("one", "two", "three"), ("A", "B", "C"), (("1",), ("2", "4"), ("3",)))


@pytest.fixture
def bare(save_checkpoint, tmp_path):
    """A classifier of three classes that says nothing of them."""
    return save_checkpoint(tmp_path / "bare.pt", "classification", {"data": str(tmp_path / "gone")})


def test_labels_come_from_what_training_noted_in_the_checkpoint(save_checkpoint, tmp_path):
    extra = {"task_state": {"labels": TABLE.to_plain()}}
    classes = ECGModel.load(save_checkpoint(tmp_path / "c.pt", "classification", extra=extra)).classes
    assert (classes.labels, classes.names, classes.codes) == (TABLE.abbreviations, TABLE.names, TABLE.codes)


def test_labels_come_from_the_manifests_of_the_training_where_they_still_are(models):
    assert models["classification"].labels == ("atrial fibrillation", "sinus rhythm", "a | b")


def test_classes_without_labels_are_numbered_with_a_word_in_the_log(bare, caplog):
    with caplog.at_level(logging.WARNING):
        assert ECGModel.load(bare).labels == ("0", "1", "2")
    assert "does not say what its 3 classes are called" in caplog.text


def test_labels_can_be_given_as_a_table_its_file_its_folder_or_names(bare, checkpoints):
    folder = checkpoints["classification"].parent / "manifests"
    named = ("atrial fibrillation", "sinus rhythm", "a | b")
    for given, labels in (
        (TABLE, ("A", "B", "C")),
        (folder, named),
        (str(folder / "labels.csv"), named),
        (["x", "y", "z"], ("x", "y", "z")),
    ):
        assert ECGModel.load(bare, labels=given).labels == labels


def test_labels_that_do_not_fit_are_refused(bare, checkpoints):
    with pytest.raises(LabelError, match="the labels given are 2, but the model has 3 classes"):
        ECGModel.load(bare, labels=["x", "y"])
    with pytest.raises(LabelError, match="labels must differ"):
        ECGModel.load(bare, labels=["x", "y", "x"])
    with pytest.raises(LabelError, match="labels are for classifiers, but this is a pretraining model"):
        ECGModel.load(checkpoints["pretraining"], labels=["x"])


def test_the_threshold_of_the_training_is_that_of_the_classes(save_checkpoint, tmp_path):
    path = save_checkpoint(tmp_path / "c.pt", "classification")
    checkpoint = load_checkpoint(path)
    checkpoint.cfg["criterion"] = {"threshold": 0.2}
    assert classes_of_checkpoint(checkpoint, TABLE).thresholds == (0.2, 0.2, 0.2)
    np.testing.assert_equal(TABLE.to_plain()["codes"], [["1"], ["2", "4"], ["3"]])
    assert LabelTable.from_plain(TABLE.to_plain()) == TABLE
