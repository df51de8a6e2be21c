"""Tables of numbers as text are read whatever the dialect, and refused where nothing says what they are."""

import numpy as np
import pytest

from fairseq_signals.ecg.lead_names import parse_lead_names
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.number_table import read_number_table
from fairseq_signals.formats.options import ReadOptions

T, FS = 600, 250.0
SIGNAL_MV = np.round(np.cumsum(np.random.default_rng(0).normal(0, 0.02, (3, T)), axis=1), 3)
IN_ORDER = {"lead_names": "I,II,III"}
BOTH = {"fs": FS, "unit": "mV"}


def options(lead_names=None, **said):
    return ReadOptions(parse_lead_names(lead_names), **said)


def table(separator=",", mark=".", header="I,II,III", time=None, end="", values=SIGNAL_MV):
    """The text of a table with a column a lead; `time` gives the cell before those of row k."""
    rows = [
        separator.join([*([time(k)] if time else []), *(f"{v:.3f}".replace(".", mark) for v in row)]) + end
        for k, row in enumerate(values.T)
    ]
    return "\n".join([*([header] if header else []), *rows]) + "\n"


def seconds(k):
    return f"{k / FS:.3f}"


DIALECTS = {
    "comma": (table(), BOTH),
    "trailing commas": (table(header="I,II,III,", end=","), BOTH),
    "quoted decimal commas": (
        '"' + table('","', ",", 'I","II","III').strip().replace("\n", '"\n"') + '"', BOTH,
    ),
    "semicolons and decimal commas": (table(";", ",", "I;II;III"), BOTH),
    "tabs": (table("\t", header="I\tII\tIII"), BOTH),
    "blanks": (table("   ", header="  I  II III "), BOTH),
    "blanks and decimal commas": (table(" ", ",", header=""), {**BOTH, **IN_ORDER}),
    "commented names": (table(header="# I,II,III"), BOTH),
    "comments below": (table() + "# end\n", BOTH),
    "blanks behind commas": (table(", ", header="I, II, III"), BOTH),
    "a title and a blank line": ("ECG of 3 leads\n\n" + table(), BOTH),
    "date and time": (
        table(header="Date,Time,I,II,III", time=lambda k: f"2020-01-01,12:00:{k / FS:06.3f}"), {"unit": "mV"},
    ),
    "seconds since 1970": (
        table(header="Time,Lead I(mV),Lead II(mV),III(mV)", time=lambda k: f"{1.7e9 + k / FS:.3f}"), {},
    ),
    "lower case": (table(header="lead i,ecg lead ii,iii"), BOTH),
    "units below names": (table("\t", header="i\tii\tiii\n[mV]\t[mV]\t[mV]"), {"fs": FS}),
    "windows": (table().replace("\n", "\r\n"), BOTH),
    "byte-order mark": ("\ufeff" + table(), BOTH),
    "units in names": (table(";", ",", "I (mV);II [mV];III_mV"), {"fs": FS}),
    "facts above": ("# Sampling frequency: 250 Hz\n# Unit: mV\n" + table(), {}),
    "pairs above": ("fs,250\nunits,mV\n" + table(), {}),
    "interval above": ("% Sampling interval: 4 ms\n" + table(), {"unit": "mV"}),
    "seconds": (table(header="time (s),I,II,III", time=seconds), {"unit": "mV"}),
    "milliseconds": (table(header="Zeit [ms],I,II,III", time=lambda k: str(4 * k)), {"unit": "mV"}),
    "times of no unit": (table(header="t,I,II,III", time=lambda k: str(4 * k)), {"unit": "mV"}),
    "unnamed times": (table(header="", time=seconds), {"unit": "mV", **IN_ORDER}),
    "row numbers": (table(header=",I,II,III", time=str), BOTH),
    "unnamed row numbers": (table(header="", time=str), {**BOTH, **IN_ORDER}),
    "times agree with fs": (table(header="time,I,II,III", time=seconds), BOTH),
    "elapsed times and units": (
        table(header="'Elapsed time','I','II','III'\n'm:ss.mmm','mV','mV','mV'",
              time=lambda k: f"'0:{k / FS:06.3f}'"), {},
    ),
    "midnight": (
        table(header="time,I,II,III", time=lambda k: f"2020-01-01 23:59:{59 + k / FS:06.3f}" if k < 250
              else f"2020-01-02 00:00:{(k - 250) / FS:06.3f}"), {"unit": "mV"},
    ),
    "a column of text": (table(header="I,II,III,note", end=",N"), BOTH),
    "rows": ("\n".join(",".join([n, *map(str, v)]) for n, v in zip(("I", "II", "III"), SIGNAL_MV)), BOTH),
    "rows without names": (
        "\n".join(";".join(map(str, v)).replace(".", ",") for v in SIGNAL_MV), {**BOTH, **IN_ORDER},
    ),
    "rows and times": (
        "\n".join(" ".join(map(str, v)) for v in (np.arange(T) / FS, *SIGNAL_MV)), {"unit": "mV", **IN_ORDER},
    ),
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_is_read_as_it_is_whatever_its_dialect(dialect, tmp_path):
    text, said = DIALECTS[dialect]
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    record = read_number_table(tmp_path / "a.csv", options=options(**said))
    assert (record.record_id, record.leads, record.fs) == ("a", ("I", "II", "III"), FS)
    np.testing.assert_allclose(record.signal_mv(), SIGNAL_MV, atol=1e-12)
    assert not record.requantised
    assert record.faults == ()


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_table_is_read_in_old_encodings(encoding, tmp_path):
    (tmp_path / "a.txt").write_text(table(header="I (\u00b5V),II (\u00b5V),III (\u00b5V)"), encoding=encoding)
    record = read_number_table(tmp_path / "a.txt", options=options(fs=FS))
    np.testing.assert_allclose(record.signal_mv(), SIGNAL_MV / 1000, atol=1e-12)


def test_a_name_turns_the_sign_or_leaves_a_column_out(tmp_path):
    (tmp_path / "a.csv").write_text(table(header="ECG,x,pulse"))
    record = read_number_table(tmp_path / "a.csv", options=options("ECG=II,x=-aVR,pulse=none", **BOTH))
    np.testing.assert_allclose(record.signal_mv(), [SIGNAL_MV[0], -SIGNAL_MV[1]], atol=1e-12)
    assert [note.lead for note in record.ignored] == ["pulse"]


def test_a_cell_that_is_no_number_counts_as_missing_and_is_told(tmp_path):
    cells = table().split("\n")
    cells[300] = cells[300].replace(",", ",OFF", 1)
    (tmp_path / "a.csv").write_text("\n".join(cells))
    record = read_number_table(tmp_path / "a.csv", options=options(**BOTH))
    assert record.leads == ("I", "II", "III")
    assert "1 cells of the column 'II' are no numbers" in record.notes[0]
    assert "1 missing sample in 1 gap interpolated" in record.notes[1]
    empty = table().replace("\n", ",\n").replace("I,II,III,", "I,II,III,V1")
    (tmp_path / "b.csv").write_text(empty)
    (fault,) = read_number_table(tmp_path / "b.csv", options=options(**BOTH)).faults
    assert fault.lead == "V1"


ROWS = table(header="t (ms),I,II,III", time=lambda k: str(4 * k)).split("\n")
REFUSED = {
    "no rate": (table(), {"unit": "mV"}, "does not say its sampling rate. Say it with --fs HZ"),
    "no unit": (table(), {"fs": FS}, "does not say the unit of its samples. Say it with --unit"),
    "no names": (table(header=""), BOTH, "3 signals without a name, so nothing says which leads they are"),
    "names of no lead": (table(header="a,b,c"), BOTH, r"none of its 3 signals is one of the 12 leads \('a'"),
    "too few names": (table(header=""), {**BOTH, "lead_names": "I,II"}, "2 lead names are given for its 3"),
    "another rate": ("\n".join(ROWS), {"fs": 500.0}, "is 250 Hz by its times in the file, but fs=500 Hz was"),
    "another said rate": ("fs: 250 Hz\n" + table(), {**BOTH, "fs": 500.0}, "250 Hz in the file, but fs=500"),
    "another unit": (table(header="I_mV,II,III"), {**BOTH, "unit": "uV"}, "'mV' in the file, but unit='uV'"),
    "missing rows": ("\n".join(ROWS[:90] + ROWS[95:]), {"unit": "mV"}, "after 352 in row 89 comes 376"),
    "rows in disorder": ("\n".join(ROWS[:90] + ROWS[40:]), {"unit": "mV"}, "after 352 in row 89 comes 156"),
    "a row too short": (table() + "0.1,0.2\n", BOTH, "Expected 3 columns, got 2"),
    "prose": ("dear reader,\nnothing here\n", BOTH, "is not a table of numbers"),
    "nothing": ("", BOTH, "is not a table of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_is_not_clear_is_refused_with_what_to_say(case, tmp_path):
    text, said, message = REFUSED[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SignalError, match="record a: .*" + message):
        read_number_table(tmp_path / "a.csv", options=options(**said))


@pytest.mark.parametrize("true_fs", [128.0, 360.0, 500.0, 1000.0])
def test_the_rate_is_that_of_times_rounded_to_milliseconds(true_fs, tmp_path):
    text = table(header="time [s],I,II,III", time=lambda k: f"{1e4 + k / true_fs:.3f}")
    (tmp_path / "a.csv").write_text(text)
    assert read_number_table(tmp_path / "a.csv", options=options(unit="mV")).fs == true_fs
