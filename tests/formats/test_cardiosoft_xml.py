"""GE CardioSoft XML: the strips, and what is said of the rest."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.formats.cardiosoft_xml import read_cardiosoft_xml
from tests.preprocess.lookalikes import cardiosoft_xml as made


def test_a_strip_is_read_in_millivolt_with_its_person(tmp_path, ecg_adu):
    values = ecg_adu(12, 900)
    record = read_cardiosoft_xml(made.write_twelve(tmp_path / "a.xml", values))
    assert (record.leads, record.fs) == (LEADS, 500)
    np.testing.assert_allclose(record.signal_mv(), values * 0.005, atol=1e-9)
    assert (record.subject.patient_id, record.subject.sex, record.subject.age) == ("9999", "female", 63)
    assert record.report == "Normal sinus rhythm\nAbnormal ECG"
    assert record.notes == ("averaged beats are not read",)


def test_the_unit_is_that_of_the_file(tmp_path, ecg_adu):
    values = ecg_adu(12, 900)
    text = made.document(made.strip(values, resolution="0,005", units="mVperLsb"))
    np.testing.assert_allclose(
        read_cardiosoft_xml(made.write(tmp_path / "a.xml", text)).signal_mv(), values * 0.005, atol=1e-9
    )


def test_of_several_strips_the_longest_is_read_and_the_others_are_named(tmp_path, ecg_adu):
    long, short = ecg_adu(12, 1500), ecg_adu(12, 900, 1)
    full = "<FullDisclosure><FullDisclosureData>1,2,</FullDisclosureData></FullDisclosure>"
    text = made.document(*map(made.strip, (short, long)), more=full)
    record = read_cardiosoft_xml(made.write(tmp_path / "a.xml", text))
    np.testing.assert_allclose(record.signal_mv(), long * 0.005, atol=1e-9)
    said = "\n".join(record.notes)
    assert "read are 1 of its 2 strips: strip 2" in said
    assert "full disclosure is not read" in said


@pytest.mark.parametrize("bad", [[1, 2], ["x"] * 900])
def test_a_lead_that_cannot_be_read_costs_no_other(tmp_path, ecg_adu, bad):
    rows = list(ecg_adu(12, 900))
    rows[7] = bad
    path = made.write(tmp_path / "a.xml", made.document(made.strip(rows)))
    record = read_cardiosoft_xml(path)
    assert record.leads == tuple(lead for lead in LEADS if lead != "V2")
    assert [fault.lead for fault in record.faults] == ["V2"]


@pytest.mark.parametrize(
    ("strip", "kind"),
    [
        ("", "without a waveform"),
        (made.strip([[1, "x"]], ("I",)), "malformed"),
        (made.strip([[1, 2]], ("I",), announced=3), "truncated"),
        (made.strip([[1, 2]], ("I",), fs=""), "malformed"),
        (made.strip([[1, 2]], ("I",), units="mmHg"), "without a usable lead"),
    ],
)
def test_what_is_not_as_the_format_says_is_refused(tmp_path, refused, strip, kind):
    path = made.write(tmp_path / "a.xml", made.document(strip))
    assert refused(read_cardiosoft_xml, path).kind == kind
