"""HL7 aECG files are read as their sequences say and as ecgdatakit reads them, or refused with a reason."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.aecg import read_aecg


@pytest.fixture(scope="module")
def aecg(lookalike):
    return lookalike("aecg")


def reference_mv(path):
    """Millivolt of each lead, by ecgdatakit."""
    toolkit = pytest.importorskip("ecgdatakit.parsing.parsers.hl7_aecg")
    leads = toolkit.HL7aECGParser().parse(path).leads
    factor = {"uV": 1e-3, "mV": 1.0}
    return {x.label: (x.samples * x.resolution + x.offset) * factor[x.resolution_unit] for x in leads}


def test_leads_are_kept_bit_for_bit_and_representative_beats_left_out(aecg, tmp_path, ecg_adu):
    values = ecg_adu()
    record = read_aecg(aecg.write_twelve(tmp_path / "a.xml", values))
    assert (record.record_id, record.leads, record.fs) == ("a", LEADS, 500.0)
    np.testing.assert_array_equal(record.signal, values)
    np.testing.assert_allclose(record.scale, 0.0025)
    assert (record.subject.age, record.subject.sex, record.subject.patient_id) == (49.5, "male", "SBJ-123")
    assert record.report == "Normal sinus rhythm"


def test_leads_equal_what_ecgdatakit_reads(aecg, tmp_path, ecg_adu):
    path = aecg.write_twelve(tmp_path / "a.xml", ecg_adu())
    record, reference = read_aecg(path), reference_mv(path)
    for lead, mv in zip(record.leads, record.signal_mv()):
        np.testing.assert_allclose(mv, reference[lead], atol=1e-12)


@pytest.mark.parametrize(
    ("options", "step_mv", "offset_mv"),
    [
        ({}, 0.0025, 0),
        ({"scale": "0.001", "unit": "mV"}, 0.001, 0),
        ({"scale": "4.88", "origin": "-9.76"}, 0.00488, -0.00976),
        ({"scale": "5", "origin": "0.3333", "origin_unit": "mV"}, 0.005, 0.3333),
        ({"scale": "1000", "unit": "nV"}, 0.001, 0),
    ],
)
def test_scale_and_origin_are_applied_in_their_units(aecg, tmp_path, ecg_adu, options, step_mv, offset_mv):
    (values,) = ecg_adu(1)
    text = aecg.document(aecg.series(aecg.sequence_set(aecg.times(), aecg.sequence("II", values, **options))))
    record = read_aecg(aecg.write(tmp_path / "a.xml", text))
    error = np.abs(record.signal_mv()[0] - (values * step_mv + offset_mv)).max()
    assert error <= min(record.scale[0], step_mv) / 2


@pytest.mark.parametrize(
    ("increment", "unit", "fs"), [("4", "ms", 250), ("1000", "us", 1000), ("0.002", "s", 500)]
)
def test_the_increment_gives_the_rate(aecg, tmp_path, ecg_adu, increment, unit, fs):
    times = aecg.times(increment, unit)
    text = aecg.document(aecg.series(aecg.sequence_set(times, *map(aecg.sequence, ("I", "II"), ecg_adu(2)))))
    assert read_aecg(aecg.write(tmp_path / "a.xml", text)).fs == fs


def test_eight_leads_become_twelve(aecg, tmp_path, ecg_adu):
    eight = ("I", "II", *LEADS[6:])
    text = aecg.document(aecg.series(aecg.sequence_set(aecg.times(), *map(aecg.sequence, eight, ecg_adu(8)))))
    assert read_aecg(aecg.write(tmp_path / "a.xml", text)).leads == LEADS


def test_of_several_sets_the_one_with_most_leads_is_read(aecg, tmp_path, ecg_adu):
    values = ecg_adu(5)
    sets = [
        aecg.sequence_set(aecg.times(), aecg.sequence("V1", values[0])),
        aecg.sequence_set(aecg.times("4", "ms"), *map(aecg.sequence, ("I", "II", "III"), values[1:4])),
        aecg.sequence_set(aecg.times(), aecg.sequence("V2", values[4])),
    ]
    record = read_aecg(
        aecg.write(tmp_path / "a.xml", aecg.document(aecg.series(*sets[:2]), aecg.series(sets[2])))
    )
    assert (record.leads, record.fs) == (("I", "II", "III"), 250.0)
    assert record.notes[0] == "read are 1 of its 3 sets of sequences: set 2 of sequences"
    assert [lead for lead, _ in record.faults] == ["V1", "V2"]


@pytest.mark.parametrize("n_timed", [12, 1])
def test_sets_of_one_lead_each_are_one_recording(aecg, tmp_path, ecg_adu, n_timed):
    values = ecg_adu()
    times = [aecg.times()] * n_timed + [""] * (12 - n_timed)
    sets = [aecg.sequence_set(time, aecg.sequence(*one)) for time, one in zip(times, zip(LEADS, values))]
    record = read_aecg(aecg.write(tmp_path / "a.xml", aecg.document(aecg.series(*sets))))
    assert (record.leads, record.faults) == (LEADS, ())
    np.testing.assert_array_equal(record.signal, values)


def test_of_equal_leads_the_set_of_most_samples_is_read_or_the_first(aecg, tmp_path, ecg_adu):
    (values,) = ecg_adu(1, 600)
    for others, expected in (((values[:500] * 100 + 9000, values), 1), ((values, -abs(values)), 0)):
        sets = [
            aecg.sequence_set(aecg.times(head=f"2002112209{n}000.000"), aecg.sequence("II", one))
            for n, one in enumerate(others)
        ]
        record = read_aecg(aecg.write(tmp_path / "a.xml", aecg.document(*map(aecg.series, sets))))
        np.testing.assert_array_equal(record.signal[0], others[expected])
        assert "recorded at another time: " in record.ignored[0].reason


def test_leads_of_other_times_are_not_glued(aecg, tmp_path, ecg_adu):
    values = ecg_adu(12, 500)
    sets = [
        aecg.sequence_set(
            aecg.times(head=f"200211220910{10 + k // 3}.000-0500"),
            *map(aecg.sequence, LEADS[k : k + 3], values[k:]),
        )
        for k in range(0, 12, 3)
    ]
    strip = aecg.sequence_set(aecg.times(head="20021122091010"), aecg.sequence("II", values[:4].reshape(-1)))
    record = read_aecg(aecg.write(tmp_path / "a.xml", aecg.document(aecg.series(*sets, strip))))
    assert (record.leads, record.n_samples) == (("II",), 2000)
    assert dict(record.faults)["V6"].startswith("in set 4 of sequences, recorded at another time: 3 s to 4 s")


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        ({"patient_id": "?", "sex": "UN", "born": ""}, (None, None, None)),
        ({"patient_id": "", "sex": "F", "born": "195305"}, (None, "female", None)),
    ],
)
def test_what_is_not_known_of_the_person_stays_unknown(aecg, tmp_path, ecg_adu, person, expected):
    subject = read_aecg(aecg.write_twelve(tmp_path / "a.xml", ecg_adu(12, 300), **person)).subject
    assert (subject.patient_id, subject.sex, subject.age) == expected


@pytest.mark.parametrize(
    ("digit", "reason"), [("x", "a digit of lead II is not a number"), ("nan", "up to 200")]
)
def test_a_digit_that_is_no_number_costs_no_other_lead(aecg, tmp_path, ecg_adu, digit, reason):
    values = ecg_adu(3, 1000)
    rows = [list(map(str, row)) for row in values]
    rows[1][100:200] = [digit] * 100
    text = aecg.document(
        aecg.series(aecg.sequence_set(aecg.times(), *map(aecg.sequence, ("I", "II", "III"), rows)))
    )
    record = read_aecg(aecg.write(tmp_path / "a.xml", text))
    assert record.leads == ("I", "III")
    np.testing.assert_allclose(record.signal_mv(), values[[0, 2]] * 0.0025)
    assert reason in record.faults[0].reason


def test_what_cannot_be_used_is_refused_by_kind(aecg, tmp_path, ecg_adu, refused):
    (values,) = ecg_adu(1)

    def kind_of(*sequences, **changes):
        text = aecg.document(aecg.series(aecg.sequence_set(*sequences)))
        for old, new in changes.get("replace", ()):
            text = text.replace(old, new)
        return refused(read_aecg, aecg.write(tmp_path / "a.xml", text)).kind

    lead, times = aecg.sequence("I", values), aecg.times()
    assert kind_of(times) == "without any of the 12 leads"
    assert kind_of(times, aecg.sequence("X", values)) == "without any of the 12 leads"
    assert kind_of(lead) == "malformed"
    assert kind_of(aecg.times("0"), lead) == "malformed"
    assert kind_of(aecg.times(unit="parsec"), lead) == "malformed"
    assert kind_of(times, aecg.sequence("I", ["1", "x"])) == "malformed"
    assert kind_of(times, aecg.sequence("I", [])) == "without a usable lead"
    assert kind_of(times, aecg.sequence("I", values, unit="mmHg")) == "without a usable lead"
    assert kind_of(times, aecg.sequence("I", values, scale="0")) == "with zero gain"
    assert kind_of(times, lead, aecg.sequence("II", values[:99])) == "with leads of different lengths"
    assert kind_of(times, lead, replace=[("AnnotatedECG", "RestingECG")]) == "of another format"
    only_beats = aecg.write(tmp_path / "a.xml", aecg.document(aecg.representative_beat()))
    assert refused(read_aecg, only_beats).kind == "without a waveform"


def test_a_file_cut_anywhere_is_refused(aecg, tmp_path, ecg_adu):
    data = aecg.write_twelve(tmp_path / "a.xml", ecg_adu(12, 100)).read_bytes()
    for size in range(0, len(data) - 2, 211):
        (tmp_path / "cut.xml").write_bytes(data[:size])
        with pytest.raises(SignalError):
            read_aecg(tmp_path / "cut.xml")


@pytest.mark.shared
def test_real_files_equal_ecgdatakit(shared_dir):
    paths = [
        p for p in sorted((shared_dir / "real_ecg").rglob("*.xml")) if b"<AnnotatedECG" in p.read_bytes()
    ]
    if not paths:
        pytest.skip("no aECG file at hand")
    for path in paths:
        record, reference = read_aecg(path), reference_mv(path)
        assert record.leads == LEADS
        assert record.duration_s >= 10
        for lead, mv, scale in zip(record.leads, record.signal_mv(), record.scale):
            assert np.abs(mv - reference[lead]).max() <= scale / 2
