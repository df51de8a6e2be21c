"""From real recordings to checked manifests, PTB-XL under both of its published names among them."""

import ast
import csv
import importlib
import re
from collections import Counter

import pytest

from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.people import acquisition
from fairseq_signals.manifest.table import read_manifest

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def stores(shared_dir, tmp_path_factory):
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
    _preprocess("physionet2021", challenge, "--dest", folder / "challenge")
    metadata = ("--source", "ptbxl", "--metadata", folder / "metadata.csv")
    _preprocess("wfdb_folder", records, "--dest", folder / "ptbxl", *metadata)
    return folder


def _preprocess(name, *arguments):
    main = importlib.import_module(f"preprocess.{name}").main
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


def test_challenge_records_of_held_out_ptbxl_patients_are_left_out(stores, succeed, run, read, tmp_path):
    """Half of PTB-XL is held out; what the challenge has of that is found by the records' numbers."""
    options = ("--dest", tmp_path / "ptbxl", "--labels", "ptbxl_superclass", "--split", "2:1:1")
    succeed("classification", stores / "ptbxl", *options)
    held_out = {acquisition(r) for name in ("valid", "test") for r in read("ptbxl")[name].record_ids}
    succeed("pretrain", stores / "challenge", "--dest", tmp_path / "pre", "--exclude", tmp_path / "ptbxl")
    trained = {acquisition(r) for p in tmp_path.glob("pre/*.tsv") for r in read_manifest(p).record_ids}
    assert trained.isdisjoint(held_out)
    succeed("pretrain", stores / "challenge", "--dest", tmp_path / "all", "--no-exclusions")
    everybody = {acquisition(r) for p in tmp_path.glob("all/*.tsv") for r in read_manifest(p).record_ids}
    shared = everybody & held_out
    assert not shared & trained
    code, out, _ = run("check", tmp_path / "all", tmp_path / "ptbxl")
    assert code == 1 or not shared, out


@pytest.fixture(scope="module")
def ptbxl(shared_dir, tmp_path_factory):
    """PTB-XL through its own script, and the rows of its table."""
    table = next(iter(sorted(shared_dir.glob("real_ecg/*/ptbxl_database.csv"))), None)
    if table is None or not (table.parent / "records500").is_dir():
        pytest.skip("no PTB-XL with its table in the shared data")
    folder = tmp_path_factory.mktemp("ptbxl")
    _preprocess("ptbxl", table.parent, "--dest", folder / "store")
    with table.open(newline="", encoding="utf-8") as file:
        return folder / "store", list(csv.DictReader(file))


@pytest.mark.parametrize("task", ["all", "diagnostic", "subclass", "superclass", "form", "rhythm"])
def test_classes_and_folds_of_ptbxl_are_those_of_its_table(ptbxl, succeed, repo_dir, task, manifest_json):
    store, rows = ptbxl
    name = f"ptbxl_{task}"
    succeed("classification", store, "--labels", name, "--split-by", "strat_fold")
    labels = read_labels(repo_dir / "manifests" / "labels" / f"{name}.csv")
    expected: dict = {split: Counter() for split in ("train", "valid", "test")}
    n_records: Counter = Counter()
    for row in rows:
        split = {"9": "valid", "10": "test"}.get(row["strat_fold"], "train")
        n_records[split] += 1
        for i in labels.targets(ast.literal_eval(row["scp_codes"])):
            expected[split][labels.abbreviations[i]] += 1
    info = manifest_json()
    for split, counts in info["class_records"].items():
        assert {label: n for label, n in counts.items() if n} == expected[split]
        assert info["counts"][split]["records"] == n_records[split]


def test_the_table_of_ptbxl_gives_the_split_that_the_store_gives(ptbxl, shared_dir, succeed, tmp_path):
    table = next(iter(sorted(shared_dir.glob("real_ecg/*/ptbxl_database.csv"))))
    for name, how in (("a", ("--split-by", "strat_fold")), ("b", ("--split-table", table))):
        succeed("classification", ptbxl[0], "--dest", tmp_path / name, "--labels", "ptbxl_rhythm", *how)
    for split in ("train", "valid", "test"):
        first, second = (list(read_manifest(tmp_path / name / f"{split}.tsv").rows()) for name in "ab")
        assert first == second


def test_likelihoods_of_ptbxl_are_those_of_its_table(ptbxl, succeed, manifest_json):
    store, rows = ptbxl
    options = ("--labels", "ptbxl_diagnostic", "--split", "1:0:0", "--min-likelihood", 80)
    succeed("classification", store, *options)
    info = manifest_json()
    likelihoods = [ast.literal_eval(row["scp_codes"]) for row in rows]
    for code in ("NORM", "IMI", "ASMI", "LVH"):
        assert info["class_records"]["train"][code] == sum(
            code in found and not 0 < found[code] < 80 for found in likelihoods
        )


def test_all_patients_of_ptbxl_with_two_sessions_are_identified(ptbxl, stores, succeed, tmp_path):
    """Against classes from PTB-XL's other patients and the challenge."""
    store, rows = ptbxl
    both = (store, stores / "challenge")
    succeed("identification", *both, "--dest", tmp_path / "id", "--test-sources", "ptb-xl", "--test-all")
    sessions = Counter(str(int(float(row["patient_id"]))) for row in rows)
    with_two = {f"ptb-xl/{patient}" for patient, n in sessions.items() if n >= 2}
    gallery, probe = (read_manifest(tmp_path / "id" / f"test_{side}.tsv") for side in ("gallery", "probe"))
    assert set(gallery.patient_ids) == set(probe.patient_ids) == with_two
    assert len(gallery) == len(with_two)
    succeed("pretrain", *both, "--dest", tmp_path / "pre", "--exclude", tmp_path / "id")
    assert "no violations" in succeed("check", tmp_path / "id", tmp_path / "pre")


def test_records_of_ptbxl_are_chosen_by_age_sex_code_and_quality(ptbxl, succeed, read):
    store, rows = ptbxl
    expression = (
        "18 <= age < 65 and sex == 'female' and 'NORM' in codes and n_leads == 12 "
        "and attributes['static_noise'] is None"
    )
    options = ("--no-exclusions", "--valid-fraction", 0)
    succeed("pretrain", store, *options, "--where", expression)
    found = set(read()["train"].record_ids)
    assert found
    assert found == {
        f"ptb-xl/{int(row['ecg_id']):05d}_hr"
        for row in rows
        if row["age"]
        and 18 <= float(row["age"]) < 65
        and row["sex"] == "1"
        and "NORM" in ast.literal_eval(row["scp_codes"])
        and not row["static_noise"].strip()
    }


def test_real_persons_of_ptb_are_one_in_every_source(shared_dir, succeed, read, tmp_path):
    """Whom the lead-I database holds out is left out of PTB, of unknown patients, and of the challenge."""
    person = {}  # of each record's path
    for table in sorted(shared_dir.glob("*/MANIFEST.csv")):
        with table.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if re.fullmatch(r"ptb\d{3}", row["patient"])]
        person.update({table.parent / row["path"]: row["patient"] for row in rows})
    of_source = {
        source: {path: p for path, p in person.items() if source in path.parts}
        for source in ("lead1_variability", "ptbdb_10s", "WFDB_PTB")
    }
    variability = of_source.pop("lead1_variability")
    others = {path: p for paths in of_source.values() for path, p in paths.items()}
    both = sorted(set(variability.values()).intersection(others.values()))[:12]
    if len(both) < 12:
        pytest.skip("too few persons of PTB in several sources of the shared data")
    for path in (path for path, p in {**variability, **others}.items() if p in both):
        folder = tmp_path / "in" / path.parent.relative_to(shared_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for file in path.parent.glob(f"{path.name}.*"):
            (folder / file.name).symlink_to(file)
    table = tmp_path / "patients.csv"
    challenge = [f"{path.name},{p}" for path, p in of_source["WFDB_PTB"].items()]
    table.write_text("\n".join(["record_id,patient_id", *challenge]) + "\n")
    stores = [tmp_path / "lead1", tmp_path / "ptb", tmp_path / "challenge"]
    roots = [next((tmp_path / "in").rglob(name)) for name in ("lead1_variability", "ptbdb_10s", "WFDB_PTB")]
    _preprocess("lead1_variability", roots[0], "--dest", stores[0])
    _preprocess("wfdb_folder", roots[1], "--dest", stores[1], "--source", "ptbdb_10s")
    _preprocess("physionet2021", roots[2].parent, "--dest", stores[2], "--patients", table)
    succeed("identification", stores[0], "--dest", tmp_path / "id", "--test-fraction", 0.4)
    manifests = read("id")
    held_out = {
        p.partition("/")[2] for name, m in manifests.items() if name != "train" for p in m.patient_ids
    }
    assert len(held_out) >= 4
    succeed("pretrain", *stores[1:], "--exclude", tmp_path / "id", "--valid-fraction", 0)
    trained = {name.rpartition("/")[2] for name in read()["train"].record_ids}
    assert trained == {path.name for path, p in others.items() if p in set(both) - held_out}
