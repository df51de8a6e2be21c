"""Whose recordings are: what folders, stores and manifests say, or a table."""

import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.listing import list_recordings
from fairseq_signals.inference.patients import patients_of


def test_patients_are_the_folders_or_files_of_a_folder_or_those_of_a_table(tmp_path, write_wfdb, ecg_adu):
    for folder, name in (("p1", "x"), ("p1/later", "y"), (".", "p2.5mg")):
        write_wfdb(tmp_path / "raw" / folder, name, ecg_adu())
    listed = list_recordings([str(tmp_path / "raw")])
    assert patients_of(listed, None) == ["p1", "p1", "p2.5mg"]
    table = tmp_path / "who.csv"
    table.write_text("record,patient\np1/x,anna\np1/later/y,berta\np2.5mg,carl\n")
    assert patients_of(listed, table) == ["berta", "anna", "carl"]
    table.write_text("record,patient\np1/x,anna\n")
    with pytest.raises(ConfigError, match=r"has no patient for 2 recordings, the first p1/later/y"):
        patients_of(listed, table)
    with pytest.raises(ConfigError, match=r"none.csv: there is no such table"):
        patients_of(listed, tmp_path / "none.csv")


def test_a_blank_patient_is_none_and_two_of_a_recording_are_refused(tmp_path, write_wfdb, ecg_adu):
    for name in "xy":
        write_wfdb(tmp_path / "raw", name, ecg_adu())
    listed, table = list_recordings([str(tmp_path / "raw")]), tmp_path / "who.csv"
    table.write_text("record,patient\nx, \ny,NA\n")
    with pytest.raises(ConfigError, match=r"has no patient for 2 recordings, the first x"):
        patients_of(listed, table)
    table.write_text("record,patient\nx,anna\ny,berta\nx,carl\n")
    with pytest.raises(ConfigError, match=r"two rows say whose x is, anna and carl"):
        patients_of(listed, table)
    table.write_text("record,patient\nx,7\ny,berta\nx,7.0\n")
    assert patients_of(listed, table) == ["7", "berta"]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_table_of_patients_in_another_encoding_is_refused(tmp_path, write_wfdb, ecg_adu, encoding):
    write_wfdb(tmp_path / "raw", "x", ecg_adu())
    table = tmp_path / "who.csv"
    table.write_text("record,patient\nx,Jürgen\n", encoding=encoding)
    with pytest.raises(ConfigError, match="must be CSV in UTF-8"):
        patients_of(list_recordings([str(tmp_path / "raw")]), table)


def test_equal_folders_of_two_places_are_not_taken_for_one_person(tmp_path, write_wfdb, ecg_adu):
    for site, name in (("A", "001/x"), ("B", "001/y"), ("B", "002/z")):
        write_wfdb(tmp_path / site / name[:3], name[4:], ecg_adu())
    listed = list_recordings([str(tmp_path / site) for site in "AB"])
    with pytest.raises(ConfigError, match=r"001 is in .*A and in .*B, and nothing tells whether"):
        patients_of(listed, None)
    twice = list_recordings([str(tmp_path / "B"), str(tmp_path / "B")])
    assert patients_of(twice, None) == ["001", "002"]
    table = tmp_path / "who.csv"
    table.write_text("record,patient\n001/x,anna\n001/y,berta\n002/z,carl\n")
    assert patients_of(listed, table) == ["anna", "berta", "carl"]


def test_whose_a_file_alone_is_must_be_said(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path / "p1", "x", ecg_adu())
    with pytest.raises(ConfigError, match="a file alone does not say whose recording it is"):
        patients_of(list_recordings([str(header)]), None)
