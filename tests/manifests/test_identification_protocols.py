"""`manifests/identification.py --protocol`: which recordings are compared, by when they were taken."""

import json

import pytest

DAYS = ("2001-01-05 08:00:00", "2001-01-05 09:30:00", "2003-06-01", "2009-12-31 23:00:00")
#: Of each of 12 patients four recordings on three days, not in the order of their names; of others less.
RECORDS = [
    *(
        (f"p{i:02d}-{name}", {"patient_id": f"p{i:02d}", "attributes": (("recording_date", DAYS[k]),)})
        for i in range(12)
        for k, name in enumerate("dbca")
    ),
    *(
        (f"q{i}-{name}", {"patient_id": f"q{i}", "attributes": (("ECG date", "07.12.2004"),)})
        for i in range(4)
        for name in "ab"
    ),
    *((f"u{i}-{name}", {"patient_id": f"u{i}"}) for i in range(4) for name in "ab"),
]


@pytest.fixture
def make(make_store, succeed, read, tmp_path):
    """`make(*options)`: manifests by name, of `RECORDS` or others, and what was printed."""

    def call(*options, records=RECORDS, name="m"):
        store = tmp_path / "s"
        store = store if store.exists() else make_store("s", records)
        out = succeed("identification", store, "--dest", tmp_path / name, *options)
        return read(name), out

    return call


@pytest.mark.parametrize(
    ("protocol", "gallery", "probe"),
    [("first_vs_second", "d", "c"), ("first_vs_last", "d", "a"), ("all_vs_last", "bcd", "a")],
)
def test_gallery_and_probe_are_those_of_the_protocol(make, succeed, tmp_path, protocol, gallery, probe):
    manifests, out = make("--protocol", protocol, "--test-fraction", 0.25)
    sides = [manifests[f"test_{side}"] for side in ("gallery", "probe")]
    tested = sorted(set(sides[1].patient_ids))
    assert len(tested) == 3  # a quarter of the 12 with recordings of two days
    assert all(patient.startswith("a/p") for patient in tested)
    for side, names in zip(sides, (gallery, probe)):
        assert sorted(side.record_ids) == [f"{patient}-{name}" for patient in tested for name in names]
    assert (
        f"test: 3 patients, so chance is 0.3333; gallery and probe are of different days ({protocol})" in out
    )
    info = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert info["protocols"] == {"valid": protocol, "test": protocol}
    assert "no violations" in succeed("check", tmp_path / "m")


def test_people_of_one_day_or_of_unknown_days_are_classes(make):
    manifests, _ = make("--protocol", "first_vs_last", "--test-all", "--valid-fraction", 0)
    assert set(manifests["test_probe"].patient_ids) == {f"a/p{i:02d}" for i in range(12)}
    assert set(manifests["train"].patient_ids) == {f"a/{x}{i}" for x in "qu" for i in range(4)}


def test_validation_is_within_records_where_nobody_else_has_two_days(make, tmp_path):
    make("--protocol", "first_vs_last", "--test-all")
    info = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert info["protocols"] == {"test": "first_vs_last", "valid": "within_session"}
    assert info["within_record"] == {"test": False, "valid": True}


@pytest.mark.parametrize(
    ("one", "other"),
    [((), ("--protocol", "two_recordings")), (("--within-record",), ("--protocol", "within_session"))],
)
def test_protocols_without_time_have_two_names(make, tmp_path, one, other):
    make(*one, name="one")
    make(*other, name="other")
    paths = sorted((tmp_path / "one").glob("*.tsv"))
    assert len(paths) == 5
    assert all(path.read_bytes() == (tmp_path / "other" / path.name).read_bytes() for path in paths)


def test_a_protocol_needs_recordings_of_two_days(make_store, fails):
    message = fails("identification", make_store("u", RECORDS[-8:]), "--protocol", "first_vs_last")
    assert "recordings of two days, which are known of 0 of 8 records, by attributes acquired, rec" in message
    store = make_store("qu", RECORDS[-16:])
    message = fails("identification", store, "--protocol", "first_vs_last")
    assert "which are known of 8 of 16 records" in message
    assert "none of the 8 patients has that" in message
    assert "not allowed with" in fails("identification", store, "--within-record", "--protocol=all_vs_last")
