"""The page of transforms: which panels, which traces, and room for them."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.plots.transforms import (
    _CHANGED,
    _ORIGINAL,
    PANELS,
    Panel,
    draw_transforms,
    lay_out,
    transform_panels,
)
from fairseq_signals.transforms.build import TRANSFORMS, build_transform

FS = 500.0
SHOWN = [0, 1, 7]


@pytest.fixture
def signal() -> np.ndarray:
    """A second of twelve sines of 1 mV in mV."""
    return np.tile(np.sin(np.arange(500) / 20), (12, 1)).astype(np.float32)


def of_style(axes, style) -> list:
    """The traces of a second, without calibration pulses."""
    return [line for line in axes.lines if line.get_color() == style["color"] and len(line.get_xdata()) > 10]


def test_every_transform_has_a_panel_and_3kg_too(signal):
    panels = transform_panels(signal, FS, seed=3)
    assert {name for panel in panels for name in panel.names} == set(TRANSFORMS)
    assert PANELS["3KG"] == ("vcg_rotation", "time_mask")
    for name in TRANSFORMS:
        assert any(panel.names == (name,) for panel in panels), name
    index = [panel.title for panel in panels].index("EMG noise")
    expected = build_transform("emg_noise", FS)(signal, np.random.default_rng([3, index]))
    assert np.array_equal(panels[index].changed, expected)


def test_3kg_is_rotation_and_then_masking(signal):
    (panel,) = [panel for panel in transform_panels(signal, FS, seed=1) if panel.title == "3KG"]
    assert ((panel.changed == 0).sum(axis=1) >= 250).all()
    kept = panel.changed != 0
    assert np.abs(panel.changed - signal)[kept].max() > 0.05


def test_the_seed_decides(signal):
    one, same, other = (transform_panels(signal, FS, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.changed, b.changed) for a, b in zip(one, same))
    assert not any(np.array_equal(a.changed, b.changed) for a, b in zip(one, other))


def test_each_panel_shows_each_lead_with_the_original_behind_in_grey(signal):
    panels = transform_panels(signal, FS, seed=1)
    (axes,) = draw_transforms(signal, FS, SHOWN, panels, "record").axes
    grey, black = of_style(axes, _ORIGINAL), of_style(axes, _CHANGED)
    assert len(grey) == len(black) == len(panels) * len(SHOWN)
    for i, (original, changed) in enumerate(zip(grey, black)):
        panel, lead = divmod(i, len(SHOWN))
        assert np.array_equal(original.get_xdata(), changed.get_xdata())
        assert np.ptp(original.get_xdata()) == pytest.approx(25 * 499 / 500)
        zero = (original.get_ydata() - 10 * signal[SHOWN[lead]])[0]
        np.testing.assert_allclose(original.get_ydata(), zero + 10 * signal[SHOWN[lead]], atol=1e-3)
        expected = zero + 10 * panels[panel].changed[SHOWN[lead]]
        np.testing.assert_allclose(changed.get_ydata(), expected, atol=1e-3)
        assert original.get_zorder() < changed.get_zorder()
    pulses = [line for line in axes.lines if len(line.get_xdata()) == 6]
    assert len(pulses) == len(panels) * len(SHOWN)


def test_titles_transforms_leads_and_scales_are_written(signal):
    (axes,) = draw_transforms(signal, FS, SHOWN, transform_panels(signal, FS, 1), "record 7").axes
    texts = [text.get_text() for text in axes.texts]
    assert {"record 7", "25 mm/s   10 mm/mV", "vcg_rotation + time_mask", *PANELS} <= set(texts)
    assert all(texts.count(LEADS[lead]) == len(PANELS) for lead in SHOWN)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["original", "transformed"]


def test_zero_lies_on_a_coarse_line_and_the_paper_has_room_for_the_trace(signal):
    (axes,) = draw_transforms(signal, FS, SHOWN, transform_panels(signal, FS, 1), "record").axes
    sheets = [patch for patch in axes.patches if patch.get_width() > 5]
    assert len(sheets) == len(PANELS)
    for line in of_style(axes, _ORIGINAL):
        x, y = line.get_xdata(), line.get_ydata()
        (sheet,) = [s for s in sheets if s.get_x() < x[0] < s.get_x() + s.get_width()
                    and s.get_y() < y[0] < s.get_y() + s.get_height()]  # fmt: skip
        assert x[-1] < sheet.get_x() + sheet.get_width()
        assert sheet.get_y() < y.min() < y.max() < sheet.get_y() + sheet.get_height()
        zero = y[0]  # sin(0)
        assert (zero - sheet.get_y()) % 5 == pytest.approx(0, abs=1e-4)


def test_a_lead_takes_the_room_it_needs_within_reason(signal):
    def room(factor: float) -> tuple:
        return lay_out(signal, FS, [0], [Panel("x", ("x",), factor * signal)]).rooms[0][0]

    assert room(0.1) == (10, 10)  # of the original
    assert room(1.4) == (15, 15)
    assert room(3) == (30, 30)
    assert room(100) == (40, 40)
    flat = np.zeros_like(signal)
    assert lay_out(flat, FS, [0], [Panel("x", ("x",), flat)]).rooms[0][0] == (10, 5)  # of the pulse


def test_a_page_of_many_leads_has_more_columns(signal):
    panels = transform_panels(signal, FS, 1)
    wide = np.tile(signal, 5)
    few = lay_out(wide, FS, SHOWN, transform_panels(wide, FS, 1))
    many = lay_out(signal, FS, range(12), panels)
    assert [len(row) for row in few.rows] == [3, 3, 3]
    assert [len(row) for row in many.rows] == [4, 4, 1]
    width, height = draw_transforms(signal, FS, range(12), panels, "record").get_size_inches() * 25.4
    assert (width, height) == pytest.approx(many.page)
