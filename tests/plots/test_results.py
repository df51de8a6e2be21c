"""Diagrams of results and trainings: panels, curves, labels and limits."""

import io

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from fairseq_signals.plots.axes import lead_set_name
from fairseq_signals.plots.classification import draw_calibration, draw_confusion, draw_curves
from fairseq_signals.plots.identification import MOST_ROWS, draw_identification
from fairseq_signals.plots.training import draw_training


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    labels = rng.random((60, 4)) < 0.4
    labels[:, 2] = False
    probabilities = np.clip(0.3 + 0.4 * labels + rng.normal(0, 0.15, labels.shape), 0, 1)
    return labels, probabilities, ["AF", "NSR", "PVC", "LAD"]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_each_class_with_both_outcomes_has_a_panel_with_roc_and_precision(scores):
    labels, probabilities, names = scores
    figure = draw_curves(labels, probabilities, names, "model")
    assert len(figure.axes) == 3
    assert figure.get_suptitle().endswith("without both outcomes: PVC")
    for axes, c in zip(figure.axes, (0, 1, 3)):
        assert axes.get_title("left").startswith(f"{names[c]}  ({labels[:, c].sum()} of 60)\nAUROC ")
        roc, precision = axes.lines[:2]
        assert (roc.get_xdata()[0], roc.get_ydata()[-1]) == (0, 1)
        assert precision.get_xdata().max() == 1
        assert axes.lines[2].get_ydata()[0] == pytest.approx(labels[:, c].mean())
    assert draw_curves(np.zeros((5, 4), bool), probabilities[:5], names, "model") is None


def test_calibration_shows_all_classes_against_the_diagonal(scores):
    labels, probabilities, names = scores
    curve, counts = draw_calibration(labels, probabilities, names, "model").axes
    assert legend(curve)[0] == "perfect"
    assert any(text.startswith("all classes, error ") for text in legend(curve))
    thin = [line for line in curve.lines if line.get_color() == "0.8" and len(line.get_xdata())]
    assert len(thin) == 3  # the class that nobody has is left out
    assert counts.get_xlim() == (0, 1)


@pytest.mark.parametrize("happened", [False, True])
def test_calibration_draws_bins_in_which_none_or_all_happened(happened):
    sizes = [1, 2, 5, 10, 17, 39, 50, 68, 87, 100]
    probabilities = np.repeat(np.linspace(0.05, 0.95, len(sizes)), sizes)[:, None]
    curve = draw_calibration(np.full(probabilities.shape, happened), probabilities, ["AF"], "model").axes[0]
    ends = np.array([[segment[0, 1], segment[1, 1]] for segment in curve.collections[0].get_segments()])
    assert len(ends) == len(sizes)
    assert (ends[:, int(happened)] == happened).all()


def test_confusion_holds_shares_of_rows_and_the_reward_its_sum(scores):
    labels, _, names = scores
    axes = draw_confusion(labels, labels, names, "model", np.eye(4)).axes
    share, reward = axes[0].images[0].get_array(), axes[1].images[0].get_array()
    sums = np.ma.filled(share, np.nan).sum(axis=1)
    np.testing.assert_allclose(sums[[0, 1, 3]], 1)
    assert np.isnan(sums[2])
    assert axes[1].get_title("left") == f"reward, {reward.sum():.1f} in all"
    assert [label.get_text() for label in axes[0].get_yticklabels()] == names
    without = draw_confusion(labels, np.zeros_like(labels), names, "above 0.5")
    formula = ["$_{$", *names[1:]]
    draw_confusion(labels, labels, formula, "$^{$").savefig(io.BytesIO())
    assert len(without.axes) == 2  # with the colour bar
    assert without.get_suptitle() == "above 0.5: nothing"


def test_identification_has_a_curve_a_lead_set_and_the_matrix_by_patient():
    rng = np.random.default_rng(0)
    ids = np.array(["c", "a", "b", "d"])
    perfect = (ids[:, None] == ids[None]).astype(float)
    figure = draw_identification({"12": perfect, "I+II": rng.random((4, 4))}, ids, ids, "model")
    ranks, roc, matrix, histogram = figure.axes[:4]
    assert ranks.lines[0].get_ydata().tolist() == [1, 1, 1, 1]
    assert legend(ranks)[0] == "12 leads: 1.000 at rank 1"
    assert legend(roc)[0] == "12 leads: EER 0.000"
    assert legend(roc)[1].startswith("I+II: EER ")
    assert (roc.get_xscale(), roc.get_ylim()) == ("log", (0, 1.02))
    np.testing.assert_array_equal(matrix.images[0].get_array(), np.eye(4))
    assert legend(histogram)[:2] == ["different patients (12 pairs)", "same patient (4 pairs)"]


def test_a_large_matrix_is_thinned_out_and_says_so():
    n = MOST_ROWS + 10
    ids = np.arange(n)
    figure = draw_identification({"12": np.eye(n)}, ids, ids, "model")
    matrix = figure.axes[2]
    assert max(matrix.images[0].get_array().shape) <= MOST_ROWS
    assert "evenly spaced part" in matrix.get_title("left")


def test_lead_sets_are_named():
    assert [lead_set_name(name) for name in ("12", "1", "I+V5")] == ["12 leads", "1 lead", "I+V5"]


def test_a_training_has_a_panel_for_what_was_logged():
    nan = float("nan")
    history = {
        "train": ([10, 20], {"loss": [3.0, 2.0], "cmsc_loss": [0.02, 0.01], "lr": [1e-3, 0], "ups": [1, 1]}),
        "valid": ([20], {"loss": [2.5], "auroc": [0.7], "accuracy": [nan], "mae": [9.0], "r2": [0.1]}),
    }
    figure = draw_training(history, "run")
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == [
        *("loss and its terms", "scores", "errors of numbers", "numbers explained", "learning rate")
    ]
    loss = figure.axes[0]
    assert legend(loss) == ["loss", "loss (valid)", "cmsc_loss"]
    assert loss.get_yscale() == "log"
    assert [line.get_linestyle() for line in loss.lines] == ["-", ":", "-"]
    assert loss.lines[0].get_color() == loss.lines[1].get_color()
    with pytest.raises(ValueError, match="neither losses nor scores"):
        draw_training({"train": ([1], {"ups": [1.0]})}, "run")
