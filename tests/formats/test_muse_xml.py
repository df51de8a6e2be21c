"""MUSE exports are read as their elements say and as ecgdatakit reads them, or refused with a reason."""

import base64
import contextlib

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.muse_xml import read_muse_xml


@pytest.fixture(scope="module")
def muse(lookalike):
    return lookalike("muse_xml")


def one_lead(muse, values, base="500", exponent="0", **options):
    return muse.document(muse.waveform(muse.lead("I", values, **options), base=base, exponent=exponent))


def test_eight_leads_are_kept_bit_for_bit_and_twelve_given(muse, tmp_path, ecg_adu):
    values = ecg_adu(8, 5000)
    record = read_muse_xml(muse.write_eight(tmp_path / "a.xml", values))
    assert (record.record_id, record.leads, record.fs) == ("a", LEADS, 500.0)
    np.testing.assert_array_equal(record.signal[[0, 1, *range(6, 12)]], values)
    np.testing.assert_allclose(record.scale[[0, 1, 6]], 0.00488)
    assert record.derived == ("III", "aVR", "aVL", "aVF")
    i, ii = values[:2] * 0.00488
    expected = [ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2]
    np.testing.assert_allclose(record.signal_mv()[2:6], expected, atol=1e-9)
    assert not record.requantised


def test_leads_equal_what_ecgdatakit_reads(muse, tmp_path, ecg_adu):
    toolkit = pytest.importorskip("ecgdatakit.parsing.parsers.ge_muse_xml")
    path = muse.write_eight(tmp_path / "a.xml", ecg_adu(8, 5000))
    record, reference = read_muse_xml(path), toolkit.GEMuseXMLParser().parse(path)
    assert len(reference.leads) == 8
    for lead in reference.leads:
        mv = lead.samples * lead.resolution / 1000
        np.testing.assert_allclose(record.signal_mv()[record.leads.index(lead.label)], mv, atol=1e-12)
    assert record.subject.patient_id == reference.patient.patient_id
    assert record.report == "\n".join(line for line, _ in reference.interpretation.statements)


def test_a_file_of_twelve_leads_keeps_its_own_limb_leads(muse, tmp_path, ecg_adu):
    values = ecg_adu(12, 3000)
    text = muse.document(muse.waveform("".join(map(muse.lead, LEADS, values))))
    record = read_muse_xml(muse.write(tmp_path / "a.xml", text))
    np.testing.assert_array_equal(record.signal, values)
    assert not record.derived


@pytest.mark.parametrize(
    ("options", "mv_per_unit"),
    [
        ({"units_per_bit": "5"}, 0.005),
        ({"units_per_bit": "0.0025", "units": "MILLIVOLTS"}, 0.0025),
        ({"units_per_bit": "4,88"}, 0.00488),
        ({"size": 4}, 0.00488),
    ],
)
def test_units_and_sizes_of_samples_are_applied(muse, tmp_path, ecg_adu, options, mv_per_unit):
    (values,) = ecg_adu(1, 3000)
    record = read_muse_xml(muse.write(tmp_path / "a.xml", one_lead(muse, values, **options)))
    np.testing.assert_allclose(record.signal_mv()[0], values * mv_per_unit, atol=1e-9)


@pytest.mark.parametrize(("base", "exponent", "fs"), [("250", "0", 250), ("5", "2", 500), ("1000", "", 1000)])
def test_the_rate_has_a_decimal_exponent(muse, tmp_path, ecg_adu, base, exponent, fs):
    (values,) = ecg_adu(1, 3000)
    text = one_lead(muse, values, base=base, exponent=exponent)
    assert read_muse_xml(muse.write(tmp_path / "a.xml", text)).fs == fs


def test_rhythm_waveforms_of_other_leads_are_joined_and_what_is_not_is_named(muse, tmp_path, ecg_adu):
    values = ecg_adu(12, 3000)
    halves = [muse.waveform("".join(map(muse.lead, LEADS[k : k + 6], values[k:]))) for k in (0, 6)]
    path = muse.write(tmp_path / "a.xml", muse.document(muse.medians(), *halves))
    record = read_muse_xml(path)
    np.testing.assert_array_equal(record.signal, values)
    assert set(record.notes) == {
        "averaged beats are not read",
        "read are 2 of its 2 rhythm waveforms: rhythm waveform 1, rhythm waveform 2",
    }
    longer = muse.waveform(muse.lead("V1", ecg_adu(1, 5000)[0]))
    record = read_muse_xml(muse.write(path, muse.document(halves[0], longer)))
    assert record.leads == LEADS[:6]
    assert record.faults == (("V1", "in rhythm waveform 2, it lasts 10 s, and what is read 6 s"),)


def test_base64_may_have_blanks_breaks_and_padding_anywhere(muse, tmp_path, ecg_adu):
    (values,) = ecg_adu(1, 1001)
    lead = muse.lead("I", values)
    encoded = lead.partition("<WaveFormData>")[2].partition("</WaveFormData>")[0]
    whole = "".join(encoded.split())
    halves = base64.b64encode(values[:500].astype("<i2")), base64.b64encode(values[500:].astype("<i2"))
    variants = [
        whole.rstrip("="),
        f"{whole.rstrip('=')}====",
        " ".join(whole),
        "\n\t".join(h.decode() for h in halves),
    ]
    for variant in variants:
        text = muse.document(muse.waveform(lead.replace(encoded, variant)))
        np.testing.assert_array_equal(read_muse_xml(muse.write(tmp_path / "a.xml", text)).signal[0], values)


@pytest.mark.parametrize(
    ("person", "age", "sex", "patient_id"),
    [
        ({}, 63, "female", "000123456"),
        ({"PatientAge": "6", "AgeUnits": "MONTHS", "Gender": "MALE"}, 0.5, "male", "000123456"),
        ({"PatientAge": "999", "DateofBirth": "", "PatientID": "N/A"}, None, "female", None),
        ({"PatientAge": "3", "AgeUnits": "fortnights"}, 63.2, "female", "000123456"),
        ({"PatientAge": "", "Gender": "UNKNOWN", "PatientID": ""}, 63.2, None, None),
        ({"PatientAge": "", "DateofBirth": "", "Gender": ""}, None, None, "000123456"),
    ],
)
def test_the_person_is_read(muse, tmp_path, ecg_adu, person, age, sex, patient_id):
    subject = read_muse_xml(muse.write_eight(tmp_path / "a.xml", ecg_adu(8), **person)).subject
    assert (subject.age, subject.sex, subject.patient_id) == (age, sex, patient_id)


def test_the_statements_are_the_report_a_line_each(muse, tmp_path, ecg_adu):
    record = read_muse_xml(muse.write_eight(tmp_path / "a.xml", ecg_adu(8)))
    assert record.report == "Normal sinus rhythm\nLeft axis deviation, consider hemiblock"


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("UTF-8", None), ("UTF-16", None), ("ISO-8859-1", None), ("ISO-8859-1", "UTF-8"), ("UTF-8", "no-such")],
)
def test_any_encoding_is_read_even_a_wrongly_declared_one(muse, tmp_path, ecg_adu, encoding, declared):
    (values,) = ecg_adu(1, 3000)
    path = muse.write(tmp_path / "a.xml", one_lead(muse, values), encoding, declared)
    np.testing.assert_array_equal(read_muse_xml(path).signal[0], values)


def test_entities_are_not_expanded(muse, tmp_path, refused):
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;">]><RestingECG>&y;</RestingECG>'
    (tmp_path / "bomb.xml").write_text(bomb)
    assert refused(read_muse_xml, tmp_path / "bomb.xml").kind == "of an unsupported kind"
    outside = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><RestingECG>&x;</RestingECG>'
    (tmp_path / "outside.xml").write_text(outside)
    assert refused(read_muse_xml, tmp_path / "outside.xml").kind == "of an unsupported kind"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda lead: lead.replace("<WaveFormData>\n", "<WaveFormData>\n*?"),
            "the samples of lead V2 are not",
        ),
        (
            lambda lead: lead.replace("<LeadSampleSize>2", "<LeadSampleSize>3"),
            "the samples of lead V2 are not",
        ),
        (lambda lead: lead[: lead.index("<WaveFormData>")] + "</LeadData>", "truncated: it holds 0 samples"),
    ],
)
def test_a_lead_that_cannot_be_decoded_costs_no_other(muse, tmp_path, ecg_adu, change, reason):
    leads = [muse.lead(name, row) for name, row in zip(muse.EIGHT, ecg_adu(8, 1000))]
    leads[3] = change(leads[3])
    text = muse.document(muse.waveform("".join(leads)))
    record = read_muse_xml(muse.write(tmp_path / "a.xml", text))
    assert record.leads == tuple(lead for lead in LEADS if lead != "V2")
    assert [fault.lead for fault in record.faults] == ["V2"]
    assert reason in record.faults[0].reason


def test_what_cannot_be_used_is_refused_by_kind(muse, tmp_path, ecg_adu, refused):
    (values,) = ecg_adu(1, 3000)

    def kind_of(text):
        return refused(read_muse_xml, muse.write(tmp_path / "a.xml", text)).kind

    good = one_lead(muse, values)
    assert kind_of(muse.document()) == "without a waveform"
    assert kind_of(muse.document(muse.medians())) == "without a waveform"
    assert kind_of(muse.document(muse.waveform(""))) == "without any of the 12 leads"
    assert kind_of(one_lead(muse, values, announced=5000)) == "truncated"
    assert kind_of(good[: len(good) // 2]) == "truncated"
    assert kind_of(good.replace("</Waveform>", "</Wave>")) == "malformed"
    assert kind_of(good.replace("<SampleBase>500", "<SampleBase>")) == "malformed"
    assert kind_of(good.replace("<WaveFormData>\n", "<WaveFormData>\n*?")) == "malformed"
    assert kind_of(good.replace("<LeadSampleSize>2", "<LeadSampleSize>3")) == "malformed"
    assert kind_of(one_lead(muse, values, units_per_bit="0")) == "with zero gain"
    assert kind_of(one_lead(muse, values, units="COUNTS")) == "without a usable lead"
    assert kind_of(one_lead(muse, values, units_per_bit="")) == "without a usable lead"
    assert kind_of(one_lead(muse, values, base="0")) == "with an unexpected sampling rate"
    assert kind_of(good.replace("RestingECG>", "AnnotatedECG>")) == "of another format"


def test_another_file_is_told_by_its_root(muse, tmp_path, refused):
    (tmp_path / "a.xml").write_text('<restingecgdata xmlns="http://www3.medical.philips.com"/>')
    error = refused(read_muse_xml, tmp_path / "a.xml")
    assert "is not a GE MUSE XML file but a Philips XML file" in str(error)
    assert "use preprocess/philips_xml.py" in str(error)
    (tmp_path / "a.xml").write_text("no XML at all")
    assert refused(read_muse_xml, tmp_path / "a.xml").kind == "of another format"
    (tmp_path / "a.xml").write_bytes(b"")
    assert refused(read_muse_xml, tmp_path / "a.xml").kind == "of another format"
    assert refused(read_muse_xml, tmp_path / "gone.xml").kind == "unreadable"


def test_a_file_cut_anywhere_is_refused(muse, tmp_path, ecg_adu):
    data = muse.write_eight(tmp_path / "a.xml", ecg_adu(8, 200)).read_bytes()
    for size in range(0, len(data) - 2, 173):
        (tmp_path / "cut.xml").write_bytes(data[:size])
        with pytest.raises(SignalError):
            read_muse_xml(tmp_path / "cut.xml")


@pytest.mark.parametrize("number", ["nan", "1e400", "-inf", "999", "-999", "1e308", "-1"])
def test_numbers_at_their_limits_are_refused_or_leave_out_the_lead(muse, tmp_path, ecg_adu, number):
    values = ecg_adu(8, 50)
    leads = [muse.lead(name, row) for name, row in zip(muse.EIGHT, values)]
    odd = [
        muse.waveform("".join(leads), base=number),
        muse.waveform("".join(leads), exponent=number),
        *(muse.waveform("".join([muse.lead("I", values[0], **how), *leads[1:]]))
          for how in ({"units_per_bit": number}, {"announced": number})),
        muse.waveform("".join(leads).replace("<LeadSampleSize>2", f"<LeadSampleSize>{number}")),
    ]  # fmt: skip
    for waveform in odd:
        with contextlib.suppress(SignalError):
            read_muse_xml(muse.write(tmp_path / "a.xml", muse.document(waveform)))
