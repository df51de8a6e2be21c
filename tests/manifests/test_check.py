"""`manifests/check.py` finds every broken promise, in our manifests and in the authors'."""

import json
import os
import random
import subprocess
import sys

import pytest

from fairseq_signals.manifest.folder import read_set
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest

RECORDS = [(f"r{i:02d}", {"patient_id": f"p{i // 2:02d}"}) for i in range(60)]


@pytest.fixture
def sets(make_store, succeed, tmp_path):
    """A store and clean manifests of all three kinds."""
    store = make_store("store", RECORDS)
    succeed("classification", store, "--dest", tmp_path / "dx", "--labels", "cinc2021")
    succeed("identification", store, "--dest", tmp_path / "id")
    succeed("pretrain", store, "--dest", tmp_path / "pre", "--exclude", tmp_path / "dx", tmp_path / "id")
    return tmp_path


def test_what_the_scripts_make_has_no_violations(sets, succeed):
    out = succeed("check", sets / "pre", sets / "dx", sets / "id")
    assert "no violations" in out
    assert f"{sets / 'dx'} (classification)" in out
    assert "train.tsv                 96 segments        48 records        24 patients" in out


@pytest.fixture
def violates(run):
    """`violates(*arguments, message)`: what `check` prints, which has the message as a violation."""

    def call(*arguments):
        *arguments, message = arguments
        code, out, _ = run("check", *arguments)
        assert code == 1
        assert any(message in line for line in out.splitlines() if line.startswith("VIOLATION")), out
        return out

    return call


def _edit(path, change):
    """Rewrite a manifest with `change(rows)`."""
    manifest = read_manifest(path, check_files=False)
    rows = list(manifest.rows())
    path.write_text("".join(format_manifest(manifest.root, change(rows) or rows)))


def _first_row(path):
    return next(iter(read_manifest(path).rows()))


def test_a_record_in_two_splits_is_found(sets, violates):
    row = _first_row(sets / "dx" / "train.tsv")
    _edit(sets / "dx" / "test.tsv", lambda rows: rows.append(row))
    violates(sets / "dx", "1 records of 1 patients are in both test and train; 1 are the same records")


def test_another_record_of_a_patient_in_two_splits_is_found(sets, violates):
    """Each record is in one split; the patient is in two."""
    row = _first_row(sets / "dx" / "train.tsv")
    _edit(sets / "dx" / "train.tsv", lambda rows: [r for r in rows if r.record_id != row.record_id])
    _edit(sets / "dx" / "test.tsv", lambda rows: rows.append(row))
    violates(sets / "dx", "of 1 patients are in both test and train; 0 are the same records")


def test_a_patient_hidden_under_a_wrong_name_is_found_through_the_store(sets, violates):
    row = _first_row(sets / "dx" / "train.tsv")
    hidden = row._replace(patient_id="a/somebody")
    _edit(sets / "dx" / "train.tsv", lambda rows: [r for r in rows if r.record_id != row.record_id])
    _edit(sets / "dx" / "test.tsv", lambda rows: rows.append(hidden))
    violates(sets / "dx", "of 1 patients are in both test and train")


@pytest.mark.parametrize(
    "held_out", ["dx/valid.tsv", "dx/test.tsv", "id/valid_gallery.tsv", "id/test_probe.tsv"]
)
def test_pre_training_on_what_is_held_out_is_found(sets, held_out, succeed, violates):
    row = _first_row(sets / held_out)._replace(target="")
    _edit(sets / "pre" / "train.tsv", lambda rows: rows.append(row))
    folder, name = held_out.split("/")
    split = name.split("_")[0].replace(".tsv", "")
    out = violates(sets / "pre", sets / folder, f"what {sets / folder} holds out for {split}")
    assert out.count("VIOLATION") == 1
    assert row.record_id in out
    succeed("check", sets / "pre")  # by itself the folder is sound


def test_a_test_class_among_the_training_classes_is_found(sets, violates):
    row = _first_row(sets / "id" / "test_probe.tsv")
    _edit(sets / "id" / "train.tsv", lambda rows: rows.append(row._replace(target="21")))
    out = violates(sets / "id", "are in both test and train")
    assert "classes must be" not in out


def test_faults_of_gallery_and_probe_are_found(sets, run):
    galleries = sets / "id" / "test_gallery.tsv"
    probes = sets / "id" / "test_probe.tsv"
    first, second = list(read_manifest(galleries).rows())[:2]
    shard = first.path.rsplit(":", 1)[0]
    _edit(galleries, lambda rows: [row for row in rows if row.patient_id != second.patient_id])
    _edit(
        probes,
        lambda rows: [*rows[:-1], rows[-1]._replace(path="x#0:0"), first._replace(path=f"{shard}:25")],
    )
    _, out, _ = run("check", sets / "id")
    assert "1 probes are of patients who are not in the gallery" in out
    assert f"1 segments are in the gallery too (such as {shard}:25)" in out  # half a segment later
    assert "paths do not exist in the store (such as x#0:0)" in out


def test_a_probe_of_the_gallery_record_is_found_unless_it_is_meant(sets, succeed, violates):
    gallery = _first_row(sets / "id" / "test_gallery.tsv")
    shard = gallery.path.rsplit(":", 1)[0]
    later = gallery._replace(path=f"{shard}:50", segment=1)
    _edit(sets / "id" / "test_probe.tsv", lambda rows: [later, *rows[1:]])
    violates(sets / "id", "1 probes are of a record that is in the gallery too")
    info = json.loads((sets / "id" / "manifest.json").read_text())
    info["within_record"]["test"] = True
    (sets / "id" / "manifest.json").write_text(json.dumps(info))
    succeed("check", sets / "id")


def test_a_probe_without_a_gallery_is_found(sets, violates):
    (sets / "id" / "test_gallery.tsv").unlink()
    violates(sets / "id", "there is no gallery for it")


def test_faults_of_classes_are_found(sets, run):
    def change(rows):
        rows[-1] = rows[-1]._replace(target="99")
        rows[0] = rows[0]._replace(target="1")

    _edit(sets / "id" / "train.tsv", change)
    _, out, _ = run("check", sets / "id")
    assert "classes must be 0 to 21, without gaps" in out
    assert "2 patients have several classes" in out
    assert "1 classes have several patients (such as 1)" in out


def test_targets_beyond_the_label_table_are_found(sets, violates):
    _edit(sets / "dx" / "test.tsv", lambda rows: [rows[0]._replace(target="3,26"), *rows[1:]])
    violates(sets / "dx", "1 targets are beyond the 26 classes")
    (sets / "dx" / "labels.csv").write_text("nonsense")
    violates(sets / "dx", "labels.csv:1: the header must be")
    (sets / "dx" / "labels.csv").unlink()
    violates(sets / "dx", "there is no labels.csv")


def test_paths_are_compared_with_the_store(sets, run):
    def change(rows):
        shard = rows[0].path.split("#")[0]
        bad = [
            rows[0]._replace(path=f"{shard}#999:0"),
            rows[2]._replace(path=rows[4].path),
            rows[5]._replace(path=rows[5].path.replace(":50", ":51")),
        ]
        return [rows[1], rows[1], *rows[6:], *bad]

    _edit(sets / "pre" / "train.tsv", change)
    _, out, _ = run("check", sets / "pre")
    assert "1 paths do not exist in the store" in out
    assert "1 paths are of another record" in out
    assert "1 segments reach past the end of their record" in out
    assert "1 segments are listed more than once" in out


def test_a_store_that_is_gone_is_a_violation_and_not_a_traceback(sets, violates):
    (sets / "store").rename(sets / "moved")
    violates(sets / "pre", "paths do not exist in the store")


def test_a_malformed_manifest_is_a_violation(sets, fails, violates):
    (sets / "pre" / "valid.tsv").write_text("/data\nx\n")
    violates(sets / "pre", "valid.tsv:2: expected")
    (sets / "pre" / "manifest.json").write_text("{")
    assert "manifest.json: not a readable JSON file" in fails("check", sets / "pre")
    (sets / "pre" / "manifest.json").write_text('{"kind": ["pretrain"]}')
    assert "manifest.json: kind must be a text" in fails("check", sets / "pre")


def test_no_folder_or_one_without_manifests_is_told(tmp_path, fails):
    assert "name at least one folder" in fails("check")
    assert "no manifests (*.tsv) in it" in fails("check", tmp_path)


def test_one_recording_under_two_published_names_is_found(make_store, succeed, tmp_path, violates):
    ptbxl = make_store(
        "a", [(f"{i:05d}_hr", {"source": "ptbxl", "patient_id": str(i // 2)}) for i in range(40)]
    )
    physionet = make_store("b", [(f"HR{i:05d}", {"source": "ptb-xl"}) for i in range(40)])
    succeed("identification", ptbxl, "--dest", tmp_path / "id")
    succeed("pretrain", physionet, "--dest", tmp_path / "pre", "--no-exclusions", "--valid-fraction", 0)
    out = violates(tmp_path / "pre", tmp_path / "id", "8 records of 4 patients are of what")
    assert "8 are the same records" in out


# the authors' manifests


@pytest.fixture
def mats(tmp_path):
    """Manifests as the authors' script makes them: segments shuffled over splits, pre-training on all."""
    root = tmp_path / "mats"
    root.mkdir()
    files = [f"A{i:04d}_{k}.mat" for i in range(100) for k in (0, 1)]
    for file in files:
        (root / file).touch()
    random.Random(42).shuffle(files)
    for name, part in (("train", files[:160]), ("valid", files[160:180]), ("test", files[180:])):
        _write_mats(tmp_path / "finetune" / f"{name}.tsv", root, [f"{file}\t2500" for file in part])
    _write_mats(tmp_path / "pretrain" / "train.tsv", root, [f"{file}\t2500" for file in sorted(files)])
    pairs = [f"A{i:04d}\t2500\t0\t0,1" for i in range(100)]
    _write_mats(tmp_path / "cmsc" / "train.tsv", root, ["mat", *pairs])
    return tmp_path


def _write_mats(path, root, lines):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([str(root), *lines]) + "\n")


def test_the_leak_of_splits_over_segments_is_revealed(mats, violates):
    manifests = read_set(mats / "finetune").manifests
    both = set(manifests["train"].record_ids) & set(manifests["test"].record_ids)
    assert len(both) > 10
    message = f"{len(both)} records of {len(both)} patients are in both test and train"
    out = violates(mats / "finetune", message)
    assert f"{len(both)} are the same records" in out


def test_pre_training_on_the_authors_test_segments_is_revealed(mats, violates):
    n_test = len(set(read_set(mats / "finetune").manifests["test"].record_ids))
    message = f"{n_test} records of {n_test} patients are of what {mats / 'finetune'} holds out for test"
    violates(mats / "cmsc", mats / "finetune", message)  # a CMSC manifest is known by its layout
    violates(mats / "finetune", "--pretrain", mats / "pretrain", message)


def test_one_file_named_from_two_roots_is_one_record(mats, violates):
    _write_mats(mats / "other" / "train.tsv", mats, ["mats/A0000_0.mat\t2500", "mats/A0000_1.mat\t2500"])
    _write_mats(mats / "task" / "test.tsv", mats / "mats", ["A0000_1.mat\t2500"])
    violates(mats / "task", "--pretrain", mats / "other", "1 records of 1 patients are of what")


def test_an_authors_identification_set_is_checked(mats, succeed, violates):
    root = mats / "mats"
    _write_mats(mats / "who" / "train.tsv", root, ["A0000_0.mat\t2500\t0", "A0001_0.mat\t2500\t1"])
    _write_mats(mats / "who" / "valid_gallery.tsv", root, ["A0002_0.mat\t2500\t0", "A0003_0.mat\t2500\t1"])
    _write_mats(mats / "who" / "valid_probe.tsv", root, ["A0002_1.mat\t2500\t0", "A0003_1.mat\t2500\t1"])
    assert "(identification)" in succeed("check", mats / "who")
    _write_mats(mats / "who" / "valid_probe.tsv", root, ["A0000_1.mat\t2500\t0", "gone_1.mat\t2500\t7"])
    out = violates(mats / "who", "are in both train and valid")
    assert "1 paths do not exist (such as gone_1.mat)" in out
    assert "1 probes are of patients who are not in the gallery (such as gone)" in out


def test_mats_and_stores_are_not_compared_and_that_is_told(sets, mats, run):
    _, out, _ = run("check", sets / "pre", "--pretrain", mats / "cmsc")
    assert "note: manifests of .mat files do not tell the corpus" in out


# as commands


def test_scripts_run_by_path_without_torch_and_without_fairseq(repo_dir, sets):
    environment = {**os.environ, "PYTHONPATH": str(repo_dir)}
    for name in ("pretrain", "classification", "identification", "check"):
        script = str(repo_dir / "manifests" / f"{name}.py")
        code = (
            "import runpy, sys\n"
            f"try: runpy.run_path({script!r}, run_name='__main__')\n"
            "except SystemExit: pass\n"
            "assert not {'torch', 'fairseq', 'scipy', 'sklearn'} & set(sys.modules)"
        )
        arguments = [sys.executable, "-c", code, str(sets / "pre")]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
        assert "Traceback" not in done.stderr, done.stderr
    arguments = [sys.executable, script, str(sets / "nowhere")]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("ManifestError: ")
    assert done.stderr.count("\n") == 1


def test_a_row_is_a_plain_tuple():
    assert Row("a#0:0", 50, "r", "p", 0) == ("a#0:0", 50, "r", "p", 0, "")
