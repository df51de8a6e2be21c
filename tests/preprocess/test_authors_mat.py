"""preprocess/authors_mat.py on small folders."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("authors_mat")


@pytest.fixture
def authors(lookalike):
    return lookalike("authors_mat")


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--source", "cpsc", "--workers", "1", *options])


def test_the_segments_of_a_record_are_one_row(
    script, authors, tmp_path, ecg_adu, entries, assert_equal_mv, capsys
):
    root = tmp_path / "mats"
    values = {name: ecg_adu(12, n, seed) for seed, (name, n) in enumerate([("A1", 5200), ("sub/A2", 30_500)])}
    for name, adu in values.items():
        folder = root / name.rpartition("/")[0]
        authors.write_record(folder, name.rpartition("/")[2], adu / 1000, age=60, sex=0, patient_id=name)
    assert run(script, root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    assert {name: entry["n_samples"] for name, entry in found.items()} == {"A1": 5000, "sub/A2": 30_000}
    for name, entry in found.items():
        reference = dict(zip(LEADS, values[name][:, : entry["n_samples"]] / 1000))
        assert_equal_mv(tmp_path / "store", entry, reference)
        assert (entry["patient_id"], entry["age"], entry["sex"]) == (name, 60, "male")
        assert entry["codes"] == ["445118002", "111975006"]
        assert entry["attributes"] == {"label": "9 12"}
    assert capsys.readouterr().out == "kept 2 of 2 records\n"


def test_segments_after_a_gap_are_rejected_and_numbers_in_names_are_left_alone(
    script, authors, tmp_path, ecg_adu, entries, rejected
):
    root = tmp_path / "mats"
    authors.write_record(root, "gap", ecg_adu(12, 12_500) / 1000)
    (root / "gap_2.mat").unlink()
    for name in ("17_rec_1.mat", "17_rec_2.mat", "code_15_438277.mat"):
        authors.write_segment(root / name, ecg_adu(12, 2500) / 1000)
    assert run(script, root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    assert {name: entry["n_samples"] for name, entry in found.items()} == {
        "gap": 5000, "17_rec_1": 2500, "17_rec_2": 2500, "code_15_438277": 2500,
    }  # fmt: skip
    assert set(rejected(tmp_path / "store")) == {"cpsc/gap_3", "cpsc/gap_4"}
    assert "segment 2 of gap is missing before it" in rejected(tmp_path / "store")["cpsc/gap_3"]


def test_a_segment_that_changed_is_noticed(script, authors, tmp_path, ecg_adu, capsys):
    paths = authors.write_record(tmp_path / "mats", "A1", ecg_adu(12, 5000) / 1000)
    assert run(script, tmp_path / "mats", tmp_path / "store") == 0
    authors.write_segment(paths[1], ecg_adu(12, 2500, 9) / 1000)
    assert run(script, tmp_path / "mats", tmp_path / "store") == 1
    assert "the records, their headers, files or table have changed" in capsys.readouterr().err


def test_the_store_reads_as_the_segments_in_place_do(script, authors, tmp_path, ecg_adu, entries):
    from fairseq_signals.batches.segments import SegmentReader
    from fairseq_signals.manifest.table import read_manifest
    from fairseq_signals.store.reading import RecordStore

    root = tmp_path / "mats"
    paths = authors.write_record(root, "A1", ecg_adu(12, 5000) / 1000)
    lines = [str(root), *(f"{path.name}\t2500" for path in paths)]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    in_place = SegmentReader(read_manifest(tmp_path / "train.tsv"))
    assert run(script, root, tmp_path / "store") == 0
    (entry,) = entries(tmp_path / "store").values()
    for k in range(2):
        stored, _ = RecordStore(tmp_path / "store").read(entry["shard"], entry["row"], 2500 * k, 2500)
        np.testing.assert_allclose(stored, in_place.read(k), atol=1e-6)


@pytest.mark.shared
def test_real_folders_go_into_stores(script, shared_dir, tmp_path, entries):
    root = shared_dir / "real_ecg" / "code15_processed_mat"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    assert run(script, root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    assert len(found) >= 3
    assert {entry["fs"] for entry in found.values()} == {500}
