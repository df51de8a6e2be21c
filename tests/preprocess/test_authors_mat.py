"""preprocess/authors_mat.py on small folders."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS

OPTIONS = ("--source", "cpsc")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "mats"


def test_the_segments_of_a_record_are_one_row(ecg_adu, assert_equal_mv, capsys, stored, corpus, root):
    values = {name: ecg_adu(12, n, seed) for seed, (name, n) in enumerate([("A1", 5200), ("sub/A2", 30_500)])}
    for name, adu in values.items():
        folder = root / name.rpartition("/")[0]
        corpus.write_record(folder, name.rpartition("/")[2], adu / 1000, age=60, sex=0, patient_id=name)
    found = stored()
    assert {name: entry["n_samples"] for name, entry in found.items()} == {"A1": 5000, "sub/A2": 30_000}
    for name, entry in found.items():
        reference = dict(zip(LEADS, values[name][:, : entry["n_samples"]] / 1000))
        assert_equal_mv(entry, reference)
        assert (entry["patient_id"], entry["age"], entry["sex"]) == (name, 60, "male")
        assert entry["codes"] == ["445118002", "111975006"]
        assert entry["attributes"] == {"label": "9 12"}
    assert capsys.readouterr().out == "kept 2 of 2 records\n"


def test_segments_after_a_gap_are_rejected_and_numbers_in_names_are_left_alone(
    ecg_adu, rejected, stored, corpus, root
):
    corpus.write_record(root, "gap", ecg_adu(12, 12_500) / 1000)
    (root / "gap_2.mat").unlink()
    for name in ("17_rec_1.mat", "17_rec_2.mat", "code_15_438277.mat"):
        corpus.write_segment(root / name, ecg_adu(12, 2500) / 1000)
    found = stored()
    assert {name: entry["n_samples"] for name, entry in found.items()} == {
        "gap": 5000, "17_rec_1": 2500, "17_rec_2": 2500, "code_15_438277": 2500,
    }  # fmt: skip
    assert set(rejected()) == {"cpsc/gap_3", "cpsc/gap_4"}
    assert "segment 2 of gap is missing before it" in rejected()["cpsc/gap_3"]


def test_a_segment_that_changed_is_noticed(ecg_adu, stored, corpus, root, run, capsys):
    paths = corpus.write_record(root, "A1", ecg_adu(12, 5000) / 1000)
    stored()
    corpus.write_segment(paths[1], ecg_adu(12, 2500, 9) / 1000)
    assert run() == 1
    assert "the records, their headers, files or table have changed" in capsys.readouterr().err


def test_the_store_reads_as_the_segments_in_place_do(tmp_path, ecg_adu, corpus, root, stored):
    from fairseq_signals.batches.segments import SegmentReader
    from fairseq_signals.manifest.table import read_manifest
    from fairseq_signals.store.reading import RecordStore

    paths = corpus.write_record(root, "A1", ecg_adu(12, 5000) / 1000)
    lines = [str(root), *(f"{path.name}\t2500" for path in paths)]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    in_place = SegmentReader(read_manifest(tmp_path / "train.tsv"))
    (entry,) = stored().values()
    for k in range(2):
        values, _ = RecordStore(tmp_path / "store").read(entry["shard"], entry["row"], 2500 * k, 2500)
        np.testing.assert_allclose(values, in_place.read(k), atol=1e-6)


@pytest.mark.shared
def test_real_folders_go_into_stores(stored, real):
    found = stored(root=real("code15_processed_mat", "**/*.mat"))
    assert len(found) >= 3
    assert {entry["fs"] for entry in found.values()} == {500}
