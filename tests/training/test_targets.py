"""Labels in whatever container become classes of each recording; what cannot be is told by its place."""

import numpy as np
import pytest
import torch

from fairseq_signals.errors import ConfigError, LabelError
from fairseq_signals.training.targets import Targets, read_patients, read_targets


class Table:
    """As much of a table of pandas as is used."""

    def __init__(self, columns, values):
        self.columns, self.values = columns, values

    def __array__(self, *args, **kwargs):
        return np.array(self.values)


MULTI_HOT = [[1, 0], [1, 1], [0, 0]]
SEVERAL = [("AF",), ("AF", "SB"), ()]
ONE = [("AF",), ("SB",), ("AF",)]


@pytest.mark.parametrize(
    ("labels", "names", "of_each", "are_exclusive"),
    [
        (MULTI_HOT, ["AF", "SB"], SEVERAL, False),
        (np.array(MULTI_HOT, bool), ["AF", "SB"], SEVERAL, False),
        (torch.tensor(MULTI_HOT).float(), ["AF", "SB"], SEVERAL, False),
        ({"AF": [1, 1, 0], "SB": np.array([0, 1, 0])}, None, SEVERAL, False),
        (Table(["AF", "SB"], MULTI_HOT), None, SEVERAL, False),
        (["AF", "SB", "AF"], None, ONE, True),
        (Table(["dx"], [["AF"], ["SB"], ["AF"]]), None, ONE, True),
        ([0, 1, 0], ["AF", "SB"], ONE, True),
        (np.array([False, True, False]), ["AF", "SB"], ONE, True),
    ],
)
def test_labels_of_any_container_are_classes(labels, names, of_each, are_exclusive):
    found = read_targets(labels, names, False, None, 3)
    assert found == Targets("classification", ("AF", "SB"), of_each, are_exclusive)


def test_classes_without_a_name_are_numbered_and_keep_the_order_of_their_numbers():
    assert read_targets(MULTI_HOT, None, False, None, 3).names == ("0", "1")
    assert read_targets([10, 9, 2, 9, 2, 9], None, False, None, 6).names == ("2", "9", "10")


@pytest.mark.parametrize(
    ("labels", "names", "task", "expected"),
    [
        ([0.5, 1.5, 2.0], None, None, (("value",), [(0.5,), (1.5,), (2.0,)])),
        ([61, 45, 70], ["age"], "regression", (("age",), [(61.0,), (45.0,), (70.0,)])),
        ({"LVEF": [55, 60, 35], "K": [4.1, 3.9, 5.0]}, None, None,
         (("LVEF", "K"), [(55.0, 4.1), (60.0, 3.9), (35.0, 5.0)])),
    ],
)  # fmt: skip
def test_numbers_are_for_regression(labels, names, task, expected):
    assert read_targets(labels, names, False, task, 3) == Targets("regression", *expected)


@pytest.mark.parametrize(
    ("labels", "has_patients", "task", "expected"),
    [
        (None, False, None, "pretraining"),
        (None, True, "pretraining", "pretraining"),
        (None, True, "identification", "identification"),
    ],
)
def test_the_task_is_the_one_that_is_meant(labels, has_patients, task, expected):
    assert read_targets(labels, None, has_patients, task, 3) == Targets(expected)


@pytest.mark.parametrize(
    ("labels", "names", "has_patients", "task", "message"),
    [
        (None, None, True, None, "say which, with task='identification' or task='pretraining'"),
        (None, None, False, "identification", "needs patients="),
        (None, None, False, "classification", "classification needs labels"),
        (None, None, False, "segmentation", "must be one of .*, but is 'segmentation'"),
        (MULTI_HOT, None, False, "pretraining", "pretraining takes no labels"),
        (MULTI_HOT[:2], None, False, None, "labels are 2 x 2, but there are 3 recordings"),
        ([[1, 0], [1, 2], [0, 0]], ["AF", "SB"], False, None, "that of recording 1, SB, is .*2"),
        ([[1, 0], [1, np.nan], [0, 0]], ["AF", "SB"], False, None, "that of recording 1, SB, is .*nan"),
        ([[0, 0]] * 3, None, False, None, "no recording is of any class"),
        (MULTI_HOT, ["AF"], False, None, "2 columns, but 1 classes are named"),
        (MULTI_HOT, ["AF", "AF"], False, None, "each needs a name of its own"),
        ({"AF": [1, 0], "SB": [1, 0, 1]}, None, False, None, "not of one length"),
        ([1.0, 1.0, 2.0], None, False, None, "class names or integers.* task='regression'"),
        ([61, 45, 70], None, False, None, "3 different integers .* say task='regression'"),
        ([0.5, np.nan, 2.0], None, False, None, r"value of recording 1 is .*nan.* \(1 are missing\)"),
        ([0.5, 0.5, 0.5], None, False, "regression", "value is the same of all recordings"),
        (["a", "b", "c"], None, False, "regression", "must be numbers, but are <U1"),
        ([[0.5, 1], [1, 2], [3, 4]], ["K"], False, None, "2 columns, but 1 are named"),
        (["AF", None, "SB"], None, False, None, "some are missing"),
        (["AF", "AF", "AF"], None, False, None, "all recordings are of one class, AF"),
        (["AF", "SB", "SR"], ["AF", "SB"], False, None, "'SR', which is not in label_names"),
        ([0, 1, 2], ["AF", "SB"], False, None, "labels go from 0 to 2, but 2 classes are named"),
    ],
)
def test_what_cannot_be_is_told_with_the_next_step(labels, names, has_patients, task, message):
    with pytest.raises((ConfigError, LabelError), match=message):
        read_targets(labels, names, has_patients, task, 3)


def test_integers_of_many_values_are_not_taken_for_classes_without_a_word():
    ages = [20 + k % 21 for k in range(210)]
    with pytest.raises(ConfigError, match=r"21 different integers of 210 recordings.* say task='regression'"):
        read_targets(ages, None, False, None, len(ages))
    assert len(read_targets([age % 20 for age in ages], None, False, None, len(ages)).names) == 20
    assert len(read_targets([str(age) for age in ages], None, False, None, len(ages)).names) == 21


def test_patients_are_texts_and_blanks_are_unknown():
    assert read_patients([7, "p", None, "nan"], 4) == ["7", "p", None, None]
    assert read_patients(None, 2) == [None, None]
    with pytest.raises(LabelError, match=r"the shape \(2,\), but there are 3 recordings"):
        read_patients([1, 2], 3)
