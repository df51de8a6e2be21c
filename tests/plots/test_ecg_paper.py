"""ECG paper: the grid's squares, the scales, and that a millimetre is one in both directions."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from fairseq_signals.plots import ecg_paper


@pytest.fixture
def page():
    """A page of 60 x 40 mm, its axes, and a sheet of 50 x 30 mm on it whose corner is at (5, 5)."""
    figure, axes = ecg_paper.new_page(60, 40)
    return figure, axes, ecg_paper.draw_grid(axes, 5, 5, 50, 30)


def grid(axes, spacing: int) -> list:
    (lines,) = [c for c in axes.collections if c.get_gid() == f"grid-{spacing}mm"]
    return lines.get_segments()


def test_a_unit_of_the_page_is_a_millimetre_in_both_directions(page):
    figure, axes, _ = page
    figure.set_dpi(254)  # 10 pixels a mm
    FigureCanvasAgg(figure).draw()
    np.testing.assert_allclose(axes.transData.transform((0, 0)), (0, 0), atol=1e-6)
    np.testing.assert_allclose(axes.transData.transform((60, 40)), (600, 400), atol=1e-6)


@pytest.mark.parametrize(("spacing", "columns", "rows"), [(1, 51, 31), (5, 11, 7)])
def test_the_grid_has_squares_of_one_and_of_five_millimetres(page, spacing, columns, rows):
    segments = np.array(grid(page[1], spacing))  # (lines, 2 ends, x and y)
    vertical = segments[segments[:, 0, 0] == segments[:, 1, 0]]
    horizontal = segments[segments[:, 0, 1] == segments[:, 1, 1]]
    assert vertical[:, 0, 0].tolist() == [5 + spacing * i for i in range(columns)]
    assert horizontal[:, 0, 1].tolist() == [5 + spacing * i for i in range(rows)]
    assert len(vertical) + len(horizontal) == len(segments)
    assert set(vertical[:, :, 1].ravel()) == {5, 35}  # from edge to edge
    assert set(horizontal[:, :, 0].ravel()) == {5, 55}


def test_coarse_lines_of_the_picture_are_five_millimetres_apart(page):
    figure = page[0]
    figure.set_dpi(508)  # 20 pixels a mm
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3] / 255
    coarse = np.abs(pixels - to_rgb(ecg_paper._LARGE_LINE)).sum(axis=2) < 0.02
    for row_or_column in (coarse[410], coarse[:, 410]):  # half a mm beside a line of the fine grid
        lines = np.flatnonzero(row_or_column)
        centres = [group.mean() for group in np.split(lines, np.flatnonzero(np.diff(lines) > 1) + 1)]
        assert len(centres) in (7, 11)
        np.testing.assert_allclose(np.diff(centres), 100, atol=1.5)


def test_a_second_is_25_mm_and_a_millivolt_10_mm(page):
    _, axes, sheet = page
    ecg_paper.draw_lead(axes, sheet, 10, 20, np.array([0.0, 1.0, -0.5]), 2.0, color="black")
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [10, 22.5, 35]
    assert line.get_ydata().tolist() == [20, 30, 15]
    assert line.get_color() == "black"


def test_a_lead_ends_with_the_paper(page):
    figure, axes, sheet = page
    ecg_paper.draw_lead(axes, sheet, 10, 20, np.array([-9.0, 9.0, -9.0]), 2.0, color="blue", linewidth=2)
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(127)  # 5 pixels a mm
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[::-1, :, :3].astype(int)  # rows from the bottom
    blue = (pixels[:, :, 2] - pixels[:, :, 0]) > 100
    assert blue[5 * 5 : 35 * 5].any(axis=1).all()
    assert not blue[: 5 * 5 - 1].any()
    assert not blue[35 * 5 + 1 :].any()


def test_the_calibration_pulse_is_a_millivolt_for_a_fifth_of_a_second():
    _, axes = ecg_paper.new_page(60, 40)
    ecg_paper.draw_calibration(axes, 10, 20)
    (line,) = axes.lines
    x, y = line.get_xdata(), line.get_ydata()
    assert set(y) == {20, 30}
    assert x[y == 30].tolist() == [10, 15]
    assert (x.min(), x.max()) == (9, 16)
