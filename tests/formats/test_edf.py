"""EDF files are read as their specification and edfio say, or refused with a reason."""

import edfio
import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS, leads_of
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.edf import read_edf


@pytest.fixture(scope="module")
def edf(lookalike):
    return lookalike("edf")


def reference_mv(path, mv_per_unit=1e-3):
    """Millivolt of each lead by edfio's own calibration."""
    signals = edfio.read_edf(path, header_encoding="latin-1").signals
    leads = leads_of([signal.label for signal in signals])
    return {lead and lead.lead: signal.data * mv_per_unit for lead, signal in zip(leads, signals)}


def test_leads_equal_what_edfio_and_the_formula_give(edf, tmp_path, ecg_adu):
    values = ecg_adu()
    path = edf.write(tmp_path / "a.edf", values)
    record = read_edf(path)
    assert (record.record_id, record.leads, record.fs) == ("a", LEADS, 500.0)
    by_formula = ((values + 32768.0) / 65535 * (3276.7 + 3276.8) - 3276.8) / 1000
    assert (np.abs(record.signal_mv() - by_formula).max(axis=1) <= record.scale / 2).all()
    np.testing.assert_array_equal(record.signal, values)
    for lead, mv, scale in zip(record.leads, record.signal_mv(), record.scale):
        assert np.abs(mv - reference_mv(path)[lead]).max() <= scale / 2


@pytest.mark.parametrize(
    ("units", "mv_per_unit"), [("uV", 1e-3), ("mV", 1.0), ("\xb5V", 1e-3), ("\xc2\xb5V", 1e-3), ("V", 1e3)]
)
@pytest.mark.parametrize(
    "physical", [("-5000", "5000"), ("-3276.8", "3276.7"), ("5000", "-5000"), ("-1", "9")]
)
def test_ranges_and_units_are_applied(edf, tmp_path, ecg_adu, units, mv_per_unit, physical):
    path = edf.write(tmp_path / "a.edf", ecg_adu(), units=units, physical=physical)
    record, expected = read_edf(path), reference_mv(path, mv_per_unit)
    for lead, mv, scale in zip(record.leads, record.signal_mv(), record.scale):
        assert np.abs(mv - expected[lead]).max() <= abs(scale) * 0.5001


def test_a_symmetric_range_keeps_the_digital_values(edf, tmp_path, ecg_adu):
    values = ecg_adu()
    digital, physical = ("-32767", "32767"), ("-32.767", "32.767")
    record = read_edf(edf.write(tmp_path / "a.edf", values, units="mV", physical=physical, digital=digital))
    np.testing.assert_array_equal(record.signal, values)
    assert not record.requantised
    np.testing.assert_allclose(record.scale, 0.001)


def test_bdf_has_24_bits(edf, tmp_path):
    values = np.random.default_rng(0).integers(-(2**23), 2**23, (3, 3000))
    path = edf.write(
        tmp_path / "a.bdf", values, ["I", "II", "V1"], physical=("-262144", "262143"),
        digital=("-8388608", "8388607"), reserved="24BIT", bdf=True,
    )  # fmt: skip
    record = read_edf(path)
    assert record.requantised
    expected = ((values + 8388608.0) / 16777215 * 524287 - 262144) / 1000
    assert (np.abs(record.signal_mv() - expected).max(axis=1) <= record.scale / 2 * 1.0001).all()


def test_annotations_and_other_channels_are_left_out(edf, tmp_path, ecg_adu):
    values = ecg_adu(4)
    path = edf.write(
        tmp_path / "a.edf", values, ["ECG I", "ECG II", "Resp chest", "ECG V2-Ref"],
        units=["uV", "uV", "", "uV"], onsets=range(6),
    )  # fmt: skip
    record = read_edf(path)
    assert record.leads == ("I", "II", "V2")
    assert [note.lead for note in record.ignored] == ["Resp chest"]
    np.testing.assert_array_equal(record.signal, values[[0, 1, 3]])


@pytest.mark.parametrize(
    ("text", "note"),
    [(b"+1\x14hi\x14", "1 annotations are not read"), (b"\xff", "its annotations are damaged")],
)
def test_annotations_are_counted_and_damaged_ones_do_not_matter(edf, tmp_path, ecg_adu, text, note):
    path = edf.write(tmp_path / "a.edf", ecg_adu(2), ["I", "II"], onsets=range(6))
    times = b"+0\x14\x14\0"
    path.write_bytes(path.read_bytes().replace(times + bytes(len(text)), times + text, 1))
    record = read_edf(path)
    assert (record.leads, record.notes) == (("I", "II"), (note,))


def test_a_last_data_record_that_is_not_whole_is_said_to_be_left_out(edf, tmp_path, ecg_adu):
    path = edf.write(tmp_path / "a.edf", ecg_adu(2), ["I", "II"])
    path.write_bytes(path.read_bytes() + bytes(300))
    assert read_edf(path).notes == ("its last data record is not whole and is not read",)


def test_data_records_may_have_any_duration(edf, tmp_path, ecg_adu):
    values = ecg_adu(2, 3000)
    record = read_edf(edf.write(tmp_path / "a.edf", values, ["I", "II"], per_record=100, duration="0.25"))
    assert record.fs == 400.0
    np.testing.assert_array_equal(record.signal, values)


def test_a_slower_lead_is_resampled_to_the_fastest(edf, tmp_path):
    t = {fs: np.arange(6 * fs) / fs for fs in (500, 250)}
    sines = [np.round(9000 * np.sin(2 * np.pi * 2 * t[fs])).astype(int) for fs in (500, 250)]
    path = edf.write(
        tmp_path / "a.edf", [*sines, np.arange(60)], ["I", "II", "Resp"], per_record=[500, 250, 10]
    )
    record = read_edf(path)
    assert record.fs == 500
    first, second = record.signal_mv()
    assert np.abs(first - second)[100:-100].max() < 0.01


@pytest.mark.parametrize(
    ("reserved", "patient", "recording", "expected"),
    [
        (
            "EDF+C",
            "MCH-0234567 F 02-MAY-1951 X",
            "Startdate 02-MAY-2001 X X X",
            ("MCH-0234567", "female", 50.0),
        ),
        ("EDF+C", "MRN_7 M X X", "Startdate X X X X", ("MRN 7", "male", None)),
        ("EDF+C", "12.0 M 02-MAY-51 X", "Startdate 02-MAR-2002 X X X", ("12", "male", None)),
        ("EDF+C", "NA M 02-MAY-51 X", "Startdate 02-MAR-02 X X X", (None, "male", None)),
        ("EDF+C", "X X X X", "", (None, None, None)),
        ("EDF+C", "some free text", "", (None, None, None)),
        ("", "12345 F 02-MAY-1951 X", "Startdate 02-MAY-2001", (None, None, None)),
    ],
)
def test_the_person_is_read_from_the_fields_of_edf_plus(
    edf, tmp_path, ecg_adu, reserved, patient, recording, expected
):
    path = edf.write(tmp_path / "a.edf", ecg_adu(), reserved=reserved, patient=patient, recording=recording)
    subject = read_edf(path).subject
    assert (subject.patient_id, subject.sex, subject.age) == expected


def test_an_unknown_number_of_data_records_is_counted(edf, tmp_path, ecg_adu):
    values = ecg_adu()
    record = read_edf(edf.write(tmp_path / "a.edf", values, n_records=-1))
    np.testing.assert_array_equal(record.signal, values)


def test_interrupted_recordings_are_refused_and_others_marked_so_are_read(edf, tmp_path, ecg_adu, refused):
    values = ecg_adu()
    gap = edf.write(tmp_path / "gap.edf", values, reserved="EDF+D", onsets=[0, 1, 2, 9, 10, 11])
    assert refused(read_edf, gap).kind == "of an unsupported kind"
    whole = edf.write(tmp_path / "whole.edf", values, reserved="EDF+D", onsets=range(6))
    np.testing.assert_array_equal(read_edf(whole).signal, values)


@pytest.mark.parametrize("limits", [("5", "5"), ("", ""), ("nan", "nan"), ("low", "high")])
def test_a_lead_without_physical_limits_costs_no_other(edf, tmp_path, ecg_adu, limits):
    physical = [("-3276.8", "3276.7")] * 3 + [limits] + [("-3276.8", "3276.7")] * 8
    record = read_edf(edf.write(tmp_path / "a.edf", ecg_adu(), physical=physical))
    assert record.leads == tuple(lead for lead in LEADS if lead != "aVR")
    assert [fault.lead for fault in record.faults] == ["aVR"]


def test_what_cannot_be_used_is_refused_by_kind(edf, tmp_path, ecg_adu, refused):
    values = ecg_adu()

    def kind_of(name, *arguments, **options):
        path = edf.write(tmp_path / f"{name}.edf", *arguments, **options)
        return refused(read_edf, path).kind

    assert kind_of("cut", values, n_records=7) == "truncated"
    assert kind_of("names", values[:2], ["EEG Fpz", "EOG"]) == "without any of the 12 leads"
    assert kind_of("unit", values, units="%") == "without a usable lead"
    assert kind_of("flat", values * 0) == "without a usable lead"
    assert kind_of("gain", values, digital=("5", "5")) == "with zero gain"
    assert kind_of("range", values, physical=("5", "5")) == "with zero gain"
    assert kind_of("rate", values, duration="100") == "with an unexpected sampling rate"
    assert kind_of("zero", values, duration="0") == "malformed"
    assert kind_of("number", values, digital=("low", "high")) == "with zero gain"
    (tmp_path / "text.edf").write_text("not an EDF file")
    assert refused(read_edf, tmp_path / "text.edf").kind == "of another format"
    (tmp_path / "empty.edf").write_bytes(b"")
    assert refused(read_edf, tmp_path / "empty.edf").kind == "of another format"
    assert refused(read_edf, tmp_path / "gone.edf").kind == "unreadable"


def test_a_file_cut_anywhere_is_refused(edf, tmp_path, ecg_adu):
    data = edf.write(tmp_path / "a.edf", ecg_adu(12, 1000)).read_bytes()
    for size in [*range(0, 256 * 13, 101), *range(256 * 13, len(data), 3001)]:
        (tmp_path / "cut.edf").write_bytes(data[:size])
        with pytest.raises(SignalError):
            read_edf(tmp_path / "cut.edf")


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (256 + 216 * 12, "-1", "signal I has -1 samples a data record"),
        (256 + 216 * 12, "99999999", "is truncated"),
        (236, "99999999", "is truncated"),
        (184, "0", "its header says it has 0 bytes for 12 signals"),
        (184, "99999999", "is not as EDF says"),
        (252, "9999", "is not as EDF says"),
        (244, "1e-300", "sampling rate"),
    ],
)
def test_counts_that_cannot_be_are_refused(place, value, why, lookalike, tmp_path, ecg_adu, refused):
    path = lookalike("edf").write(tmp_path / "a.edf", ecg_adu(12, 2000), per_record=50, duration="0.1")
    data, size = path.read_bytes(), 4 if place == 252 else 8
    path.write_bytes(data[:place] + value.ljust(size).encode() + data[place + size :])
    assert why in str(refused(read_edf, path))
