"""`manifests/classification.py`: classes from codes, splits by patient or as published."""

import pytest

from fairseq_signals.manifest.labels import read_labels, read_weights

AF, NSR, CLBBB, LBBB = "164889003", "426783006", "733534002", "164909002"
RECORDS = [
    (f"r{i:02d}", {"patient_id": f"p{i // 2}", "codes": (AF if i % 4 else NSR,), "seconds": 10 + 5 * (i % 2)})
    for i in range(40)
]


def test_every_segment_of_a_record_has_its_classes(make_store, succeed, rows):
    records = [*RECORDS, ("both", {"codes": (LBBB, AF, CLBBB, "0")}), ("none", {"codes": ("0",)})]
    out = succeed("classification", make_store("s", records), "--labels", "cinc2021")
    listed, targets = rows(), {}
    for row in listed:
        targets.setdefault(row.record_id, set()).add(row.target)
    assert targets["a/both"] == {"0,4"}
    assert targets["a/none"] == {""}
    assert targets["a/r00"] == {"14"}
    assert targets["a/r01"] == {"0"}
    assert sum(row.record_id == "a/r01" for row in listed) == 3  # 15 s
    assert "1 records of none of the classes are kept, with an empty target" in out


def test_codes_that_the_table_does_not_have_are_shown_with_their_records(make_store, succeed, manifest_json):
    records = [
        *RECORDS,
        ("x", {"codes": ("7", "8", AF)}),
        *((f"y{i}", {"codes": ("8",)}) for i in range(1200)),
    ]
    out = succeed("classification", make_store("s", records), "--labels", "cinc2021")
    assert "2 codes are of no class (with their records): 8 (1,201), 7 (1)" in out
    assert manifest_json()["unknown_codes"] == {"8": 1201, "7": 1}


def test_class_counts_are_of_records_not_of_segments(make_store, succeed, manifest_json):
    out = succeed("classification", make_store("s", RECORDS), "--labels", "cinc2021")
    per_split = manifest_json()["class_records"]
    assert sum(numbers["AF"] for numbers in per_split.values()) == 30
    assert sum(numbers["NSR"] for numbers in per_split.values()) == 10
    assert "no training record of 24 classes: AFL, BBB" in out


def test_unlabelled_records_are_left_out_if_asked(make_store, succeed):
    store = make_store("s", [*RECORDS, ("none", {"codes": ()})])
    out = succeed("classification", store, "--labels", "cinc2021", "--drop-unlabelled")
    assert "kept 40 of 41 records; left out 1: 1 of none of the classes" in out


def test_records_of_none_or_several_classes_are_left_out_for_classes_that_exclude_each_other(
    make_store, succeed, rows
):
    others = [("none", {"codes": ()}), ("both", {"codes": (AF, NSR)}), ("twice", {"codes": (CLBBB, LBBB)})]
    out = succeed(
        "classification", make_store("s", [*RECORDS, *others]), "--labels", "cinc2021", "--one-class"
    )
    assert "kept 41 of 43 records; left out 2: 2 not of exactly one class" in out
    assert "are kept, with an empty target" not in out
    assert {row.target for row in rows()} == {"0", "4", "14"}


def test_splits_are_eight_one_one_by_patient_and_independent_of_the_order_of_rows(
    make_store, succeed, tmp_path, read
):
    """A sibling segment of a test segment, or another record of its patient, is in no other split."""
    found = []
    for name, records, shards in (("a", RECORDS, 1), ("b", RECORDS[::-1], 3)):
        store = make_store(name, records, shards)
        succeed("classification", store, "--dest", tmp_path / f"m{name}", "--labels", "cinc2021")
        splits = read(f"m{name}")
        patients = {split: set(manifest.patient_ids) for split, manifest in splits.items()}
        assert [len(patients[split]) for split in ("train", "valid", "test")] == [16, 2, 2]
        assert len(set.union(*patients.values())) == 20
        found.append({s: [(r.record_id, r.segment, r.target) for r in m.rows()] for s, m in splits.items()})
    assert found[0] == found[1]


def test_records_are_split_where_patients_are_not_known(make_store, succeed, read):
    store = make_store("s", [(f"r{i}", {}) for i in range(10)])
    succeed("classification", store, "--labels", "cinc2021")
    test = read()["test"]
    assert set(test.patient_ids) == {f"a/record/{record.split('/')[1]}" for record in test.record_ids}
    assert len(test) == 2


def test_the_label_table_and_its_weights_lie_beside_the_manifests(make_store, succeed, tmp_path, repo_dir):
    store = make_store("s", RECORDS)
    succeed("classification", store, "--labels", "cinc2021")
    labels = read_labels(tmp_path / "m" / "labels.csv")
    assert labels == read_labels(repo_dir / "manifests" / "labels" / "cinc2021.csv")
    assert read_weights(tmp_path / "m" / "weights.csv", labels).shape == (26, 26)


def test_files_of_an_earlier_run_do_not_stay(make_store, succeed, tmp_path):
    store = make_store("s", [*RECORDS, ("n", {"codes": ("NORM",)})])
    succeed("classification", store, "--labels", "cinc2021")
    succeed("classification", store, "--labels", "ptbxl_superclass", "--split", "1:0:1")
    left = {path.name for path in (tmp_path / "m").iterdir()}
    assert left == {"labels.csv", "manifest.json", "test.tsv", "train.tsv"}


def test_a_folder_of_another_kind_is_not_overwritten(make_store, succeed, tmp_path, fails):
    store = make_store("s", RECORDS)
    succeed("pretrain", store, "--no-exclusions")
    before = (tmp_path / "m" / "train.tsv").read_bytes()
    assert "holds pretrain manifests; choose another --dest for classification" in fails(
        "classification", store, "--labels", "cinc2021"
    )
    assert (tmp_path / "m" / "train.tsv").read_bytes() == before


def test_a_destination_that_is_a_file_is_told(make_store, tmp_path, fails):
    (tmp_path / "m").touch()
    err = fails("classification", make_store("s", RECORDS), "--labels", "cinc2021")
    assert err.startswith(
        f"OutputError: {tmp_path / 'm'}: cannot be written (File exists). Choose another name"
    )


def test_records_of_another_corpus_in_the_store_change_nothing(make_store, succeed, tmp_path, read):
    for name, more in (("alone", []), ("together", [(f"x{i}", {"source": "other"}) for i in range(30)])):
        store = make_store(name, [*RECORDS, *more])
        succeed(
            "classification", store, "--dest", tmp_path / f"m{name}", "--labels", "cinc2021", "--sources", "a"
        )
    alone, together = ({k: list(m.rows()) for k, m in read(f"m{n}").items()} for n in ("alone", "together"))
    assert alone == together


def test_weights_must_fit_the_table(make_store, tmp_path, fails):
    (tmp_path / "w.csv").write_text(",1\n1,1\n")
    assert "no weights for class 0 (atrial fibrillation" in fails(
        "classification", make_store("s", RECORDS), "--labels", "cinc2021", "--weights", tmp_path / "w.csv"
    )
    assert not (tmp_path / "m").exists()


def test_a_table_of_other_codes_is_refused(make_store, fails):
    store = make_store("s", RECORDS)
    assert f"none of the 40 records has a code of the table. Codes in the store: {AF}, {NSR}" in fails(
        "classification", store, "--labels", "ptbxl_superclass"
    )


@pytest.mark.parametrize("split", ["8:1", "a:b:c", "0:0:0"])
def test_a_split_that_is_none_is_refused(make_store, split, fails):
    store = make_store("s", RECORDS)
    err = fails("classification", store, "--labels", "cinc2021", "--split", split)
    assert "split must be 3 numbers" in err or "shares must be" in err


# published splits


def test_a_published_split_by_fold_is_used(make_store, succeed, tmp_path, read):
    """PTB-XL's own table: patients as decimal numbers, folds 1 to 8 train, 9 valid, 10 test."""
    store = make_store("s", [(f"{i:05d}_hr", {"patient_id": str(i % 10 + 1)}) for i in range(20)])
    lines = ["ecg_id,patient_id,strat_fold", *(f"{i},{i % 10 + 1}.0,{i % 10 + 1}" for i in range(30))]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    out = _classify(succeed, store, tmp_path)
    assert set(read()["valid"].patient_ids) == {"a/9"}
    assert set(read()["test"].patient_ids) == {"a/10"}
    assert len(set(read()["train"].patient_ids)) == 8
    assert "left out 0" in out


def test_a_published_split_by_record_is_used_and_unnamed_records_are_counted(
    make_store, succeed, tmp_path, read
):
    store = make_store("s", [("r1", {}), ("r2", {}), ("r3", {}), ("r4", {})])
    (tmp_path / "table.csv").write_text("record_id,split\nr1,train\na/r2,valid\nr3,test\nr9,test\n")
    out = _classify(succeed, store, tmp_path)
    assert set(read()["train"].record_ids) == {"a/r1"}
    assert set(read()["valid"].record_ids) == {"a/r2"}
    assert set(read()["test"].record_ids) == {"a/r3"}
    assert "kept 3 of 4 records; left out 1: 1 not in table.csv" in out


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "record,split\nr1,train\n",
            "table.csv:1: needs a column patient_id or record_id, but has record, s",
        ),
        (
            "record_id,fold\nr1,1\n",
            "table.csv:1: needs a column split or strat_fold, but has record_id, fold",
        ),
        ("record_id,split\nr1,dev\n", "table.csv:2: split must be train, valid, test, but is 'dev' instead"),
        ("record_id,strat_fold\nr1,11\n", "table.csv:2: strat_fold must be 1 to 10, but is '11' instead"),
        ("record_id,split\nr1,train\nr1,test\n", "table.csv:3: record_id r1 is in train and in test"),
        ("record_id,split\nr1,train\nr2,test\n", "patient a/p is in train and, with record a/r2, in test"),
        ("record_id,split\nx,train\n", "record_id column names none of the 2 records ('x' there, 'a/r1' in"),
        ("", "table.csv:1: needs a column"),
    ],
)
def test_a_published_split_that_does_not_fit_is_refused(make_store, tmp_path, table, message, fails):
    store = make_store("s", [("r1", {"patient_id": "p"}), ("r2", {"patient_id": "p"})])
    (tmp_path / "table.csv").write_text(table)
    assert message in _classify(fails, store, tmp_path)


def test_a_published_split_that_is_not_there_is_told(make_store, tmp_path, fails):
    assert "table.csv: there is no such table" in _classify(fails, make_store("s", [("r1", {})]), tmp_path)


def test_a_name_of_two_corpora_needs_its_source(make_store, succeed, tmp_path, fails):
    store = make_store("s", [("1", {"source": "x"}), ("1", {"source": "y"})])
    (tmp_path / "table.csv").write_text("record_id,split\n1,train\n")
    assert "record_id '1' is in two corpora (x/1, y/1)" in _classify(fails, store, tmp_path)
    _classify(succeed, store, tmp_path, "--sources", "x")


def _classify(call, store, folder, *more):
    return call("classification", store, "--labels", "cinc2021", "--split-table", folder / "table.csv", *more)


def test_a_class_left_out_of_training_is_listed_as_unseen_in_the_other_splits(
    make_store, succeed, read, tmp_path, manifest_json
):
    both = [(f"b{i}", {"patient_id": f"q{i}", "codes": (AF, NSR, LBBB)}) for i in range(20)]
    store = make_store("s", [*RECORDS, *both])
    options = ("--labels", "cinc2021", "--split", "1:1:1")
    succeed("classification", store, *options)
    before = {name: set(manifest.record_ids) for name, manifest in read().items()}
    out = succeed("classification", store, *options, "--leave-class-out", "NSR", "CLBBB|LBBB")
    found = read()
    labels = read_labels(tmp_path / "m" / "labels.csv")
    assert len(labels) == 24
    assert not {"NSR", "CLBBB|LBBB"} & set(labels.abbreviations)
    assert not (tmp_path / "m" / "weights.csv").exists()
    unseen = {f"a/b{i}" for i in range(20)} | {f"a/r{i:02d}" for i in range(0, 40, 4)}
    for split in ("valid", "test"):
        assert set(found[split].record_ids) == before[split] - unseen
        assert set(found[f"{split}_unseen"].record_ids) == before[split] & unseen
    assert set(found["train"].record_ids) == before["train"] - unseen
    assert f"{len(before['train'] & unseen)} of NSR, CLBBB|LBBB, left out of training" in out
    of_both = [row.target for row in found["test_unseen"].rows() if row.record_id.startswith("a/b")]
    assert set(of_both) == {str(labels.abbreviations.index("AF"))}
    assert set(manifest_json()["class_records"]) == {"train", "valid", "test"}
    succeed("check", tmp_path / "m")
    succeed("classification", store, *options)
    assert set(read()) == {"train", "valid", "test"}


def test_classes_that_are_not_there_or_all_cannot_be_left_out(make_store, fails):
    store = make_store("s", RECORDS)
    err = fails("classification", store, "--labels", "ptbxl_superclass", "--leave-class-out", "NROM")
    assert "there is no class 'NROM' among NORM, MI, STTC, CD, HYP; did you mean NORM?" in err
    every = ("NORM", "MI", "STTC", "CD", "HYP")
    err = fails("classification", store, "--labels", "ptbxl_superclass", "--leave-class-out", *every)
    assert "no class is left of NORM, MI, STTC, CD, HYP" in err
