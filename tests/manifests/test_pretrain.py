"""`manifests/pretrain.py`: all adjacent segments, and nobody whom a downstream task holds out."""

import json

import pytest

from fairseq_signals.manifest.table import read_manifest

RECORDS = [(f"r{i:02d}", {"patient_id": f"p{i // 2}"}) for i in range(40)]


def test_all_records_keep_both_halves(make_store, succeed, tmp_path):
    """With splits over segments, as in the authors' scripts, a fourth of the pairs lose a half."""
    store = make_store("store", RECORDS)
    succeed("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions")
    segments = {}
    for name in ("train", "valid"):
        for row in read_manifest(tmp_path / "m" / f"{name}.tsv").rows():
            segments.setdefault(row.record_id, []).append((name, row.segment, row.path.split(":")[1]))
    assert len(segments) == 40
    for found in segments.values():
        assert [(segment, start) for _, segment, start in found] == [(0, "0"), (1, "50")]
        assert len({name for name, _, _ in found}) == 1


@pytest.mark.parametrize(
    ("seconds", "n_segments", "n_single", "tail_s"),
    [(10, 2, 0, 0), (17.5, 3, 1, 2.5), (5, 1, 1, 0), (24, 4, 0, 4)],
)
def test_segments_pairs_and_what_is_not_used_are_counted(
    make_store, succeed, tmp_path, seconds, n_segments, n_single, tail_s
):
    store = make_store("store", [("r", {"seconds": seconds})])
    out = succeed("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions", "--valid-fraction", 0)
    manifest = read_manifest(tmp_path / "m" / "train.tsv")
    assert manifest.segments.tolist() == list(range(n_segments))
    assert manifest.n_samples.tolist() == [50] * n_segments
    assert manifest.paths == [f"shard-00000.arrow#0:{50 * k}" for k in range(n_segments)]
    assert manifest.targets == [""] * n_segments
    n_pairs = n_segments // 2
    assert f"{n_pairs} pairs of adjacent segments; {n_single} single segments" in out
    assert f"{int(tail_s > 0)} ends of records shorter than a segment, {tail_s:.1f} s in all" in out
    assert not (tmp_path / "m" / "valid.tsv").exists()


def test_records_shorter_than_a_segment_are_counted_by_reason(make_store, succeed, tmp_path):
    store = make_store("store", [*RECORDS, ("short", {"seconds": 4.9})])
    out = succeed("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions")
    assert "kept 40 of 41 records; left out 1: 1 shorter than 5 s" in out
    info = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert info["left_out"]["shorter than 5 s"] == 1
    assert info["kind"] == "pretrain"
    assert info["seed"] == 1
    assert info["pairs"] == 40


def test_the_split_is_over_patients_and_independent_of_the_order_of_rows(make_store, succeed, tmp_path):
    patients = []
    for name, records, shards in (("a", RECORDS, 1), ("b", RECORDS[::-1], 3)):
        store = make_store(name, records, shards)
        succeed(
            "pretrain", store, "--dest", tmp_path / f"m{name}", "--no-exclusions", "--valid-fraction", 0.2
        )
        read = {s: read_manifest(tmp_path / f"m{name}" / f"{s}.tsv") for s in ("train", "valid")}
        assert set(read["train"].patient_ids).isdisjoint(read["valid"].patient_ids)
        patients.append({s: (m.record_ids, m.patient_ids, m.segments.tolist()) for s, m in read.items()})
    assert patients[0] == patients[1]
    assert len(set(patients[0]["valid"][1])) == 4  # a fifth of 20 patients


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_split(make_store, succeed, tmp_path):
    store = make_store("store", RECORDS)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        succeed("pretrain", store, "--dest", tmp_path / name, "--no-exclusions", "--seed", seed)
    valid = [(tmp_path / name / "valid.tsv").read_bytes() for name in "abc"]
    assert valid[0] == valid[1] != valid[2]


def test_exclusions_must_be_decided(make_store, run, tmp_path):
    store = make_store("store", RECORDS)
    code, _, err = run("pretrain", store, "--dest", tmp_path / "m")
    assert code == 1
    assert "must not see the validation and test records" in err
    assert "--no-exclusions" in err
    code, _, err = run("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions", "--exclude", store)
    assert code == 1
    assert "contradict" in err
    assert not (tmp_path / "m").exists()


def test_all_records_of_held_out_patients_are_left_out(make_store, succeed, tmp_path):
    store = make_store("store", RECORDS)
    succeed("classification", store, "--dest", tmp_path / "dx", "--labels", "cinc2021")
    succeed("identification", store, "--dest", tmp_path / "id", "--seed", 7)
    out = succeed("pretrain", store, "--dest", tmp_path / "m", "--exclude", tmp_path / "dx", tmp_path / "id")
    held_out = set()
    for path in [*tmp_path.glob("dx/[vt][ae][ls]*.tsv"), *tmp_path.glob("id/*_*.tsv")]:
        held_out.update(read_manifest(path).patient_ids)
    trained = {
        p for name in ("train", "valid") for p in read_manifest(tmp_path / "m" / f"{name}.tsv").patient_ids
    }
    assert trained == {f"a/p{i}" for i in range(20)} - held_out
    assert f"held out by {tmp_path / 'dx'}: 8 records of 4 patients" in out


def test_a_held_out_patient_is_left_out_of_another_store_of_the_corpus(make_store, succeed, tmp_path):
    """Gallery and probe are listed; a third recording is known to be the patient's from the store alone."""
    first = make_store("first", [(f"r{i:02d}", {"patient_id": f"p{i // 3}"}) for i in range(30)])
    succeed("identification", first, "--dest", tmp_path / "id")
    listed = {r for path in tmp_path.glob("id/*_*.tsv") for r in read_manifest(path).record_ids}
    patients = {p for path in tmp_path.glob("id/*_*.tsv") for p in read_manifest(path).patient_ids}
    second = make_store("second", [(f"r{i:02d}", {}) for i in range(30)])  # here without patients
    succeed("pretrain", second, "--dest", tmp_path / "m", "--exclude", tmp_path / "id", "--valid-fraction", 0)
    trained = set(read_manifest(tmp_path / "m" / "train.tsv").record_ids)
    assert len(listed) == 2 * len(patients)
    assert trained == {f"a/r{i:02d}" for i in range(30) if f"a/p{i // 3}" not in patients}


def test_a_record_under_its_other_published_name_is_left_out_with_its_patients_others(
    make_store, succeed, tmp_path
):
    published = [(f"{i:05d}_hr", {"source": "ptbxl", "patient_id": f"{i // 2}"}) for i in range(40)]
    ptbxl = make_store("ptbxl", published)
    physionet = make_store("physionet", [(f"HR{i:05d}", {"source": "ptb-xl"}) for i in range(40)])
    succeed("identification", ptbxl, "--dest", tmp_path / "id")
    out = succeed("pretrain", physionet, "--dest", tmp_path / "m", "--exclude", tmp_path / "id")
    patients = {p for path in tmp_path.glob("id/*_*.tsv") for p in read_manifest(path).patient_ids}
    expected = {f"ptb-xl/HR{i:05d}" for i in range(40) if f"ptbxl/{i // 2}" not in patients}
    names = [
        r for name in ("train", "valid") for r in read_manifest(tmp_path / "m" / f"{name}.tsv").record_ids
    ]
    assert set(names) == expected
    assert f"left out {2 * len(patients)}: {2 * len(patients)} held out by" in out


def test_several_stores_are_one_manifest_without_copies(make_store, succeed, tmp_path):
    a = make_store("one", [(f"HR{i:05d}", {"source": "ptb-xl"}) for i in range(6)])
    b = make_store("two", [(f"{i:05d}_lr", {"source": "ptbxl", "patient_id": "7"}) for i in range(3)])
    out = succeed("pretrain", b, a, "--dest", tmp_path / "m", "--no-exclusions", "--valid-fraction", 0)
    manifest = read_manifest(tmp_path / "m" / "train.tsv")
    assert manifest.root == tmp_path
    assert manifest.shards() == ["one/shard-00000.arrow", "two/shard-00000.arrow"]
    by_record = dict(zip(manifest.record_ids, manifest.patient_ids))
    assert sorted(by_record) == ["ptb-xl/HR00003", "ptb-xl/HR00004", "ptb-xl/HR00005"] + [
        f"ptbxl/{i:05d}_lr" for i in range(3)
    ]
    assert by_record["ptbxl/00000_lr"] == "ptbxl/7"
    assert "3 copies of another record" in out


def test_an_exclusion_folder_that_holds_nothing_out_is_refused(make_store, run, succeed, tmp_path):
    store = make_store("store", RECORDS)
    succeed("pretrain", store, "--dest", tmp_path / "pre", "--no-exclusions")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mats").mkdir()
    (tmp_path / "mats" / "test.tsv").write_text("/data\nA0001_0.mat\t2500\n")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "test.tsv").write_text("/data\nx\ty\tz\tw\n")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "train.tsv").write_text("/data\nA0001_0.mat\t2500\t0\n")
    (tmp_path / "train" / "test_gallery.tsv").write_text("/data\n")
    for folder, message in (
        ("pre", "these are pre-training manifests"),
        ("empty", "no manifests"),
        ("mats", "it lists .mat files"),
        ("bad", "test.tsv:2: expected 6"),
        ("train", "no validation or test manifests with any segment"),
    ):
        code, _, err = run("pretrain", store, "--dest", tmp_path / "m", "--exclude", tmp_path / folder)
        assert code == 1
        assert message in err
        assert err.count("\n") == 1


def test_a_store_that_has_moved_away_is_told(make_store, succeed, tmp_path):
    store = make_store("store", RECORDS)
    succeed("classification", store, "--dest", tmp_path / "dx", "--labels", "cinc2021")
    store.rename(tmp_path / "moved")
    out = succeed("pretrain", tmp_path / "moved", "--dest", tmp_path / "m", "--exclude", tmp_path / "dx")
    assert f"note: cannot read {store}" in out
    assert "kept 32 of 40" in out


def test_nothing_left_to_train_on_is_refused(make_store, run, succeed, tmp_path):
    store = make_store("store", RECORDS)
    succeed("classification", store, "--dest", tmp_path / "dx", "--labels", "cinc2021", "--split", "0:1:1")
    code, _, err = run("pretrain", store, "--dest", tmp_path / "m", "--exclude", tmp_path / "dx")
    assert code == 1
    assert "no record is left for pre-training" in err


@pytest.mark.parametrize("fraction", ["-0.1", "1", "nan"])
def test_a_share_that_is_none_is_refused(make_store, run, tmp_path, fraction):
    store = make_store("store", RECORDS)
    arguments = ("--dest", tmp_path / "m", "--no-exclusions", f"--valid-fraction={fraction}")
    code, _, err = run("pretrain", store, *arguments)
    assert code == 1
    assert "--valid-fraction must be from 0 to below 1" in err


def test_mixed_sampling_rates_are_refused_until_one_is_chosen(make_store, run, succeed, tmp_path):
    store = make_store("store", [*RECORDS, ("fast", {"fs": 20.0})])
    code, _, err = run("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions")
    assert code == 1
    assert "several sampling rates: 40 at 10 Hz, 1 at 20 Hz" in err
    out = succeed("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions", "--fs", 10)
    assert "1 sampled at 20 Hz, not 10" in out
    code, _, err = run("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions", "--fs", 30)
    assert code == 1
    assert "no record is left of 41" in err


def test_sources_are_chosen_by_name(make_store, run, succeed, tmp_path):
    store = make_store("store", [*RECORDS, ("x", {"source": "b"}), ("y", {"source": "b"})])
    out = succeed("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions", "--sources", "b")
    assert "kept 2 of 42 records; left out 40: 40 of other sources" in out
    succeed("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions", "--sources", "a,b")
    code, _, err = run("pretrain", store, "--dest", tmp_path / "m", "--no-exclusions", "--sources", "c")
    assert code == 1
    assert "--sources: no c in the store; it has a, b" in err


def test_a_folder_that_is_no_store_is_one_line(run, tmp_path):
    code, out, err = run("pretrain", tmp_path / "nowhere", "--dest", tmp_path / "m", "--no-exclusions")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_the_segment_length_is_checked(make_store, run, tmp_path):
    store = make_store("store", RECORDS)
    for seconds, message in (("0", "--segment-seconds must be above 0"), ("60", "no record is left of 40")):
        code, _, err = run(
            "pretrain", store, "--dest", tmp_path / "m", "--no-exclusions", "--segment-seconds", seconds
        )
        assert code == 1
        assert message in err
