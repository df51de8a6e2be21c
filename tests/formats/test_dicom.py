"""DICOM waveforms are read as pydicom reads them, or refused with a reason."""

import warnings

import numpy as np
import pydicom
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.formats.dicom import read_dicom


@pytest.fixture(scope="module")
def dicom(lookalike):
    return lookalike("dicom")


def reference_mv(path, index=0, mv_per_unit=1e-3):
    """(T, L) millivolt of a multiplex group, by pydicom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about ids in the recordings at hand
        return pydicom.dcmread(path).waveform_array(index) * mv_per_unit


def test_leads_equal_what_pydicom_gives_and_median_beats_are_left_out(dicom, tmp_path, ecg_adu):
    values = ecg_adu()
    path = dicom.write(tmp_path / "a.dcm", dicom.dataset(dicom.median_beats(), dicom.group(values)))
    record = read_dicom(path)
    assert (record.record_id, record.leads, record.fs) == ("a", LEADS, 500.0)
    np.testing.assert_array_equal(record.signal, values)
    np.testing.assert_allclose(record.signal_mv(), reference_mv(path, 1).T, atol=1e-12)
    assert not record.requantised


@pytest.mark.parametrize(("units", "mv_per_unit"), [("uV", 1e-3), ("mV", 1.0), ("V", 1e3), ("nV", 1e-6)])
@pytest.mark.parametrize(("correction", "baseline"), [(1, 0), (0.98, 0), (1.02, 25.5)])
def test_sensitivity_correction_baseline_and_unit_are_applied(
    dicom, tmp_path, ecg_adu, units, mv_per_unit, correction, baseline
):
    made = dicom.group(ecg_adu(), units=units, sensitivity=2.5, correction=correction, baseline=baseline)
    path = dicom.write(tmp_path / "a.dcm", dicom.dataset(made))
    record = read_dicom(path)
    error = np.abs(record.signal_mv() - reference_mv(path, 0, mv_per_unit).T).max(axis=1)
    assert (error <= record.scale / 2).all()
    assert (error <= 2.5 * correction * mv_per_unit / 2).all()


@pytest.mark.parametrize(
    ("dtype", "interpretation"), [("int8", "SB"), ("uint8", "UB"), ("uint16", "US"), ("int32", "SL")]
)
def test_samples_of_other_widths_are_read(dicom, tmp_path, dtype, interpretation):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 120, (12, 600)).astype(dtype)
    path = dicom.write(tmp_path / "a.dcm", dicom.dataset(dicom.group(values, interpretation=interpretation)))
    np.testing.assert_array_equal(read_dicom(path).signal, values)


@pytest.mark.parametrize(
    "names",
    [
        [f"Lead {lead}" for lead in LEADS],
        ["Lead I (Einthoven)", "Lead II", "Lead III", "aVR, augmented voltage, right", *LEADS[4:]],
    ],
)
def test_leads_of_unknown_codes_are_found_by_their_meaning(dicom, tmp_path, ecg_adu, names):
    made = dicom.group(ecg_adu(), names, coded=False)
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(made)))
    assert record.leads == LEADS


def test_scp_ecg_codes_and_labels_name_leads_too(dicom, tmp_path, ecg_adu):
    made = dicom.group(ecg_adu(3), ["I", "aVF", "x"])
    for definition, code in zip(made.ChannelDefinitionSequence, ("5.6.3-9-2", "5.6.3-9-64", "5.6.3-9-999")):
        (source,) = definition.ChannelSourceSequence
        source.CodingSchemeDesignator, source.CodeValue, source.CodeMeaning = "SCPECG", code, "some lead"
    made.ChannelDefinitionSequence[2].ChannelLabel = "V3"
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(made)))
    assert record.leads == ("II", "aVF", "V3")


def test_eight_leads_become_twelve(dicom, tmp_path, ecg_adu):
    eight = ("I", "II", *LEADS[6:])
    path = dicom.write(tmp_path / "a.dcm", dicom.dataset(dicom.group(ecg_adu(8), eight)))
    record = read_dicom(path)
    assert record.leads == LEADS
    i, ii = reference_mv(path).T[:2]
    np.testing.assert_allclose(record.signal_mv()[2], ii - i, atol=1e-9)
    np.testing.assert_allclose(record.signal_mv()[4], i - ii / 2, atol=1e-9)


def test_groups_of_other_leads_over_the_same_time_are_joined(dicom, tmp_path, ecg_adu):
    values = ecg_adu()
    groups = [dicom.group(values[k : k + 3], LEADS[k : k + 3], label=f"group {k}") for k in (6, 0, 3, 9)]
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(*groups)))
    assert record.leads == LEADS
    np.testing.assert_array_equal(record.signal, values)
    assert record.notes[0].startswith("read are 4 of its 4 multiplex groups: ")


def test_groups_over_other_times_are_not_joined(dicom, tmp_path, ecg_adu):
    values = ecg_adu()
    groups = [
        dicom.group(values[:6], LEADS[:6], offset=0),
        dicom.group(values[6:], LEADS[6:], offset=2500),
        dicom.group(values[:2, :1000], ("V1", "V2"), offset=0),
    ]
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(*groups)))
    assert record.leads == LEADS[:6]
    assert record.notes[0].startswith("read are 1 of its 3 multiplex groups: ")


def test_padding_is_missing(dicom, tmp_path, ecg_adu):
    values = ecg_adu()
    values[4, :70] = -32768
    made = dicom.group(values)
    made.add_new(0x5400100A, "OW", np.int16(-32768).tobytes())
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(made)))
    assert record.faults[0].reason.startswith("70 of 3000 samples are missing (NaN), up to 140 ms at once")


@pytest.mark.parametrize(
    ("elements", "age", "sex"),
    [
        ({}, 47.0, "female"),
        ({"PatientAge": "006M", "PatientSex": "M"}, 0.5, "male"),
        ({"PatientAge": "999Y", "PatientBirthDate": "18600102"}, None, "female"),
        ({"PatientAge": None, "PatientBirthDate": "19600102", "PatientSex": "O"}, 60.0, None),
        ({"PatientAge": "", "PatientBirthDate": "", "PatientSex": ""}, None, None),
    ],
)
def test_the_person_is_read(dicom, tmp_path, ecg_adu, elements, age, sex):
    path = dicom.write(tmp_path / "a.dcm", dicom.dataset(dicom.group(ecg_adu()), **elements))
    subject = read_dicom(path).subject
    assert (subject.age, subject.sex, subject.patient_id) == (age, sex, "4711")


def test_statements_in_words_are_the_report(dicom, tmp_path, ecg_adu):
    made = dicom.dataset(dicom.group(ecg_adu()))
    texts = ["Sinus rhythm", "", "Normal  ECG"]
    notes = [pydicom.Dataset() for _ in texts]
    for note, text in zip(notes, texts):
        note.UnformattedTextValue = text
    made.WaveformAnnotationSequence = pydicom.Sequence(notes)
    assert read_dicom(dicom.write(tmp_path / "a.dcm", made)).report == "Sinus rhythm\nNormal ECG"


def bad_files(dicom, ecg_adu):
    values = ecg_adu()
    whole = dicom.group(values)
    short = dicom.group(values)
    short.NumberOfWaveformSamples = 9999
    bare = dicom.group(values)
    del bare.SamplingFrequency
    less = dicom.group(values)
    less.NumberOfWaveformChannels = 11
    odd = dicom.group(values, interpretation="MB")
    return {
        "truncated": short,
        "malformed": bare,
        "malformed ": less,
        "of an unsupported kind": odd,
        "without any of the 12 leads": dicom.group(values[:2], ["PLETH", "RESP"]),
        "without a waveform": dicom.median_beats(),
        "with zero gain": dicom.group(values, sensitivity=0),
        "without a usable lead": dicom.group(values, sensitivity=None),
        "with an unexpected sampling rate": dicom.group(values, fs=1),
        "": whole,
    }


@pytest.mark.parametrize(
    "kind",
    [
        "truncated", "malformed", "malformed ", "of an unsupported kind", "without any of the 12 leads",
        "without a waveform", "with zero gain", "without a usable lead", "with an unexpected sampling rate",
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_kind(dicom, tmp_path, ecg_adu, refused, kind):
    path = dicom.write(tmp_path / "a.dcm", dicom.dataset(bad_files(dicom, ecg_adu)[kind]))
    assert refused(read_dicom, path).kind == kind.strip()


def test_an_image_or_another_file_is_refused(dicom, tmp_path, ecg_adu, refused):
    image = dicom.write(tmp_path / "image.dcm", dicom.dataset(Modality="CT"))
    error = refused(read_dicom, image)
    assert error.kind == "without a waveform"
    assert "modality CT" in str(error)
    (tmp_path / "text.dcm").write_text("<xml/>")
    assert refused(read_dicom, tmp_path / "text.dcm").kind == "of another format"
    (tmp_path / "empty.dcm").write_bytes(b"")
    assert refused(read_dicom, tmp_path / "empty.dcm").kind == "of another format"
    assert refused(read_dicom, tmp_path / "gone.dcm").kind == "unreadable"


def test_a_file_cut_anywhere_is_refused_or_whole(dicom, tmp_path, ecg_adu):
    from fairseq_signals.errors import SignalError

    values = ecg_adu(12, 100)
    data = dicom.write(tmp_path / "a.dcm", dicom.dataset(dicom.group(values))).read_bytes()
    for size in range(0, len(data), 97):
        (tmp_path / "cut.dcm").write_bytes(data[:size])
        with pytest.raises(SignalError):
            read_dicom(tmp_path / "cut.dcm")


@pytest.mark.shared
def test_real_objects_equal_pydicom(shared_dir):
    paths = sorted((shared_dir / "real_ecg").rglob("*.dcm"))
    if not paths:
        pytest.skip("no DICOM object at hand")
    for path in paths:
        record = read_dicom(path)
        assert record.leads == LEADS
        assert record.subject.patient_id is not None
        error = np.abs(record.signal_mv() - reference_mv(path).T).max(axis=1)
        assert (error <= record.scale / 2).all()
