"""preprocess/physionet2021.py on small corpora in the layouts of PhysioNet."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fairseq_signals.store.reading import RecordStore


@pytest.fixture(scope="module")
def script(repo_dir):
    spec = importlib.util.spec_from_file_location(
        "preprocess_physionet2021", repo_dir / "preprocess" / "physionet2021.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_corpus(tmp_path, write_wfdb, ecg_adu):
    """`make_corpus({folder: [names]}, fs=...)`: records of 6 s as .mat files."""

    def make(folders, fs=500):
        root = tmp_path / "raw"
        for folder, names in folders.items():
            for name in names:
                adu = ecg_adu(n_samples=6 * fs, seed=sum(name.encode()))
                write_wfdb(
                    root / folder, name, adu, fs=fs, suffix=".mat", comments=["Age: 50", "Dx: 426783006"]
                )
        return root

    return make


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--workers", "1", *options])


def keys(dest):
    return [(e["source"], e["record_id"]) for e in RecordStore(dest).metadata().to_pylist()]


def test_the_folders_of_the_challenge_become_sources(script, make_corpus, tmp_path, capsys):
    root = make_corpus({"WFDB_CPSC2018": ["A0001"], "WFDB_Ga": ["E1", "E2"], "WFDB_PTBXL": ["HR1"]})
    assert run(script, root, tmp_path / "store") == 0
    assert keys(tmp_path / "store") == [
        ("cpsc_2018", "A0001"), ("georgia", "E1"), ("georgia", "E2"), ("ptb-xl", "HR1"),
    ]  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "kept 4 of 4 records\n"
    assert "warning: subset ningbo: there is no folder WFDB_Ningbo or ningbo" in err
    assert "subset georgia" not in err


def test_the_nested_layout_of_the_release_gives_the_same_store(script, make_corpus, tmp_path):
    flat = make_corpus({"WFDB_CPSC2018_2": ["Q1", "Q2"], "WFDB_Ningbo": ["J9"]})
    assert run(script, flat, tmp_path / "flat") == 0
    flat.rename(tmp_path / "was_flat")
    nested = make_corpus(
        {
            "training/cpsc_2018_extra/g1": ["Q1"],
            "training/cpsc_2018_extra/g2": ["Q2"],
            "training/ningbo/g1": ["J9"],
        }
    )
    for root, dest in [(nested, "nested"), (nested / "training", "inside")]:
        assert run(script, root, tmp_path / dest) == 0
        for path in (tmp_path / "flat").iterdir():
            assert (tmp_path / dest / path.name).read_bytes() == path.read_bytes()


def test_every_subset_is_known_by_both_of_its_names(script):
    names = script.parse_subsets(None)
    assert len(names) == 8
    assert script.parse_subsets(",".join(script.SUBSETS.values())) == names
    assert script.parse_subsets("PTB-XL, wfdb_ptbxl") == ["ptb-xl"]


@pytest.mark.parametrize(("fs", "name"), [(1000, "WFDB_PTB"), (257, "WFDB_StPetersburg")])
def test_records_at_other_rates_are_resampled_and_counted(script, make_corpus, tmp_path, capsys, fs, name):
    assert run(script, make_corpus({name: ["S1"]}, fs), tmp_path / "store") == 0
    assert f"1 resampled from {fs} Hz" in capsys.readouterr().out
    entry = RecordStore(tmp_path / "store").metadata().to_pylist()[0]
    assert (entry["fs"], entry["n_samples"], entry["patient_id"]) == (500.0, 3000, None)


def test_subsets_can_be_selected(script, make_corpus, tmp_path, capsys):
    root = make_corpus({"WFDB_CPSC2018": ["A1"], "WFDB_Ga": ["E1"], "WFDB_PTBXL": ["HR1"]})
    assert run(script, root, tmp_path / "store", "--subsets", "georgia,WFDB_PTBXL") == 0
    assert [source for source, _ in keys(tmp_path / "store")] == ["georgia", "ptb-xl"]
    assert "warning" not in capsys.readouterr().err


def test_a_table_can_name_the_patients(script, make_corpus, tmp_path, capsys):
    root = make_corpus({"WFDB_Ga": ["E1", "E2"], "WFDB_PTBXL": ["HR1"]})
    (tmp_path / "patients.csv").write_text("record_id,patient_id\nE1,07\nHR1,p2\nHR9,p3\n")
    assert run(script, root, tmp_path / "store", "--patients", str(tmp_path / "patients.csv")) == 0
    entries = RecordStore(tmp_path / "store").metadata().to_pylist()
    assert {e["record_id"]: e["patient_id"] for e in entries} == {"E1": "07", "E2": None, "HR1": "p2"}
    err = capsys.readouterr().err
    assert "1 records are not in" in err
    assert "1 rows of" in err


def test_a_name_that_occurs_twice_in_a_subset_is_kept_once_and_reported(script, make_corpus, tmp_path):
    root = make_corpus({"georgia/g1": ["E1"], "georgia/g2": ["E1", "E2"]})
    assert run(script, root, tmp_path / "store") == 0
    assert keys(tmp_path / "store") == [("georgia", "E1"), ("georgia", "E2")]
    (line,) = (tmp_path / "store" / "rejected.tsv").read_text().splitlines()[1:]
    record, kind, reason = line.split("\t")
    assert (record, kind) == ("georgia/E1", "with a name that occurs twice")
    assert "g2" in reason
    assert "g1" in reason
    assert "has the same name" in reason


def test_a_signal_file_without_a_header_is_reported(script, make_corpus, tmp_path, capsys):
    root = make_corpus({"WFDB_Ga": ["E1", "E2"]})
    (root / "WFDB_Ga" / "E2.hea").unlink()
    assert run(script, root, tmp_path / "store") == 0
    assert capsys.readouterr().out == "kept 1 of 2 records; rejected 1 without a header\n"
    assert (
        "no header names the signal file E2.mat. Restore E2.hea."
        in (tmp_path / "store" / "rejected.tsv").read_text()
    )


@pytest.mark.parametrize(
    ("folders", "options", "message"),
    [
        ({}, [], "there is no such folder"),
        (
            {"other": ["E1"]},
            [],
            "there is no folder WFDB_CPSC2018 or cpsc_2018, .* Give the folder that holds",
        ),
        ({"WFDB_Ga": ["E1"]}, ["--subsets", "ningbo"], r"there is no folder WFDB_Ningbo or ningbo\."),
        ({"WFDB_Ga": ["E1"]}, ["--subsets", "georgia,ningbo"], r"there is no folder WFDB_Ningbo or ningbo\."),
        ({"WFDB_Ga": ["E1"]}, ["--subsets", "gorgia"], "there is no subset 'gorgia'. They are cpsc_2018"),
    ],
)
def test_a_wrong_root_or_subset_is_an_error_in_one_line_and_nothing_is_written(
    script, make_corpus, tmp_path, capsys, folders, options, message
):
    root = make_corpus(folders)
    assert run(script, root, tmp_path / "store", *options) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning")]
    assert re.search(message, line)
    assert line.startswith("StoreError: ")
    assert not (tmp_path / "store").exists()


def test_empty_subset_folders_are_an_error_and_nothing_is_written(script, tmp_path, capsys):
    (tmp_path / "raw" / "WFDB_Ga").mkdir(parents=True)
    assert run(script, tmp_path / "raw", tmp_path / "store") == 1
    err = capsys.readouterr().err
    assert "warning: subset georgia: there is no record in" in err
    assert "there is no record (.hea) in any of the subset folders" in err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "option", [["--fs", "0"], ["--fs", "nan"], ["--workers", "0"], ["--records-per-shard", "-1"]]
)
def test_senseless_options_are_refused(script, tmp_path, option, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(script, tmp_path, tmp_path / "store", *option)
    assert exit_.value.code == 2
    assert "must be" in capsys.readouterr().err


def test_a_run_killed_at_any_moment_goes_on_and_ends_as_an_unbroken_one(
    script, repo_dir, make_corpus, tmp_path
):
    root = make_corpus({"WFDB_Ga": [f"E{i:02}" for i in range(40)]})
    options = ["--records-per-shard", "1", "--subsets", "georgia"]
    dest = tmp_path / "killed"
    command = [
        sys.executable,
        str(repo_dir / "preprocess" / "physionet2021.py"),
        str(root),
        "--dest",
        str(dest),
    ]
    process = subprocess.Popen(
        [*command, "--workers", "2", *options],
        env={**os.environ, "PYTHONPATH": str(repo_dir)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while (
        process.poll() is None and len(list(dest.glob("shard-*.arrow"))) < 3 and time.monotonic() < deadline
    ):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run(script, root, dest, *options) == 0
    assert run(script, root, tmp_path / "unbroken", *options) == 0
    killed = {path.name: path.read_bytes() for path in dest.iterdir()}
    unbroken = {path.name: path.read_bytes() for path in (tmp_path / "unbroken").iterdir()}
    assert killed == unbroken


@pytest.mark.shared
def test_the_store_equals_what_the_authors_preprocessing_gives(script, shared_dir, tmp_path):
    """`parity/preprocess.io.npz` holds their segments of `parity/raw_record`.

    Age and sex in it are a fault of theirs: those of the header are right.
    """
    arrays = np.load(shared_dir / "parity" / "preprocess.io.npz")
    raw = tmp_path / "raw" / "WFDB_PTBXL"
    raw.parent.mkdir()
    raw.symlink_to(shared_dir / "parity" / "raw_record")
    assert run(script, raw.parent, tmp_path / "store") == 0
    store = RecordStore(tmp_path / "store")
    n_compared = 0
    for entry in store.metadata().to_pylist():
        for key in arrays.files:
            record_id, _, rest = key.rpartition("_feats")[0].rpartition("_")
            if record_id != entry["record_id"]:
                continue
            expected = arrays[key]
            length = expected.shape[1]
            signal, present = store.read(entry["shard"], entry["row"], int(rest) * length, length)
            assert present.all()
            np.testing.assert_allclose(signal, expected, rtol=1e-6, atol=1e-7)
            assert int(arrays[f"{record_id}_{rest}_curr_sample_rate"].item()) == entry["fs"]
            n_compared += 1
        header = (raw / f"{entry['record_id']}.hea").read_text().lower()
        assert f"age: {entry['age']:g}" in header
        assert f"sex: {entry['sex']}" in header
        assert ",".join(entry["codes"]) in header
    assert n_compared >= 2


@pytest.mark.shared
def test_the_real_challenge_records_are_kept_or_rejected_with_a_reason(script, shared_dir, tmp_path, capsys):
    root = shared_dir / "real_ecg" / "cinc2021"
    headers = list(root.rglob("*.hea"))
    if not headers:
        pytest.skip(f"no record below {root}")
    assert run(script, root, tmp_path / "store") == 0
    rejected = (tmp_path / "store" / "rejected.tsv").read_text().splitlines()[1:]
    assert len(RecordStore(tmp_path / "store")) + len(rejected) == len(headers)
    assert "unforeseen" not in "".join(rejected)
    for entry in RecordStore(tmp_path / "store").metadata().to_pylist():
        assert entry["codes"]
        assert entry["source"] in script.SUBSETS
