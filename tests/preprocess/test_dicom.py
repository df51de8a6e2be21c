"""preprocess/dicom.py on a small export."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("dicom")


@pytest.fixture
def root(lookalike, tmp_path, ecg_adu):
    """An export by patient and study: files with and without a suffix, an image, a text."""
    dicom, root = lookalike("dicom"), tmp_path / "export"
    for i, name in enumerate(("P1/S1/1.2.840.1.7", "P1/S2/ecg.DCM", "P2/S1/ecg.dcm")):
        made = dicom.dataset(dicom.group(ecg_adu(seed=i)), dicom.median_beats(), PatientID=f"MRN{i // 2}")
        dicom.write(root / name, made)
    dicom.write(root / "P2/S1/photo.dcm", dicom.dataset(Modality="XC"))
    (root / "DICOMDIR").write_bytes(b"\0" * 200)
    (root / "P2" / "notes.txt").write_text("hello")
    return root


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--source", "clinic", "--workers", "1", *options])


def test_objects_are_found_by_suffix_or_mark_and_equal_pydicom(
    script, root, tmp_path, entries, rejected, assert_equal_mv, capsys
):
    import pydicom

    assert run(script, root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    assert list(found) == ["P1/S1/1.2.840.1.7", "P1/S2/ecg", "P2/S1/ecg"]
    for record_id, entry in found.items():
        path = next(p for p in root.rglob("*") if p.is_file() and str(p).startswith(str(root / record_id)))
        reference = pydicom.dcmread(path).waveform_array(0).T / 1000
        assert_equal_mv(tmp_path / "store", entry, dict(zip(entry["leads"], np.float64(reference))))
        assert (entry["source"], entry["sex"], entry["age"]) == ("clinic", "female", 47)
    assert [entry["patient_id"] for entry in found.values()] == ["MRN0", "MRN0", "MRN1"]
    assert list(rejected(tmp_path / "store")) == ["clinic/P2/S1/photo"]
    assert "kept 3 of 4 records; rejected 1 without a waveform" in capsys.readouterr().out


def test_the_folder_or_a_table_can_name_the_patient(script, root, tmp_path, entries):
    table = tmp_path / "t.csv"
    table.write_text("record_id,patient_id,codes\nP2/S1/ecg,p9,426783006\n")
    assert run(script, root, tmp_path / "store", "--metadata", str(table), "--patient-from-folder") == 0
    found = entries(tmp_path / "store")
    assert [entry["patient_id"] for entry in found.values()] == ["S1", "S2", "p9"]
    assert found["P2/S1/ecg"]["codes"] == ["426783006"]


def test_a_folder_without_such_files_is_an_error_in_one_line(script, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(script, tmp_path / "empty", tmp_path / "store") == 1
    assert "there is no .dcm or .dicom or .ima file in this folder" in capsys.readouterr().err


@pytest.mark.shared
def test_real_objects_go_into_a_store(script, shared_dir, tmp_path, entries):
    folders = {path.parent for path in (shared_dir / "real_ecg").rglob("*.dcm")}
    if not folders:
        pytest.skip("no DICOM object at hand")
    for i, folder in enumerate(sorted(folders)):
        assert run(script, folder, tmp_path / str(i)) == 0
        assert entries(tmp_path / str(i))
