"""preprocess/dicom.py on a small export."""

import numpy as np
import pytest

OPTIONS = ("--source", "clinic")


@pytest.fixture
def root(corpus, tmp_path, ecg_adu):
    """An export by patient and study: files with and without a suffix, an image, a text."""
    root = tmp_path / "export"
    for i, name in enumerate(("P1/S1/1.2.840.1.7", "P1/S2/ecg.DCM", "P2/S1/ecg.dcm")):
        made = corpus.dataset(corpus.group(ecg_adu(seed=i)), corpus.median_beats(), PatientID=f"MRN{i // 2}")
        corpus.write(root / name, made)
    corpus.write(root / "P2/S1/photo.dcm", corpus.dataset(Modality="XC"))
    (root / "DICOMDIR").write_bytes(b"\0" * 200)
    (root / "P2" / "notes.txt").write_text("hello")
    return root


def test_objects_are_found_by_suffix_or_mark_and_equal_pydicom(
    root, rejected, assert_equal_mv, capsys, stored
):
    import pydicom

    found = stored()
    assert list(found) == ["P1/S1/1.2.840.1.7", "P1/S2/ecg", "P2/S1/ecg"]
    for record_id, entry in found.items():
        path = next(p for p in root.rglob("*") if p.is_file() and str(p).startswith(str(root / record_id)))
        reference = pydicom.dcmread(path).waveform_array(0).T / 1000
        assert_equal_mv(entry, dict(zip(entry["leads"], np.float64(reference))))
        assert (entry["source"], entry["sex"], entry["age"]) == ("clinic", "female", 47)
    assert [entry["patient_id"] for entry in found.values()] == ["MRN0", "MRN0", "MRN1"]
    assert list(rejected()) == ["clinic/P2/S1/photo"]
    assert "kept 3 of 4 records; rejected 1 without a waveform" in capsys.readouterr().out


def test_the_folder_or_a_table_can_name_the_patient(tmp_path, stored):
    table = tmp_path / "t.csv"
    table.write_text("record_id,patient_id,codes\nP2/S1/ecg,p9,426783006\n")
    found = stored("--metadata", str(table), "--patient-from-folder")
    assert [entry["patient_id"] for entry in found.values()] == ["S1", "S2", "p9"]
    assert found["P2/S1/ecg"]["codes"] == ["426783006"]


def test_a_folder_without_such_files_is_an_error_in_one_line(tmp_path, fails):
    (tmp_path / "empty").mkdir()
    assert "there is no .dcm or .dicom or .ima file in this folder" in fails(root=tmp_path / "empty")


@pytest.mark.shared
def test_real_objects_go_into_a_store(shared_dir, stored):
    folders = {path.parent for path in (shared_dir / "real_ecg").rglob("*.dcm")}
    if not folders:
        pytest.skip("no DICOM object at hand")
    for i, folder in enumerate(sorted(folders)):
        assert stored(root=folder, dest=str(i))
