"""MFER files, each tag checked against the tables of Part 1."""

import os

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from tests.preprocess.lookalikes import mfer

pytest.importorskip("ecgdatakit", reason="ecgdatakit needs Python 3.11 beside fairseq")

from fairseq_signals.formats.mfer import read_mfer


def test_tags_are_as_part_1_has_them(tmp_path):
    """Written in hexadecimal: little endian, 250 Hz, 5 uV, V5 and -aVR in blocks of 2 samples, thrice."""
    data = bytes.fromhex(
        "010101"  # MWF_BLE: little endian
        "0B0601FD04000000"  # MWF_IVL: seconds, 10**-3, 4
        "0C0400FA0500"  # MWF_SEN: volt, 10**-6, 5
        "0402 0200 0501 02 0602 0300"  # MWF_BLK 2, MWF_CHN 2, MWF_SEQ 3
        "3F0004 09020700 3F0104 09024100"  # MWF_ATT of channels 0 and 1: MWF_LDN 7 and 65
        "1E18 0100 0200 0A00 1400 0300 0400 1E00 2800 0500 0600 3200 3C00 8000"  # MWF_WAV, MWF_END
    )
    (tmp_path / "a.mwf").write_bytes(data)
    record = read_mfer(tmp_path / "a.mwf")
    assert (record.leads, record.fs) == (("aVR", "V5"), 250)
    expected = [[-10, -20, -30, -40, -50, -60], [1, 2, 3, 4, 5, 6]]
    np.testing.assert_allclose(record.signal_mv(), np.array(expected) * 0.005, atol=1e-9)
    assert any("sign turned" in note for note in record.notes)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("block", [900, 30])
def test_byte_order_and_blocks_do_not_matter(tmp_path, ecg_adu, order, block):
    values = ecg_adu(12, 900)
    record = read_mfer(mfer.write_twelve(tmp_path / "a.mwf", values, order=order, block=block))
    assert (record.leads, record.fs) == (LEADS, 500)
    np.testing.assert_allclose(record.signal_mv(), values * 0.0025, atol=1e-9)
    assert (record.subject.patient_id, record.subject.sex, record.subject.age) == ("4711", "female", 63)


def test_offset_and_missing_value_are_those_of_the_file(tmp_path, ecg_adu):
    values = ecg_adu(2, 6000)
    values[1, 700:704] = -32768
    extra = mfer.channel(1, mfer.tag(mfer.OFF, b"\x0a\0"), mfer.tag(mfer.NUL, b"\0\x80"))
    path = mfer.write_twelve(tmp_path / "a.mwf", values, leads=("II", "V5"), extra=extra)
    record = read_mfer(path)
    kept = np.r_[0:700, 704:6000]
    np.testing.assert_allclose(record.signal_mv()[1, kept], (values[1, kept] + 10.0) * 0.0025, atol=2e-4)
    assert np.abs(record.signal_mv()).max() < 5


def test_frames_that_follow_each_other_are_one_recording(tmp_path, ecg_adu, refused):
    values = ecg_adu(2, 1800)
    first = mfer.head(900, leads=("II", "V5")) + mfer.frame(values[:, :900])

    def second(begin):
        return mfer.tag(mfer.PNT, begin.to_bytes(4, "little")) + mfer.frame(values[:, 900:])

    record = read_mfer(mfer.write(tmp_path / "a.mwf", first, second(900)))
    np.testing.assert_allclose(record.signal_mv(), values * 0.0025, atol=1e-9)
    error = refused(read_mfer, mfer.write(tmp_path / "a.mwf", first, second(5000)))
    assert error.kind == "of an unsupported kind"
    assert "begins at sample 5000 where the one before it ends at 900" in str(error)


def test_dominant_beats_are_no_recording(tmp_path, ecg_adu, refused):
    beats = mfer.tag(mfer.WFM, mfer.DOMINANT_BEAT.to_bytes(2, "little"))
    error = refused(read_mfer, mfer.write_twelve(tmp_path / "a.mwf", ecg_adu(12, 300), extra=beats))
    assert error.kind == "without a waveform"


def test_a_lead_without_resolution_is_not_taken_for_millivolt(tmp_path, ecg_adu):
    extra = mfer.channel(0, mfer.tag(mfer.SEN, bytes([1, 0, 1, 0])))  # unit 1: mmHg
    record = read_mfer(mfer.write_twelve(tmp_path / "a.mwf", ecg_adu(12, 300), extra=extra))
    assert record.leads == LEADS[1:]
    assert [fault.lead for fault in record.faults] == ["I"]


def test_a_file_that_is_too_large_is_not_read(tmp_path, ecg_adu, refused):
    path = mfer.write_twelve(tmp_path / "a.mwf", ecg_adu(12, 300))
    os.truncate(path, 2**42)
    assert refused(read_mfer, path).kind == "too long"


def test_a_frame_that_lacks_samples_is_truncated(tmp_path, ecg_adu, refused):
    values = ecg_adu(2, 900)
    for rows in (values[:, :700], values[:, :1]):
        cut = mfer.write(tmp_path / "a.mwf", mfer.head(900, leads=("II", "V5"), block=100), mfer.frame(rows))
        assert refused(read_mfer, cut).kind == "truncated"
