"""Records that the wfdb library reads for us: other formats, frames, skew, several files and segments."""

import numpy as np
import pytest
import wfdb

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.formats.wfdb_header import read_header
from fairseq_signals.formats.wfdb_signals import is_direct

NAMES = ["V1", "ii", "AVR"]
IN_LEAD_ORDER = [1, 2, 0]


def small(ecg_adu, n_leads=3, n_samples=1000):
    return np.clip(ecg_adu(n_leads, n_samples), -100, 100)


def write(folder, name, adu, fmt, fs=500, **options):
    wfdb.wrsamp(
        name,
        fs=fs,
        units=["mV"] * len(adu),
        sig_name=NAMES[: len(adu)],
        d_signal=adu.T.astype(int),
        fmt=[fmt] * len(adu),
        adc_gain=[200.0] * len(adu),
        baseline=[5] * len(adu),
        write_dir=str(folder),
        **options,
    )
    return folder / f"{name}.hea"


@pytest.mark.parametrize("fmt", ["80", "212", "24", "32", "508", "516", "524"])
def test_every_format_that_wfdb_writes_is_kept_without_loss(tmp_path, ecg_adu, fmt):
    adu = small(ecg_adu)
    record = read_wfdb(write(tmp_path, "r", adu, fmt))
    assert record.leads == ("II", "aVR", "V1")
    assert not record.requantised
    np.testing.assert_array_equal(record.signal, (adu - 5)[IN_LEAD_ORDER])
    np.testing.assert_allclose(record.scale, 1 / 200)


def test_values_of_more_than_16_bits_are_rounded_to_the_peak(tmp_path, ecg_adu):
    adu = ecg_adu(3).astype(int) * 1000
    record = read_wfdb(write(tmp_path, "r", adu, "32"))
    assert record.requantised
    error = np.abs(record.signal_mv() - (adu - 5)[IN_LEAD_ORDER] / 200)
    assert (error.max(axis=1) <= record.scale / 2 * 1.0001).all()


def test_comments_and_ignored_channels_survive(tmp_path, ecg_adu):
    header = write(tmp_path, "r", small(ecg_adu), "212", comments=["Age: 44", "Sex: M"])
    header.write_text(header.read_text().replace("AVR", "RESP"))
    record = read_wfdb(header)
    assert (record.subject.age, record.subject.sex) == (44, "male")
    assert [note.lead for note in record.ignored] == ["RESP"]


def test_signals_in_several_files_are_joined(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu(3)
    write_wfdb(tmp_path, "a", adu[:2], ["I", "II"])
    write_wfdb(tmp_path, "b", adu[2:], ["III"])
    lines = [(tmp_path / f"{name}.hea").read_text().splitlines()[1:] for name in "ab"]
    (tmp_path / "r.hea").write_text("\n".join(["r 3 500 3000", *lines[0], *lines[1]]))
    np.testing.assert_array_equal(read_wfdb(tmp_path / "r").signal, adu)


def test_skewed_signals_are_aligned_and_the_end_without_samples_is_cut(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu(2)
    header = write_wfdb(tmp_path, "r", adu, ["I", "II"])
    lines = header.read_text().splitlines()
    lines[2] = lines[2].replace(" 16 ", " 16:3 ", 1)
    header.write_text("\n".join(lines))
    assert not is_direct(read_header(header))
    record = read_wfdb(header)
    assert (record.leads, record.faults) == (("I", "II"), ())
    np.testing.assert_array_equal(record.signal, [adu[0, :-3], adu[1, 3:]])


def test_leads_with_more_samples_a_frame_set_the_sampling_rate(tmp_path, write_wfdb):
    time = np.arange(1000) / 1000
    fast = np.rint(8000 * np.sin(2 * np.pi * 3 * time))
    slow = np.rint(8000 * np.cos(2 * np.pi * 3 * time))[::2]
    frames = np.stack([fast[0::2], fast[1::2], slow])  # two samples of I, one of II
    header = write_wfdb(tmp_path, "r", frames, ["I", "x", "II"])
    first, _, third = header.read_text().splitlines()[1:]
    header.write_text("\n".join(["r 2 500 500", first.replace(" 16 ", " 16x2 ", 1), third]))
    record = read_wfdb(header)
    assert (record.fs, record.n_samples) == (1000.0, 1000)
    np.testing.assert_array_equal(record.signal[0], fast)
    expected = 8 * np.cos(2 * np.pi * 3 * time)
    assert np.abs(record.signal_mv()[1] - expected)[50:-50].max() < 0.02  # interpolated


@pytest.fixture
def multi_segment(tmp_path, write_wfdb, ecg_adu):
    """A fixed-layout record of two segments; its header and its samples."""
    adu = ecg_adu(2)
    write_wfdb(tmp_path, "r_1", adu[:, :1200], ["V1", "II"])
    write_wfdb(tmp_path, "r_2", adu[:, 1200:], ["V1", "II"])
    header = tmp_path / "r.hea"
    header.write_text("r/2 2 500 3000\nr_1 1200\nr_2 1800\n# Age: 50\n")
    return header, adu


def test_segments_are_joined(multi_segment):
    header, adu = multi_segment
    record = read_wfdb(header)
    assert record.leads == ("II", "V1")
    np.testing.assert_array_equal(record.signal, adu[[1, 0]])
    assert record.subject.age == 50


@pytest.mark.parametrize("n_gap", [10, 40])
def test_a_gap_between_segments_without_a_layout_is_missing_samples(multi_segment, n_gap):
    header, adu = multi_segment
    header.write_text(f"r/3 2 500 {3000 + n_gap}\nr_1 1200\n~ {n_gap}\nr_2 1800\n")
    if n_gap > 20:  # 40 ms
        with pytest.raises(SignalError, match="40 of 3040 samples are missing"):
            read_wfdb(header)
    else:
        record = read_wfdb(header)
        np.testing.assert_allclose(record.signal_mv()[:, 1210:], adu[[1, 0], 1200:] / 1000, atol=2e-5)
        assert "II: 10 missing samples in 1 gap interpolated" in record.notes


def test_a_gap_between_segments_is_missing_samples(multi_segment):
    header, _ = multi_segment
    header.write_text("r/4 2 500 3040\nr_layout 0\nr_1 1200\n~ 40\nr_2 1800\n")
    header.with_name("r_layout.hea").write_text(
        "r_layout 2 500 0\n~ 0 1000(0)/mV 16 0 0 0 0 V1\n~ 0 1000(0)/mV 16 0 0 0 0 II\n"
    )
    with pytest.raises(SignalError, match="40 of 3040 samples are missing"):
        read_wfdb(header)


def write_layout(header):
    header.write_text("r/3 2 500 3000\nr_0 0\nr_1 1200\nr_2 1800\n")
    lines = "".join(f"~ 0 1000(0)/mV 16 0 0 0 0 {lead}\n" for lead in ("V1", "II"))
    header.with_name("r_0.hea").write_text(f"r_0 2 500 0\n{lines}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("/mV", "/uV", "segment r_2 has V1 in uV, but r_1 in mV"),
        ("V1", "x", "segment r_2 has the signals 'x', 'II', but r_1 'V1', 'II'"),
        ("V1\n", "II\n", "segment r_2 has the signals 'II', 'II', but r_1 'V1', 'II'"),
        ("r_2 2 500", "r_2 2 250", "segment r_2 has 250 Hz, the record 500 Hz"),
        (" 16 1000(0)", " 16 0(0)", "segment r_2 has no gain for V1, but r_1 one of 1000"),
        (" 16 1000", " 16x2 1000", "segment r_2 has 2 samples of V1 a frame, but r_1 1"),
    ],
)
@pytest.mark.parametrize("is_layout", [False, True])
def test_segments_that_are_not_alike_are_refused(multi_segment, old, new, message, is_layout):
    header, _ = multi_segment
    segment = header.with_name("r_2.hea")
    segment.write_text(segment.read_text().replace(old, new, 1))
    if is_layout:
        write_layout(header)
        message = message.replace("r_1", "r_0")
    if is_layout and "signals" in message:
        return  # of a layout, any signals in any order
    with pytest.raises(SignalError, match=f"record r: {message}"):
        read_wfdb(header)


def test_segments_of_other_gains_and_layouts_of_other_orders_are_converted(multi_segment, write_wfdb):
    header, adu = multi_segment
    write_wfdb(header.parent, "r_2", adu[:, 1200:] // 2, ["V1", "II"], gain=500)
    mv = np.hstack([adu[:, :1200], adu[:, 1200:] // 2 * 2]) / 1000
    np.testing.assert_allclose(read_wfdb(header).signal_mv(), mv[[1, 0]], atol=1e-9)
    write_wfdb(header.parent, "r_2", adu[[1, 0, 0], 1200:], ["II", "V1", "V2"])
    write_layout(header)
    record = read_wfdb(header)
    np.testing.assert_array_equal(record.signal, adu[[1, 0]])
    assert record.ignored == (("V2", "in segment r_2; the layout has no such signal"),)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("r_2.hea", r"record r: header r_2\.hea, named in r\.hea, is missing"),
        ("r_2.dat", r"record r: signal file r_2\.dat, .* is missing"),
    ],
)
def test_a_missing_part_of_a_segment_is_named(multi_segment, lost, message):
    header, _ = multi_segment
    header.with_name(lost).unlink()
    with pytest.raises(SignalError, match=message):
        read_wfdb(header)


@pytest.mark.parametrize("fmt", ["80", "212", "24", "32", "508", "516", "524"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_truncated_files_of_other_formats_are_refused(tmp_path, ecg_adu, fmt, keep):
    header = write(tmp_path, "r", small(ecg_adu), fmt)
    path = tmp_path / "r.dat"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(SignalError, match=r"record r: .*truncated"):
        read_wfdb(header)


def test_a_missing_file_of_another_format_is_named(tmp_path, ecg_adu):
    header = write(tmp_path, "r", small(ecg_adu), "212")
    (tmp_path / "r.dat").unlink()
    with pytest.raises(SignalError, match=r"record r: signal file r\.dat, named in r\.hea, is missing"):
        read_wfdb(header)
