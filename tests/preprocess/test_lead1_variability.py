"""preprocess/lead1_variability.py on a small folder, and whose its records are beside those of PTB."""

import pytest

from fairseq_signals.manifest.people import patient_key


def test_a_person_is_the_one_of_the_database_that_the_header_names(stored):
    found = stored()
    assert {name: entry["patient_id"] for name, entry in found.items()} == {
        "subject_1/1_01": "owndb-1",
        "subject_1/1_02": "owndb-1",
        "subject_2/2_01": "ptb019",
        "subject_3/3_01": "subject_3",
    }
    assert {(*entry["leads"], entry["fs"]) for entry in found.values()} == {("I", 500)}
    assert found["subject_2/2_01"]["attributes"] == {
        "recording": "01",
        "database": "ptbdb",
        "scenario": "Time and medical procedures",
        "posture": "Supine",
    }


def test_a_folder_that_is_no_person_is_refused(root, fails):
    (root / "subject_1").rename(root / "others")
    assert "record others/1_01 is not in a folder subject_N" in fails()


@pytest.mark.shared
def test_real_records_are_of_the_persons_that_the_manifest_names(more, tmp_path, stored):
    folder, rows = more("lead1_variability")
    chosen = sorted({name.partition("/")[0] for name in rows})[::24]
    (tmp_path / "in").mkdir()
    for name in chosen:
        (tmp_path / "in" / name).symlink_to(folder / name)
    found = stored(root=tmp_path / "in")
    assert len(found) == 10 * len(chosen)
    for name, entry in found.items():
        assert patient_key("x", name, entry["patient_id"]) == f"x/{rows[name]['patient']}"
