"""ISHNE Holter files, each field checked against the byte table of the standard."""

import os
import struct

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from tests.preprocess.lookalikes import ishne

pytest.importorskip("ecgdatakit", reason="ecgdatakit needs Python 3.11 beside fairseq")

from fairseq_signals.formats.ishne import read_ishne
from fairseq_signals.formats.options import read_options


@pytest.fixture
def values(ecg_adu):
    return ecg_adu(3, 900)


def test_leads_and_persons_are_where_table_1_has_them(tmp_path):
    """Written with nothing but offsets and sizes: two leads, V5 (code 15) at 500 nV and II (6) at 2000 nV."""
    data = bytearray(522)
    data[:8] = b"ISHNE1.0"
    struct.pack_into("<4i", data, 10, 0, 600, 522, 522)
    data[108:114] = b"A-0815"
    struct.pack_into("<2h", data, 128, 1, 0)  # male
    struct.pack_into("<6h", data, 132, 1, 2, 1950, 1, 2, 2000)  # born, recorded: day, month, year
    struct.pack_into("<12h", data, 158 - 2, 2, 15, 6, *[-9] * 9)  # how many, which
    struct.pack_into("<2h", data, 206, 500, 2000)
    struct.pack_into("<h", data, 272, 200)
    samples = np.array([np.arange(600), np.arange(600) % 7]).T  # (T, L), lead after lead
    (tmp_path / "a.ecg").write_bytes(bytes(data) + samples.astype("<i2").tobytes())
    record = read_ishne(tmp_path / "a.ecg")
    assert (record.leads, record.fs, record.n_samples) == (("II", "V5"), 200, 600)
    np.testing.assert_allclose(record.signal_mv(), [samples[:, 1] * 0.002, samples[:, 0] * 0.0005], atol=1e-9)
    subject = record.subject
    assert (subject.patient_id, subject.sex, subject.age) == ("A-0815", "male", 50)


def test_each_lead_has_its_code_and_resolution(tmp_path, ecg_adu):
    values = ecg_adu(12, 900)
    steps = [1000 + 250 * k for k in range(12)]
    record = read_ishne(ishne.write(tmp_path / "a.ecg", values, resolution_nv=steps, comment=b"a note\0"))
    assert record.leads == LEADS
    np.testing.assert_allclose(record.signal_mv(), values * np.array(steps)[:, None] * 1e-6, atol=1e-9)


def test_leads_of_no_name_are_ignored_unless_the_user_says_which_they_are(tmp_path, values):
    path = ishne.write(tmp_path / "a.ecg", values, ("unknown", "II", "bipolar"))
    record = read_ishne(path)
    assert record.leads == ("II",)
    assert [note.lead for note in record.ignored] == ["Lead 1", "Lead 3"]
    said = read_ishne(path, options=read_options({"Lead 1": "V1", "Lead 3": "V5"}))
    assert said.leads == ("II", "V1", "V5")


def test_samples_of_a_lead_fault_are_missing(tmp_path, ecg_adu):
    values = ecg_adu(2, 6000)
    values[1, 50:53] = ishne.FAULT
    record = read_ishne(ishne.write(tmp_path / "a.ecg", values, ("II", "V5")))
    assert record.leads == ("II", "V5")
    assert np.abs(record.signal_mv()).max() < 3
    values[1, 3000:] = ishne.FAULT
    record = read_ishne(ishne.write(tmp_path / "a.ecg", values, ("II", "V5")))
    assert record.leads == ("II",)
    assert [fault.lead for fault in record.faults] == ["V5"]


def test_a_lead_without_resolution_leaves_the_others(tmp_path, values):
    record = read_ishne(
        ishne.write(tmp_path / "a.ecg", values, ("I", "II", "V1"), resolution_nv=[2500, 0, 2500])
    )
    assert record.leads == ("I", "V1")
    assert [fault.lead for fault in record.faults] == ["II"]


def test_a_file_that_ends_early_is_refused_and_other_counts_are_noted(tmp_path, values, refused):
    error = refused(read_ishne, ishne.write(tmp_path / "a.ecg", values, ("I", "II", "V1"), n_announced=901))
    assert error.kind == "truncated"
    assert "holds 900 samples per lead, but announces 901" in str(error)
    for n_announced, n_notes in (
        (900, 0),
        (2700, 1),
        (100, 1),
    ):  # some writers count the samples of all leads
        record = read_ishne(
            ishne.write(tmp_path / "a.ecg", values, ("I", "II", "V1"), n_announced=n_announced)
        )
        assert record.n_samples == 900
        assert len(record.notes) == n_notes


def test_what_a_file_claims_is_held_against_a_limit_before_it_is_read(tmp_path, values, refused):
    path = ishne.write(tmp_path / "a.ecg", values, ("I", "II", "V1"))
    data = bytearray(path.read_bytes())
    os.truncate(path, 2**42)  # 4 TiB of nothing
    assert "announces 2,199,023,255,291 samples, but at most" in str(refused(read_ishne, path))
    struct.pack_into("<i", data, 10, 2**31 - 1)
    path.write_bytes(data)
    assert "the block of comments of a.ecg has 2,147,484,169 bytes" in str(refused(read_ishne, path))


def test_a_wrong_checksum_of_the_header_marks_the_leads_as_damaged(tmp_path, values):
    record = read_ishne(ishne.write(tmp_path / "a.ecg", values, ("I", "II", "V1"), checksum=1))
    assert [note.lead for note in record.damaged] == ["I", "II", "V1"]
    assert not read_ishne(ishne.write(tmp_path / "a.ecg", values, ("I", "II", "V1"), checksum=0)).damaged
