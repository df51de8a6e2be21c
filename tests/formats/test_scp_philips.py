"""SCP-ECG and Philips XML through ecgdatakit: as they were written, and as the same recording is in aECG."""

import contextlib
import struct

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import SignalError

pytest.importorskip("ecgdatakit", reason="ecgdatakit needs Python 3.11 beside fairseq")

from fairseq_signals.formats.scp_philips import read_philips_xml, read_scp


@pytest.fixture(scope="module")
def scp(lookalike):
    return lookalike("scp")


@pytest.fixture(scope="module")
def philips(lookalike):
    return lookalike("philips_xml")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_rhythm_data_are_read_as_they_were_written(scp, tmp_path, ecg_adu, order, compressed):
    values = ecg_adu(12, 1500)
    record = read_scp(scp.write(tmp_path / "a.scp", values, order=order, compressed=compressed))
    assert (record.record_id, record.leads, record.fs) == ("a", LEADS, 500.0)
    np.testing.assert_array_equal(record.signal, values)
    np.testing.assert_allclose(record.scale, 0.0025)
    assert not record.damaged


@pytest.mark.parametrize("compressed", [False, True])
def test_reference_beats_are_added_where_they_were_subtracted(scp, tmp_path, ecg_adu, compressed):
    values, beat = ecg_adu(12, 3000), ecg_adu(12, 300, seed=1)
    path = scp.write(
        tmp_path / "a.scp",
        values,
        beat=beat,
        beat_positions=[100, 1000, 2100],
        order=2,
        compressed=compressed,
    )
    np.testing.assert_array_equal(read_scp(path).signal, values)


def test_large_jumps_take_the_escape_codes(scp, tmp_path):
    values = np.random.default_rng(0).integers(-9000, 9000, (2, 500))
    record = read_scp(scp.write(tmp_path / "a.scp", values, ("I", "V6"), order=1, compressed=True))
    np.testing.assert_array_equal(record.signal, values)


@pytest.mark.parametrize(("avm", "interval_us"), [(1000, 4000), (4880, 1000), (153, 3906)])
def test_multiplier_and_interval_are_applied(scp, tmp_path, ecg_adu, avm, interval_us):
    values = ecg_adu(12, 1500)
    record = read_scp(scp.write(tmp_path / "a.scp", values, avm=avm, interval_us=interval_us))
    np.testing.assert_allclose(record.signal_mv(), values * (avm / 1e6), atol=1e-9)
    assert record.fs == pytest.approx(1e6 / interval_us, abs=1e-5)


def test_eight_leads_become_twelve_and_others_are_noted(scp, tmp_path, ecg_adu):
    eight = ("I", "II", *LEADS[6:], "V7")
    record = read_scp(scp.write(tmp_path / "a.scp", ecg_adu(9, 1500), eight))
    assert record.leads == LEADS
    assert [note.lead for note in record.ignored] == ["V7"]


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ({}, ("4711", 63, "female")),
        ({"age": None, "sex": 1}, ("4711", 63, "male")),
        ({"age": (18, "months")}, ("4711", 1.5, "female")),
        ({"age": (999, "years"), "born": None, "patient_id": "N/A"}, (None, None, "female")),
        ({"patient_id": "", "age": None, "born": None, "sex": 0}, (None, None, None)),
    ],
)
def test_the_person_is_read(scp, tmp_path, ecg_adu, who, expected):
    subject = read_scp(scp.write(tmp_path / "a.scp", ecg_adu(12, 1500), **who)).subject
    assert (subject.patient_id, subject.age, subject.sex) == expected


def test_leads_that_start_at_other_samples_are_not_glued(scp, tmp_path, ecg_adu):
    starts = [1, 1, 1, 1501, 1501, 1501, 1501, 1501, 1501, 3001, 3001, 3001]
    record = read_scp(scp.write(tmp_path / "a.scp", ecg_adu(12, 1500), starts=starts))
    assert record.leads == ("aVR", "aVL", "aVF", "V1", "V2", "V3")
    reasons = dict(record.faults)
    assert list(reasons) == ["I", "II", "III", "V4", "V5", "V6"]
    assert reasons["V6"] == "in V4, V5, V6, recorded at another time: 6 s to 9 s; what is read: 3 s to 6 s"


def test_leads_of_one_name_are_the_same_lead(scp, tmp_path, ecg_adu):
    values = ecg_adu(3, 1500)
    path = scp.write(tmp_path / "a.scp", values, ("II", "II", "V1"), starts=[1, 1501, 1501])
    record = read_scp(path)
    np.testing.assert_array_equal(record.signal, values[1:])
    assert record.ignored[0].lead == "II of II"


def test_a_wrong_checksum_is_noted(scp, tmp_path, ecg_adu):
    record = read_scp(scp.write(tmp_path / "a.scp", ecg_adu(12, 1500), checksum=1))
    assert record.leads == LEADS
    assert len(record.damaged) == 12


def test_what_cannot_be_used_is_refused_by_kind(scp, tmp_path, ecg_adu, refused):
    values = ecg_adu(12, 1500)

    def kind_of(*arguments, **options):
        return refused(read_scp, scp.write(tmp_path / "a.scp", *arguments, **options)).kind

    assert kind_of(values, bimodal=True) == "of an unsupported kind"
    assert kind_of(values[:2], ("V7", "X")) == "without any of the 12 leads"
    assert kind_of(values * 0) == "without a usable lead"
    assert kind_of(values, avm=0) == "without a usable lead"
    assert kind_of(values, interval_us=0) == "malformed"
    assert kind_of(values, interval_us=60000) == "with an unexpected sampling rate"
    bare = scp.with_pointers([scp.person(), scp.lead_definitions(("I",), 5, 12)])
    (tmp_path / "a.scp").write_bytes(bare)
    assert refused(read_scp, tmp_path / "a.scp").kind == "malformed"
    for name, data in (("text", b"hello" * 99), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        assert refused(read_scp, tmp_path / name).kind == "of another format"
    assert refused(read_scp, tmp_path / "gone.scp").kind == "unreadable"


def test_a_file_cut_anywhere_or_with_a_changed_byte_is_refused_or_noted(scp, tmp_path, ecg_adu):
    data = scp.write(tmp_path / "a.scp", ecg_adu(12, 300), order=2, compressed=True).read_bytes()
    cut = tmp_path / "cut.scp"
    for size in range(0, len(data), 211):
        cut.write_bytes(data[:size])
        with pytest.raises(SignalError) as raised:
            read_scp(cut)
        assert raised.value.kind == ("truncated" if size >= 160 else raised.value.kind)
    for position in range(6, len(data), 97):
        changed = bytearray(data)
        changed[position] ^= 0x10
        cut.write_bytes(bytes(changed))
        with contextlib.suppress(SignalError):
            assert read_scp(cut).damaged
    cut.write_bytes(data[:2] + struct.pack("<I", 10**9) + data[6:])
    with pytest.raises(SignalError):
        read_scp(cut)


def test_philips_samples_are_read_as_they_were_written_without_the_calibration_pulse(
    philips, tmp_path, ecg_adu
):
    values = ecg_adu(12, 5000)
    path = philips.write(tmp_path / "a.xml", philips.document(philips.with_calibration(values)))
    record = read_philips_xml(path)
    assert (record.leads, record.fs) == (LEADS, 500.0)
    np.testing.assert_array_equal(record.signal, values)
    np.testing.assert_allclose(record.scale, 0.005)
    subject = record.subject
    assert (subject.patient_id, subject.age, subject.sex) == ("9999", 60, "female")
    assert "SINUS RHYTHM" in record.report


def test_leads_that_agree_for_a_moment_at_the_end_are_kept_whole(philips, tmp_path, ecg_adu):
    values = ecg_adu(12, 5000)
    values[:, -20:] = 3
    path = philips.write(tmp_path / "a.xml", philips.document(values))
    assert read_philips_xml(path).n_samples == 5000


def test_repaired_philips_text_and_odd_base64_are_read(philips, tmp_path, ecg_adu):
    values = ecg_adu(12, 5000)
    text = philips.document(values).replace("SINUS RHYTHM", "SINUS & RHYTHM <\x01")
    head, mark, rest = text.partition("<parsedwaveforms")
    encoded = rest.partition(">")[2].partition("<")[0]
    text = head + mark + rest.replace(encoded, f"{' '.join(encoded.split()).rstrip('=')}=== ")
    record = read_philips_xml(philips.write(tmp_path / "a.xml", text))
    np.testing.assert_array_equal(record.signal, values)
    assert "SINUS & RHYTHM <\ufffd" in record.report
    assert "repaired: 1 control characters, 1 bare &, 1 bare <" in record.notes[0]


def test_other_philips_versions_and_files_are_refused_by_kind(philips, tmp_path, ecg_adu, refused):
    path = tmp_path / "a.xml"
    philips.write(path, philips.document(ecg_adu(12, 500), version="9.9"))
    assert refused(read_philips_xml, path).kind == "of an unsupported kind"
    text = philips.document(ecg_adu(12, 500))
    philips.write(path, text.replace("parsedwaveforms", "waves"))
    assert refused(read_philips_xml, path).kind == "malformed"
    philips.write(path, text.replace("restingecgdata", "RestingECG"))
    error = refused(read_philips_xml, path)
    assert error.kind == "of another format"
    assert "but a GE MUSE XML file. Leave it out, or use preprocess/muse_xml.py" in str(error)


@pytest.mark.shared
def test_a_real_scp_file_equals_the_same_recording_as_aecg(shared_dir):
    from fairseq_signals.formats.aecg import read_aecg

    paths = sorted((shared_dir / "real_ecg").rglob("*.scp"))
    if not paths:
        pytest.skip("no SCP-ECG file at hand")
    for path in paths:
        record = read_scp(path)
        assert len(record.leads) >= 8
        assert not record.damaged
        twin = path.with_suffix(".xml")
        if twin.is_file():
            np.testing.assert_allclose(
                record.signal_mv(), read_aecg(twin).signal_mv(), atol=record.scale.min() / 2
            )


@pytest.mark.shared
def test_real_philips_files_obey_einthoven_to_the_end(shared_dir):
    files = [p for p in (shared_dir / "real_ecg").rglob("*") if p.suffix.lower() == ".xml"]
    paths = [p for p in sorted(files) if b"restingecgdata" in p.read_bytes().replace(b"\0", b"")[:400]]
    if not paths:
        pytest.skip("no Philips file at hand")
    for path in paths:
        record = read_philips_xml(path)
        assert record.leads == LEADS
        assert record.duration_s >= 10
        i, ii, iii = record.signal_mv()[:3]
        assert np.abs(ii - i - iii).max() <= 0.02
