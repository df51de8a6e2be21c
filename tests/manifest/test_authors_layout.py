"""The three manifest layouts of the authors' scripts."""

import pytest

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.authors_layout import split_mat_name
from fairseq_signals.manifest.table import read_manifest


@pytest.mark.parametrize(
    ("path", "record", "segment"),
    [
        ("A0001_0.mat", "A0001", 0),
        ("georgia/E00001_12.mat", "georgia/E00001", 12),
        ("00001_hr_1.mat", "00001_hr", 1),
        ("code_15_438277_1.mat", "code_15_438277", 1),
        ("code_15_438277.mat", "code_15_438277", 0),  # not cut in segments
        ("Person.01.mat", "Person.01", 0),
    ],
)
def test_the_segment_number_is_told_from_the_records_name(path, record, segment):
    assert split_mat_name(path) == (record, segment)


def test_a_plain_manifest_is_read(tmp_path):
    manifest = _manifest(tmp_path, "train.tsv", "A0001_0.mat\t2500\nA0001_1.mat\t2500\nA0002_0.mat\t2000\n")
    assert manifest.layout == "mat"
    assert manifest.paths == ["A0001_0.mat", "A0001_1.mat", "A0002_0.mat"]
    assert manifest.n_samples.tolist() == [2500, 2500, 2000]
    assert manifest.record_ids == manifest.patient_ids == ["A0001", "A0001", "A0002"]
    assert manifest.segments.tolist() == [0, 1, 0]
    assert manifest.targets == ["", "", ""]


def test_classes_of_training_and_of_testing_are_different_people(tmp_path):
    train = _manifest(tmp_path, "train.tsv", "p1_0.mat\t2500\t0\np1_1.mat\t2500\t0\n")
    gallery = _manifest(tmp_path, "valid_gallery.tsv", "p2_0.mat\t2500\t0\n")
    probe = _manifest(tmp_path, "valid_probe.tsv", "p3_0.mat\t2500\t0\n")
    assert train.layout == "mat_identification"
    assert train.targets == ["0", "0"]
    assert train.patient_ids == ["train/0", "train/0"]
    assert gallery.patient_ids == probe.patient_ids == ["valid/0"]


def test_a_pair_is_two_segments_of_one_line_whatever_their_numbers(tmp_path):
    manifest = _manifest(tmp_path, "train.tsv", "mat\nA0001\t2500\t0\t0,1\nA0002\t2500\t0\t3,7\n")
    assert manifest.layout == "mat_cmsc"
    assert manifest.paths == ["A0001_0.mat", "A0001_1.mat", "A0002_3.mat", "A0002_7.mat"]
    assert manifest.record_ids == ["A0001", "A0001", "A0002", "A0002"]
    assert manifest.segments.tolist() == [0, 1, 0, 1]


def test_several_lines_of_one_record_are_several_pairs(tmp_path):
    text = ".mat\nA0001\t2500\t0\t0,1\nA0002\t2500\t0\t0,1\nA0001\t2500\t0\t2\nA0001\t2500\t0\t4,5\n"
    manifest = _manifest(tmp_path, "train.tsv", text)
    of_first = [s for s, record in zip(manifest.segments.tolist(), manifest.record_ids) if record == "A0001"]
    assert of_first == [0, 1, 2, 4, 5]  # the single segment 2 has no partner


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "A_0.mat\t2500\nA_1.mat\t2500\t3\n",
            r":3: expected 2 tab-separated fields \(path, n_samples\), found 3",
        ),
        ("A_0.mat\t2500\t1\nA_1.mat\t2500\tx\n", r":3: class must be an integer from 0, but is 'x' instead"),
        (
            "mat\nA\t2500\t0\t0,1\nA\t2500\t0\t\n",
            r":4: segments must be segment numbers .* but is '' instead",
        ),
        (
            "mat\nA\t2500\t0,1\n",
            r":3: expected 4 tab-separated fields \(stem, n_samples, lead, segments\), found 3",
        ),
    ],
)
def test_a_malformed_line_is_named(tmp_path, text, message):
    with pytest.raises(ManifestError, match=message):
        _manifest(tmp_path, "train.tsv", text)


def test_a_first_file_that_is_gone_is_told(tmp_path):
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\nA0001_0.mat\t2500\n")
    with pytest.raises(ManifestError, match=r"train.tsv:2: .*A0001_0.mat does not exist"):
        read_manifest(tmp_path / "train.tsv")
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\nmat\nA0001\t2500\t0\t1,0\n")
    with pytest.raises(ManifestError, match=r"train.tsv:3: .*A0001_1.mat does not exist"):
        read_manifest(tmp_path / "train.tsv")


@pytest.mark.shared
def test_segment_files_of_an_authors_pipeline_are_read(shared_dir, tmp_path):
    files = sorted(shared_dir.glob("real_ecg/*processed_mat*/segmented/*.mat"))
    if not files:
        pytest.skip("no segmented .mat files in the shared data")
    root = files[0].parent
    lines = [f"{file.name}\t2500\n" for file in files if file.parent == root]
    (tmp_path / "train.tsv").write_text(f"{root}\n{''.join(lines)}")
    manifest = read_manifest(tmp_path / "train.tsv")
    assert len(manifest) == len(lines)
    originals = {file.stem for file in root.parent.glob("org/*.mat")}
    assert originals
    assert set(manifest.record_ids) <= originals


def _manifest(folder, name, text):
    (folder / name).write_text(f"/data/mats\n{text}")
    return read_manifest(folder / name, check_files=False)
