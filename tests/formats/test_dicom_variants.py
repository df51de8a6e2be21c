"""DICOM waveforms as other writers store them: byte orders, no preamble, odd codes, skew, many groups."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.detect import detect_reader, is_dicom
from fairseq_signals.formats.dicom import read_dicom


@pytest.fixture(scope="module")
def dicom(lookalike):
    return lookalike("dicom")


@pytest.mark.parametrize(
    ("dtype", "kind", "in_words"),
    [("i2", "SS", False), ("u2", "US", False), ("i4", "SL", False), ("i1", "SB", False), ("i1", "SB", True)],
)
def test_big_endian_files_have_the_same_samples_and_padding(dicom, tmp_path, dtype, kind, in_words):
    values = np.random.default_rng(0).integers(1, 120, (12, 600)).astype(dtype)
    values[:, -30:] = 77
    made = dicom.group(values, interpretation=kind)
    made.add_new(0x5400100A, "OW", np.array([77, 77], dtype).tobytes())
    record = read_dicom(dicom.write_big_endian(tmp_path / "a.dcm", dicom.dataset(made), in_words))
    np.testing.assert_array_equal(record.signal, values[:, :570])


@pytest.mark.parametrize("what", ["nothing", "preamble", "meta", "big-endian meta"])
def test_files_without_preamble_or_meta_information_are_read(dicom, tmp_path, ecg_adu, what):
    values = ecg_adu(12, 600)
    write = dicom.write_big_endian if what.startswith("big") else dicom.write
    whole = write(tmp_path / "a.dcm", dicom.dataset(dicom.group(values))).read_bytes()
    begin = (
        132
        if what == "preamble"
        else whole.index(b"\x00\x08\x00\x16" if "big" in what else b"\x08\0\x16\0UI")
    )
    path = tmp_path / "1.2.840"
    path.write_bytes(whole if what == "nothing" else whole[begin:])
    assert detect_reader(path) == "dicom"
    np.testing.assert_array_equal(read_dicom(path).signal, values)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x08\0\x05\0CS\x0a\0ISO_IR 100",
        b"I\tII\n0.1\t0.2\n" * 50,
        np.arange(2000, dtype="<i2").tobytes(),
        np.tile(np.arange(8, 20, dtype="<i2"), 99).tobytes(),
        bytes(4096),
    ],
)
def test_other_bytes_are_not_taken_for_dicom(head):
    assert not is_dicom(head)


@pytest.mark.parametrize(
    ("scheme", "value", "meaning", "label", "lead"),
    [
        ("MDC", "2:65", "-aVR", "", "-aVR"),
        ("SCPECG", "5.6.3-9-65", "", "", "-aVR"),
        ("MDC", "MDC_ECG_LEAD_V4", "", "", "V4"),
        ("MDC", "2:999", "MDC_ECG_LEAD_AVL", "", "aVL"),
        ("99CART", "V3", "third chest electrode", "", "V3"),
        ("99CART", "7", "7", "Lead V1", "V1"),
        ("", "2:2", "", "", "II"),
        ("MDC", " 2:64 ", "", "", "aVF"),
        ("MDC", "62", "", "", "aVR"),
        ("MDC", str(2 * 2**16 + 5), "", "", "V3"),
        ("MDC", str(4 * 2**16 + 5), "", "", None),
        ("SCPECG", "65", "", "", "-aVR"),
        ("99CART", "x", "aVR, inverted", "", None),
        ("99CART", "2:1", "", "", None),
        ("99CART", "3", "3", "3", None),
        ("", "", "", "", None),
    ],
)
def test_leads_are_what_codes_of_a_known_scheme_say_or_names(
    dicom, tmp_path, ecg_adu, scheme, value, meaning, label, lead
):
    values = ecg_adu(2, 600)
    made = dicom.group(values, ["I", "other"])
    (definition,) = made.ChannelDefinitionSequence[1:]
    (source,) = definition.ChannelSourceSequence
    source.CodingSchemeDesignator, source.CodeValue, source.CodeMeaning = scheme, value, meaning
    definition.ChannelLabel = label
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(made)))
    if lead is None:
        assert record.leads == ("I",)
        assert [note.lead for note in record.ignored] == [meaning or value or "channel 2"]
    else:
        assert record.leads == ("I", lead.lstrip("-"))
        np.testing.assert_array_equal(
            record.signal_mv()[1] > 0, (values[1] if lead[0] != "-" else -values[1]) > 0
        )


def test_groups_of_another_rate_or_a_sample_shorter_are_joined(dicom, tmp_path, ecg_adu):
    values = ecg_adu(12, 1500)
    for limb in (dicom.group(values[:6, ::2], LEADS[:6], fs=250), dicom.group(values[:6, :-1], LEADS[:6])):
        record = read_dicom(
            dicom.write(tmp_path / "a.dcm", dicom.dataset(limb, dicom.group(values[6:], LEADS[6:])))
        )
        assert (record.leads, record.fs) == (LEADS, 500)
        np.testing.assert_array_equal(record.signal[6:], values[6:, : record.n_samples])


def test_of_a_page_of_groups_the_strip_is_read_and_every_other_lead_named(dicom, tmp_path, ecg_adu):
    values = ecg_adu(12, 500)
    groups = [dicom.group(values[k : k + 3], LEADS[k : k + 3], offset=1000 * k // 3) for k in range(0, 12, 3)]
    strip = dicom.group(ecg_adu(1, 2000), ["II"], offset=0, label="strip")
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(*groups, strip)))
    assert (record.leads, record.n_samples) == (("II",), 2000)
    assert [lead for lead, _ in record.faults] == [lead for lead in LEADS if lead != "II"]
    reason = "it lasts 1 s, and what is read 4 s"
    assert record.ignored == (("II of multiplex group 1 (RHYTHM)", reason),)


def test_channels_of_a_group_that_begin_apart_are_aligned(dicom, tmp_path, ecg_adu):
    values = ecg_adu(3, 600)
    made = dicom.group(values, ("I", "II", "III"))
    for definition, skew in zip(made.ChannelDefinitionSequence, (0, 2, 0)):
        definition.ChannelSampleSkew = skew
    made.ChannelDefinitionSequence[2].ChannelTimeSkew = 0.0002
    made.ChannelDefinitionSequence[2].ChannelOffset = 0.5
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(made)))
    np.testing.assert_array_equal(record.signal, [values[0, 2:], values[1, :-2], values[2, 2:]])
    assert set(record.notes) == {
        "parts that begin or end up to 4 ms apart are cut to the time they share",
        "III: its ChannelOffset of 0.5 is not applied",
    }


def test_fewer_bits_without_repeated_sign_are_signed(dicom, tmp_path, ecg_adu):
    values = np.clip(ecg_adu(2, 600), -2000, 2000)
    made = dicom.group(values & 0xFFF, ("I", "II"))
    for definition in made.ChannelDefinitionSequence:
        definition.WaveformBitsStored = 12
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(made)))
    np.testing.assert_array_equal(record.signal, values)
    assert record.notes[0] == "I: the sign of its 12-bit samples is taken from the highest of them"


def test_fewer_bits_around_the_middle_of_their_range_stay_as_they_are(dicom, tmp_path, ecg_adu):
    values = np.clip(ecg_adu(2, 600), -900, 900)
    made = dicom.group((values + 2048).astype(np.int16), ("I", "II"), baseline=-2048 * 4.88)
    for definition in made.ChannelDefinitionSequence:
        definition.WaveformBitsStored = 12
    record = read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(made)))
    np.testing.assert_allclose(record.signal_mv(), values * 0.00488, atol=1e-6)


def test_channels_without_definition_and_odd_character_sets_are_no_reason_to_refuse(dicom, tmp_path, ecg_adu):
    made = dicom.group(ecg_adu(3, 600), ("I", "II"))
    path = dicom.write(tmp_path / "a.dcm", dicom.dataset(made, SpecificCharacterSet="ISO_IR 100"))
    path.write_bytes(
        path.read_bytes().replace(b"ISO_IR 100", b"UTF-8 NO  ").replace(b"Doe^Jane", b"D\xf6\xe9^Jan\xff")
    )
    record = read_dicom(path)
    assert record.leads == ("I", "II")
    assert [note.lead for note in record.ignored] == ["channel 3"]


@pytest.mark.parametrize("kind", ["MB", "AB"])
def test_companded_samples_are_refused_by_name(dicom, tmp_path, kind):
    made = dicom.group(np.ones((1, 60), np.uint8), ["I"], interpretation=kind)
    with pytest.raises(SignalError, match=f"8 bits in {kind} .(mu|A)-law. cannot") as raised:
        read_dicom(dicom.write(tmp_path / "a.dcm", dicom.dataset(made)))
    assert raised.value.kind == "of an unsupported kind"
