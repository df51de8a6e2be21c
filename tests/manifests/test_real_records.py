"""From real recordings to checked manifests, PTB-XL under both of its published names among them."""

import csv
import runpy

import pytest

from fairseq_signals.data.manifest import read_manifest
from fairseq_signals.data.people import acquisition

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def stores(shared_dir, repo_dir, tmp_path_factory):
    """A store of the challenge's records and one of PTB-XL, with patients and superclasses."""
    challenge = next((p.parent for p in sorted(shared_dir.glob("real_ecg/*/WFDB_*"))), None)
    table = next(iter(sorted(shared_dir.glob("real_ecg/*/ptbxl_labels.csv"))), None)
    if challenge is None or table is None or not (table.parent / "records500").is_dir():
        pytest.skip("no challenge records or no PTB-XL with labels in the shared data")
    folder = tmp_path_factory.mktemp("stores")
    with table.open(newline="") as file:
        known = {int(row["ecg_id"]): row for row in csv.DictReader(file)}
    records = table.parent / "records500"
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["record_id", "patient_id", "codes"])
        for header in sorted(records.rglob("*.hea")):
            row = known[int(header.stem.split("_")[0])]
            codes = "|".join(row["super_class"].replace(",", " ").replace(";", " ").split())
            record_id = header.relative_to(records).with_suffix("").as_posix()
            writer.writerow([record_id, row["patient_id"], codes])
    _preprocess(repo_dir, "physionet2021", challenge, "--dest", folder / "challenge")
    metadata = ("--source", "ptbxl", "--metadata", folder / "metadata.csv")
    _preprocess(repo_dir, "wfdb_folder", records, "--dest", folder / "ptbxl", *metadata)
    return folder


def _preprocess(repo_dir, name, *arguments):
    main = runpy.run_path(str(repo_dir / "preprocess" / f"{name}.py"), run_name="script")["main"]
    assert main([str(argument) for argument in (*arguments, "--workers", 1)]) == 0


def test_manifests_of_real_records_have_no_violations(stores, succeed, run, tmp_path):
    tasks = {
        "dx": ("classification", stores / "challenge", "--labels", "cinc2021"),
        "ptbxl": ("classification", stores / "ptbxl", "--labels", "ptbxl_superclass"),
        "id": ("identification", stores / "challenge", "--within-record"),
    }
    for name, (script, *arguments) in tasks.items():
        succeed(script, *arguments, "--dest", tmp_path / name)
    folders = [tmp_path / name for name in tasks]
    both = (stores / "challenge", stores / "ptbxl")
    succeed("pretrain", *both, "--dest", tmp_path / "pre", "--exclude", *folders)
    assert "no violations" in succeed("check", tmp_path / "pre", *folders)
    trained = {acquisition(r) for p in tmp_path.glob("pre/*.tsv") for r in read_manifest(p).record_ids}
    held_out = {acquisition(r) for p in tmp_path.glob("*/test*.tsv") for r in read_manifest(p).record_ids}
    assert trained
    assert held_out
    assert trained.isdisjoint(held_out)

    succeed("pretrain", *both, "--dest", tmp_path / "leaky", "--no-exclusions")
    code, out, _ = run("check", tmp_path / "leaky", *folders)
    assert code == 1
    assert all(f"of what {folder} holds out for test" in out for folder in folders)


def test_challenge_records_of_held_out_ptbxl_patients_are_left_out(stores, succeed, run, tmp_path):
    """Half of PTB-XL is held out; what the challenge has of that is found by the records' numbers."""
    succeed(
        "classification",
        stores / "ptbxl",
        "--dest",
        tmp_path / "ptbxl",
        "--labels",
        "ptbxl_superclass",
        "--split",
        "2:1:1",
    )
    held_out = {
        acquisition(record)
        for name in ("valid", "test")
        for record in read_manifest(tmp_path / "ptbxl" / f"{name}.tsv").record_ids
    }
    succeed("pretrain", stores / "challenge", "--dest", tmp_path / "pre", "--exclude", tmp_path / "ptbxl")
    trained = {acquisition(r) for p in tmp_path.glob("pre/*.tsv") for r in read_manifest(p).record_ids}
    assert trained.isdisjoint(held_out)
    succeed("pretrain", stores / "challenge", "--dest", tmp_path / "all", "--no-exclusions")
    everybody = {acquisition(r) for p in tmp_path.glob("all/*.tsv") for r in read_manifest(p).record_ids}
    shared = everybody & held_out
    assert not shared & trained
    code, out, _ = run("check", tmp_path / "all", tmp_path / "ptbxl")
    assert code == 1 or not shared, out
