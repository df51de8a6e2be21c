"""The usual layout of a recording: what is where on the page, in millimetres."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.plots.record import (
    _ABSENT,
    _NOT_GIVEN,
    _TRACE,
    ABSENT_TEXT,
    GIVEN_TEXT,
    NOT_GIVEN_TEXT,
    centred,
    draw_record,
)

FS = 500.0
ALL = tuple(range(12))


@pytest.fixture
def signal():
    time = np.arange(int(12 * FS)) / FS
    return np.stack([0.3 + 0.5 * np.sin(2 * np.pi * (1 + k / 10) * time) for k in range(12)])


def traces(axes, style, least=7):
    return [
        line for line in axes.lines if line.get_color() == style["color"] and len(line.get_xdata()) >= least
    ]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_each_lead_has_its_two_and_a_half_seconds_and_the_rhythm_all_ten(signal):
    (axes,) = draw_record(signal, FS, ALL, "r").axes
    lines = traces(axes, _TRACE)
    widths = [round(np.ptp(line.get_xdata()) + 25 / FS, 3) for line in lines]
    assert widths == [62.5] * 12 + [250]
    left = lines[0].get_xdata()[0]
    columns = [round(line.get_xdata()[0] - left, 3) for line in lines]
    assert columns == [0, 62.5, 125, 187.5] * 3 + [0]
    order = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    flat = centred(signal[:, :5000])
    for line, lead, column in zip(lines, order, [0, 1, 2, 3] * 3):
        shown = line.get_ydata() - line.get_ydata()[0]
        expected = flat[lead, column * 1250 : (column + 1) * 1250]
        np.testing.assert_allclose(shown, 10 * (expected - expected[0]), atol=1e-9)
    np.testing.assert_allclose(np.ptp(lines[12].get_ydata()), 10 * np.ptp(flat[1]), atol=1e-9)
    names = [text for text in texts(axes) if text in LEADS]
    assert names == [*(LEADS[lead] for lead in order), "II"]
    assert axes.get_legend() is None


def test_one_millimetre_of_the_page_is_one_of_the_grid(signal):
    (axes,) = draw_record(signal, FS, ALL, "r").axes
    width, height = axes.figure.get_size_inches() * 25.4
    assert axes.get_xlim() == pytest.approx((0, width))
    assert axes.get_ylim() == pytest.approx((0, height))
    grid = {c.get_gid(): c.get_segments() for c in axes.collections}
    vertical = sorted(line[0][0] for line in grid["grid-5mm"] if line[0][0] == line[1][0])
    assert set(np.diff(vertical).round(6)) == {5}


def test_leads_that_are_not_given_or_not_recorded_are_told_apart(signal):
    signal[6:] = 0
    (axes,) = draw_record(signal, FS, range(6), "r", given=(0, 1)).axes
    assert len(traces(axes, _TRACE)) == 3  # I, II, and II once more
    assert len([line for line in traces(axes, _NOT_GIVEN) if line.get_linestyle() == "-"]) == 4
    empty = [
        line for line in axes.lines if line.get_color() == _ABSENT["color"] and line.get_linestyle() == "--"
    ]
    assert len(empty) == 6
    assert all(line.get_ydata()[0] == line.get_ydata()[1] for line in empty)
    assert texts(axes).count(NOT_GIVEN_TEXT) == 4
    assert texts(axes).count(ABSENT_TEXT) == 6
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [GIVEN_TEXT, NOT_GIVEN_TEXT, ABSENT_TEXT]


def test_a_record_without_lead_ii_has_another_rhythm_strip(signal):
    only = np.zeros_like(signal)
    only[7] = signal[7]
    (axes,) = draw_record(only, FS, (7,), "r").axes
    assert [round(np.ptp(line.get_xdata())) for line in traces(axes, _TRACE)] == [62, 250]
    assert texts(axes).count("V2") == 2


def test_a_short_record_shows_its_end_in_columns_that_it_does_not_fill(signal):
    short = signal[:, : int(3 * FS)]
    (axes,) = draw_record(short, FS, ALL, "r").axes
    lines = traces(axes, _TRACE)
    assert [round(np.ptp(line.get_xdata()) + 25 / FS, 1) for line in lines] == [62.5] * 12 + [75]
    shown = lines[1].get_ydata()  # lead aVR, in the second column
    expected = centred(short)[3, -1250:]
    np.testing.assert_allclose(shown - shown[0], 10 * (expected - expected[0]), atol=1e-9)
    assert any("show its last 2.5 s" in text for text in texts(axes))
    (axes,) = draw_record(signal, FS, ALL, "r").axes
    assert not any("show its last 2.5 s" in text for text in texts(axes))


def test_a_record_shorter_than_a_column_is_shown_whole_in_each(signal):
    (axes,) = draw_record(signal[:, : int(2 * FS)], FS, ALL, "r").axes
    assert [round(np.ptp(line.get_xdata()) + 25 / FS, 1) for line in traces(axes, _TRACE)] == [50] * 13
