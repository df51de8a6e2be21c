"""`manifests/pretrain.py`: all adjacent segments, and nobody whom a downstream task holds out."""

import pytest

from fairseq_signals.manifest.table import read_manifest

RECORDS = [(f"r{i:02d}", {"patient_id": f"p{i // 2}"}) for i in range(40)]


def test_all_records_keep_both_halves(make_store, succeed, read):
    """With splits over segments, as in the authors' scripts, a fourth of the pairs lose a half."""
    store = make_store("store", RECORDS)
    succeed("pretrain", store, "--no-exclusions")
    segments = {}
    for name, manifest in read().items():
        for row in manifest.rows():
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
    make_store, succeed, tmp_path, seconds, n_segments, n_single, tail_s, read
):
    store = make_store("store", [("r", {"seconds": seconds})])
    out = succeed("pretrain", store, "--no-exclusions", "--valid-fraction", 0)
    manifest = read()["train"]
    assert manifest.segments.tolist() == list(range(n_segments))
    assert manifest.n_samples.tolist() == [50] * n_segments
    assert manifest.paths == [f"shard-00000.arrow#0:{50 * k}" for k in range(n_segments)]
    assert manifest.targets == [""] * n_segments
    n_pairs = n_segments // 2
    assert f"{n_pairs} pairs of adjacent segments; {n_single} single segments" in out
    assert f"{int(tail_s > 0)} ends of records shorter than a segment, {tail_s:.1f} s in all" in out
    assert not (tmp_path / "m" / "valid.tsv").exists()


def test_records_shorter_than_a_segment_are_counted_by_reason(make_store, succeed, manifest_json):
    store = make_store("store", [*RECORDS, ("short", {"seconds": 4.9})])
    out = succeed("pretrain", store, "--no-exclusions")
    assert "kept 40 of 41 records; left out 1: 1 shorter than 5 s" in out
    info = manifest_json()
    assert info["left_out"]["shorter than 5 s"] == 1
    assert info["kind"] == "pretrain"
    assert info["seed"] == 1
    assert info["pairs"] == 40


def test_the_split_is_over_patients_and_independent_of_the_order_of_rows(make_store, succeed, tmp_path, read):
    patients = []
    for name, records, shards in (("a", RECORDS, 1), ("b", RECORDS[::-1], 3)):
        store = make_store(name, records, shards)
        succeed(
            "pretrain", store, "--dest", tmp_path / f"m{name}", "--no-exclusions", "--valid-fraction", 0.2
        )
        found = read(f"m{name}")
        assert set(found["train"].patient_ids).isdisjoint(found["valid"].patient_ids)
        patients.append({s: (m.record_ids, m.patient_ids, m.segments.tolist()) for s, m in found.items()})
    assert patients[0] == patients[1]
    assert len(set(patients[0]["valid"][1])) == 4  # a fifth of 20 patients


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_split(make_store, succeed, tmp_path):
    store = make_store("store", RECORDS)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        succeed("pretrain", store, "--dest", tmp_path / name, "--no-exclusions", "--seed", seed)
    valid = [(tmp_path / name / "valid.tsv").read_bytes() for name in "abc"]
    assert valid[0] == valid[1] != valid[2]


def test_exclusions_must_be_decided(make_store, tmp_path, fails):
    store = make_store("store", RECORDS)
    err = fails("pretrain", store)
    assert "must not see the validation and test records" in err
    assert "--no-exclusions" in err
    assert "contradict" in fails("pretrain", store, "--no-exclusions", "--exclude", store)
    assert not (tmp_path / "m").exists()


def test_all_records_of_held_out_patients_are_left_out(make_store, succeed, tmp_path, read):
    store = make_store("store", RECORDS)
    succeed("classification", store, "--dest", tmp_path / "dx", "--labels", "cinc2021")
    succeed("identification", store, "--dest", tmp_path / "id", "--seed", 7)
    out = succeed("pretrain", store, "--exclude", tmp_path / "dx", tmp_path / "id")
    held_out = set()
    for path in [*tmp_path.glob("dx/[vt][ae][ls]*.tsv"), *tmp_path.glob("id/*_*.tsv")]:
        held_out.update(read_manifest(path).patient_ids)
    trained = {patient for manifest in read().values() for patient in manifest.patient_ids}
    assert trained == {f"a/p{i}" for i in range(20)} - held_out
    assert f"held out by {tmp_path / 'dx'}: 8 records of 4 patients" in out


def test_a_held_out_patient_is_left_out_of_another_store_of_the_corpus(make_store, succeed, tmp_path, read):
    """Gallery and probe are listed; a third recording is known to be the patient's from the store alone."""
    first = make_store("first", [(f"r{i:02d}", {"patient_id": f"p{i // 3}"}) for i in range(30)])
    succeed("identification", first, "--dest", tmp_path / "id")
    listed = {r for path in tmp_path.glob("id/*_*.tsv") for r in read_manifest(path).record_ids}
    patients = {p for path in tmp_path.glob("id/*_*.tsv") for p in read_manifest(path).patient_ids}
    second = make_store("second", [(f"r{i:02d}", {}) for i in range(30)])  # here without patients
    succeed("pretrain", second, "--exclude", tmp_path / "id", "--valid-fraction", 0)
    trained = set(read()["train"].record_ids)
    assert len(listed) == 2 * len(patients)
    assert trained == {f"a/r{i:02d}" for i in range(30) if f"a/p{i // 3}" not in patients}


def test_a_record_under_its_other_published_name_is_left_out_with_its_patients_others(
    make_store, succeed, tmp_path, read
):
    published = [(f"{i:05d}_hr", {"source": "ptbxl", "patient_id": f"{i // 2}"}) for i in range(40)]
    ptbxl = make_store("ptbxl", published)
    physionet = make_store("physionet", [(f"HR{i:05d}", {"source": "ptb-xl"}) for i in range(40)])
    succeed("identification", ptbxl, "--dest", tmp_path / "id")
    out = succeed("pretrain", physionet, "--exclude", tmp_path / "id")
    patients = {p for path in tmp_path.glob("id/*_*.tsv") for p in read_manifest(path).patient_ids}
    expected = {f"ptb-xl/HR{i:05d}" for i in range(40) if f"ptbxl/{i // 2}" not in patients}
    assert {record for manifest in read().values() for record in manifest.record_ids} == expected
    assert f"left out {2 * len(patients)}: {2 * len(patients)} held out by" in out


@pytest.mark.parametrize("held_out", ["lead1_variability", "ptbdb_10s", "ptb"])
def test_who_is_held_out_of_one_source_with_persons_of_ptb_is_left_out_of_all(
    make_store, succeed, tmp_path, read, held_out
):
    """One source names its patients `ptbNNN`, one by the folders of its records, one `patientNNN`."""
    sources = {
        "lead1_variability": [(f"subject_{i}/{i}_01", {"patient_id": f"ptb{i:03d}"}) for i in range(20)],
        "ptbdb_10s": [(f"patient{i:03d}/s{i:04d}_re", {}) for i in range(20)],
        "ptb": [(f"S{i:04d}", {"patient_id": f"patient{i:03d}"}) for i in range(20)],
    }
    stores = {
        name: make_store(name, [(record, {"source": name, **row}) for record, row in records])
        for name, records in sources.items()
    }
    person = {f"{name}/{row[0]}": i for name, records in sources.items() for i, row in enumerate(records)}
    succeed("classification", stores[held_out], "--dest", tmp_path / "dx", "--labels", "cinc2021")
    succeed("pretrain", *stores.values(), "--exclude", tmp_path / "dx", "--valid-fraction", 0)
    kept = {person[record] for record in read("dx")["train"].record_ids}
    assert len(kept) < 20
    assert set(read()["train"].record_ids) == {record for record, i in person.items() if i in kept}


def test_several_stores_are_one_manifest_without_copies(make_store, succeed, tmp_path, read):
    a = make_store("one", [(f"HR{i:05d}", {"source": "ptb-xl"}) for i in range(6)])
    b = make_store("two", [(f"{i:05d}_lr", {"source": "ptbxl", "patient_id": "7"}) for i in range(3)])
    out = succeed("pretrain", b, a, "--no-exclusions", "--valid-fraction", 0)
    manifest = read()["train"]
    assert manifest.root == tmp_path
    assert manifest.shards() == ["one/shard-00000.arrow", "two/shard-00000.arrow"]
    by_record = dict(zip(manifest.record_ids, manifest.patient_ids))
    assert sorted(by_record) == ["ptb-xl/HR00003", "ptb-xl/HR00004", "ptb-xl/HR00005"] + [
        f"ptbxl/{i:05d}_lr" for i in range(3)
    ]
    assert by_record["ptbxl/00000_lr"] == "ptbxl/7"
    assert "3 copies of another record" in out


def test_an_exclusion_folder_that_holds_nothing_out_is_refused(make_store, succeed, tmp_path, fails):
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
        err = fails("pretrain", store, "--exclude", tmp_path / folder)
        assert message in err
        assert err.count("\n") == 1


def test_a_store_that_has_moved_away_is_told(make_store, succeed, tmp_path):
    store = make_store("store", RECORDS)
    succeed("classification", store, "--dest", tmp_path / "dx", "--labels", "cinc2021")
    store.rename(tmp_path / "moved")
    out = succeed("pretrain", tmp_path / "moved", "--exclude", tmp_path / "dx")
    assert f"note: cannot read {store}" in out
    assert "kept 32 of 40" in out


def test_nothing_left_to_train_on_is_refused(make_store, succeed, tmp_path, fails):
    store = make_store("store", RECORDS)
    succeed("classification", store, "--dest", tmp_path / "dx", "--labels", "cinc2021", "--split", "0:1:1")
    assert "no record is left for pre-training" in fails("pretrain", store, "--exclude", tmp_path / "dx")


@pytest.mark.parametrize("fraction", ["-0.1", "1", "nan"])
def test_a_share_that_is_none_is_refused(make_store, fraction, fails):
    store = make_store("store", RECORDS)
    arguments = ("--no-exclusions", f"--valid-fraction={fraction}")
    assert "--valid-fraction: must be a number from 0 to below 1" in fails("pretrain", store, *arguments)


def test_mixed_sampling_rates_are_refused_until_one_is_chosen(make_store, succeed, fails):
    store = make_store("store", [*RECORDS, ("fast", {"fs": 20.0})])
    assert "several sampling rates: 40 at 10 Hz, 1 at 20 Hz" in fails("pretrain", store, "--no-exclusions")
    out = succeed("pretrain", store, "--no-exclusions", "--fs", 10)
    assert "1 sampled at 20 Hz, not 10" in out
    assert "no record is left of 41" in fails("pretrain", store, "--no-exclusions", "--fs", 30)


def test_sources_are_chosen_by_name(make_store, succeed, fails):
    store = make_store("store", [*RECORDS, ("x", {"source": "b"}), ("y", {"source": "b"})])
    out = succeed("pretrain", store, "--no-exclusions", "--sources", "b")
    assert "kept 2 of 42 records; left out 40: 40 of other sources" in out
    succeed("pretrain", store, "--no-exclusions", "--sources", "a,b")
    assert "--sources: no c in the store; it has a, b" in fails(
        "pretrain", store, "--no-exclusions", "--sources", "c"
    )


def test_a_folder_that_is_no_store_is_one_line(run, tmp_path):
    code, out, err = run("pretrain", tmp_path / "nowhere", "--no-exclusions")
    assert (code, out) == (1, "")
    assert err.startswith("StoreError: ")
    assert err.count("\n") == 1


def test_the_segment_length_is_checked(make_store, fails):
    store = make_store("store", RECORDS)
    for seconds, message in (
        ("0.01", "--segment-seconds 0.01 is no sample at 10 Hz"),
        ("60", "no record is left of 40"),
    ):
        assert message in fails("pretrain", store, "--no-exclusions", "--segment-seconds", seconds)


def test_a_share_of_the_people_is_left_out_for_tests(make_store, succeed, fails, read):
    store = make_store("store", RECORDS)
    shares = ("--valid-fraction", 0.1, "--test-fraction", 0.1)
    assert "left out 4: 4 of patients for tests" in succeed("pretrain", store, "--no-exclusions", *shares)
    found = {name: len(set(manifest.patient_ids)) for name, manifest in read().items()}
    assert found == {"train": 16, "valid": 2}
    assert "must leave patients" in fails("pretrain", store, "--no-exclusions", "--test-fraction", 0.97)
