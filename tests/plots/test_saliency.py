"""Saliency on paper: which leads are coloured, where, and how strongly."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from fairseq_signals.plots.saliency import draw_saliency, smoothed

FS = 100.0


@pytest.fixture
def axes():
    rng = np.random.default_rng(1)
    signal = rng.standard_normal((12, 500)) * 0.2
    signal[8] = 0
    gradient = np.zeros((12, 500))
    gradient[:, 100:200] = 1
    attention = np.concatenate([np.full(250, 0.1), np.full(250, 0.4)])
    present = [lead for lead in range(12) if lead != 8]
    (axes,) = draw_saliency(signal, FS, present, (0, 1), gradient, attention, "AF", [0, 2.5], "orange").axes
    return axes


def test_only_given_leads_are_coloured_over_the_length_of_the_trace(axes):
    assert [image.get_gid() for image in axes.images] == ["gradient-I", "gradient-II"]
    for image in axes.images:
        left, right, bottom, top = image.get_extent()
        assert right - left == pytest.approx(5 * 25)
        assert top - bottom >= 15
        heat = image.get_array()[0]
        assert heat[:100].max() == 0
        assert heat[100:200].min() == 1


def test_attention_is_as_high_as_its_share_of_the_largest(axes):
    (area,) = [c for c in axes.collections if c.get_gid() == "attention"]
    y = area.get_paths()[0].vertices[:, 1]
    heights = np.unique((y - y.min()).round(3))
    assert heights.tolist() == pytest.approx([0, 3.5, 14])


def test_texts_and_borders_of_segments_are_drawn(axes):
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("not given") == 9
    assert texts.count("not recorded") == 1
    assert "AF" in texts
    borders = [line for line in axes.lines if line.get_color() == "#4a6fa5"]
    assert len(borders) == 1
    left = axes.images[0].get_extent()[0]
    assert borders[0].get_xdata()[0] - left == pytest.approx(2.5 * 25)


def test_a_recording_that_is_longer_than_the_page_says_so():
    def texts(n):
        drawn = draw_saliency(np.eye(12, n), FS, [0], [0], np.ones((12, n)), np.ones(n), "AF")
        return " ".join(text.get_text() for text in drawn.axes[0].texts)

    assert "the first 10 s of 20 s, of which the model saw all" in texts(2000)
    assert "of which" not in texts(1000)


def test_axes_stay_in_millimetres_of_the_page(axes):
    width, height = axes.figure.get_size_inches() * 25.4
    assert (axes.get_xlim(), axes.get_ylim()) == (pytest.approx((0, width)), pytest.approx((0, height)))


def test_smoothing_is_a_sliding_mean_with_shorter_ends():
    values = np.array([[3.0, 0, 0, 6, 0]])
    np.testing.assert_allclose(smoothed(values, 1.0, 3.0), [[1.5, 1, 2, 2, 3]])
