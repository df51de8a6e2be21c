"""Schiller XML: the rhythm, and what is said of the rest."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.formats.schiller_xml import read_schiller_xml
from tests.preprocess.lookalikes import schiller_xml as made


def test_the_rhythm_is_read_in_millivolt_with_its_person(tmp_path, ecg_adu):
    values = ecg_adu(12, 900)
    record = read_schiller_xml(made.write_twelve(tmp_path / "a.xml", values, step="2.5"))
    assert (record.leads, record.fs) == (LEADS, 500)
    np.testing.assert_allclose(record.signal_mv(), values * 0.0025, atol=1e-9)
    assert (record.subject.patient_id, record.subject.sex, record.subject.age) == ("9999", "female", 63.2)
    assert record.report == "Normal sinus rhythm"
    assert record.notes == ("averaged beats are not read",)


def test_of_several_rhythms_the_longest_is_read_and_the_others_are_named(tmp_path, ecg_adu):
    values = ecg_adu(2, 1500)
    short, long = (made.wavedata(made.channel("II", values[0, :n])) for n in (900, 1500))
    record = read_schiller_xml(made.write(tmp_path / "a.xml", made.document(short, long)))
    assert record.n_samples == 1500
    assert "read are 1 of its 2 rhythms: rhythm 2" in "\n".join(record.notes)


@pytest.mark.parametrize("options", [{"written": "BASE64"}, {"announced": 1000}])
def test_a_lead_that_cannot_be_read_costs_no_other(tmp_path, ecg_adu, options):
    values = ecg_adu(2, 900)
    channels = made.channel("I", values[0]) + made.channel("II", values[1], **options)
    record = read_schiller_xml(made.write(tmp_path / "a.xml", made.document(made.wavedata(channels))))
    assert (record.leads, [fault.lead for fault in record.faults]) == (("I",), ["II"])


@pytest.mark.parametrize(
    ("waves", "kind"),
    [
        ("", "without a waveform"),
        (made.wavedata(made.channel("I", [1, "x"])), "malformed"),
        (made.wavedata(made.channel("I", [1, 2], announced=3)), "truncated"),
        (made.wavedata(made.channel("I", [1, 2], written="BASE64")), "of an unsupported kind"),
        (made.wavedata(made.channel("I", [1, 2]), exponent="2"), "malformed"),
        (made.wavedata(made.channel("I", [1, 2]), unit="bpm"), "without a usable lead"),
    ],
)
def test_what_is_not_as_the_format_says_is_refused(tmp_path, refused, waves, kind):
    assert refused(read_schiller_xml, made.write(tmp_path / "a.xml", made.document(waves))).kind == kind


@pytest.mark.shared
def test_a_real_file_obeys_einthoven(shared_dir):
    path = next((shared_dir / "real_ecg").rglob("schiller_xml/*.xml"), None)
    if path is None:
        pytest.skip("no Schiller XML file at hand")
    record = read_schiller_xml(path)
    assert (record.leads, record.fs, record.n_samples) == (LEADS, 500, 5000)
    i, ii, iii = record.signal_mv()[:3]
    assert np.abs(ii - i - iii).max() < 0.02
    assert 0.3 < np.abs(record.signal_mv()).max() < 5
