"""Per-class and averaged classification metrics."""

import numpy as np
import pytest

from fairseq_signals.metrics.classification import classification_metrics


@pytest.fixture
def unbalanced():
    """One easy rare class and one hard common class: macro and micro differ."""
    rng = np.random.default_rng(3)
    labels = rng.random((200, 2)) < [0.1, 0.6]
    noise = rng.random((200, 2))
    return labels, np.stack([0.5 * labels[:, 0] + 0.5 * noise[:, 0], noise[:, 1]], axis=1)


def test_perfect_probabilities_give_one_everywhere():
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    metrics = classification_metrics(labels, labels * 0.8 + 0.1)
    for name in ("auroc", "auprc", "accuracy", "f_measure", "exact_match"):
        assert metrics[name] == 1.0


def test_macro_is_the_mean_of_the_classes(unbalanced):
    metrics = classification_metrics(*unbalanced)
    for name in ("auroc", "auprc", "accuracy", "f_measure"):
        assert metrics[name] == pytest.approx(metrics[f"{name}_classes"].mean())


def test_macro_and_micro_are_each_honoured(unbalanced):
    labels, probabilities = unbalanced
    macro = classification_metrics(labels, probabilities)
    micro = classification_metrics(labels, probabilities, average="micro")
    pooled = classification_metrics(labels.reshape(-1, 1), probabilities.reshape(-1, 1))
    for name in ("auroc", "auprc", "f_measure"):
        assert micro[name] == pytest.approx(pooled[name])
        assert abs(micro[name] - macro[name]) > 0.01
        np.testing.assert_array_equal(micro[f"{name}_classes"], macro[f"{name}_classes"])


def test_classes_without_both_outcomes_are_nan_and_left_out_with_a_count():
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    probabilities = np.array([[0.9, 0.1, 0.9], [0.2, 0.3, 0.8], [0.1, 0.2, 0.7]])
    metrics = classification_metrics(labels, probabilities)
    np.testing.assert_array_equal(metrics["auroc_classes"], [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(np.isnan(metrics["auprc_classes"]), [False, True, True])
    assert metrics["auroc"] == 0.5
    assert metrics["n_classes_scored"] == 1
    assert metrics["n_classes"] == 3


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_nothing_defined_gives_nan_without_a_warning(average, recwarn):
    for n in (0, 2):
        metrics = classification_metrics(np.zeros((n, 2)), np.zeros((n, 2)), average=average)
        assert np.isnan([metrics["auroc"], metrics["auprc"], metrics["f_measure"]]).all()
        assert metrics["n_classes_scored"] == 0
    assert not recwarn.list


def test_a_probability_at_the_threshold_is_not_a_prediction():
    metrics = classification_metrics([[1], [0]], [[0.5], [0.4]])
    assert metrics["f_measure"] == 0.0
    assert classification_metrics([[1], [0]], [[0.5], [0.4]], threshold=0.45)["f_measure"] == 1.0


def test_metrics_do_not_depend_on_record_order(unbalanced):
    labels, probabilities = unbalanced
    order = np.random.default_rng(0).permutation(len(labels))
    a = classification_metrics(labels, probabilities)
    b = classification_metrics(labels[order], probabilities[order])
    for name, value in a.items():
        np.testing.assert_allclose(b[name], value, atol=1e-12)


@pytest.mark.parametrize(
    ("labels", "probabilities", "options", "message"),
    [
        ([[1]], [[2.5]], {}, "sigmoid"),
        ([[1]], [[np.nan]], {}, "record 0, class 0 is nan"),
        ([[1]], [[0.5, 0.5]], {}, "must have one shape"),
        ([[3]], [[0.5]], {}, "labels must be 0 or 1"),
        ([[1]], [[0.5]], {"average": "weighted"}, "macro, micro"),
    ],
)
def test_bad_input_is_refused(labels, probabilities, options, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, probabilities, **options)
