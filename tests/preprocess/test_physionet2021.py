"""preprocess/physionet2021.py on small corpora in the layouts of PhysioNet."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fairseq_signals.store.reading import RecordStore


@pytest.fixture
def root(tmp_path):
    return tmp_path / "raw"


@pytest.fixture
def make_corpus(write_wfdb, ecg_adu, root):
    """`make_corpus({folder: [names]}, fs=...)`: records of 6 s as .mat files, below `root`."""

    def make(folders, fs=500):
        for folder, names in folders.items():
            for name in names:
                adu = ecg_adu(n_samples=6 * fs, seed=sum(name.encode()))
                comments = ["Age: 50", "Dx: 426783006"]
                write_wfdb(root / folder, name, adu, fs=fs, suffix=".mat", comments=comments)

    return make


def keys(found):
    return [(entry["source"], record_id) for record_id, entry in found.items()]


def test_the_folders_of_the_challenge_become_sources(make_corpus, capsys, stored):
    make_corpus({"WFDB_CPSC2018": ["A0001"], "WFDB_Ga": ["E1", "E2"], "WFDB_PTBXL": ["HR1"]})
    assert keys(stored()) == [
        ("cpsc_2018", "A0001"), ("georgia", "E1"), ("georgia", "E2"), ("ptb-xl", "HR1"),
    ]  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "kept 4 of 4 records\n"
    assert "warning: subset ningbo: there is no folder WFDB_Ningbo or ningbo" in err
    assert "subset georgia" not in err


def test_the_nested_layout_of_the_release_gives_the_same_store(make_corpus, tmp_path, stored, root):
    make_corpus({"WFDB_CPSC2018_2": ["Q1", "Q2"], "WFDB_Ningbo": ["J9"]})
    stored(dest="flat")
    root.rename(tmp_path / "was_flat")
    extra = "training/cpsc_2018_extra"
    make_corpus({f"{extra}/g1": ["Q1"], f"{extra}/g2": ["Q2"], "training/ningbo/g1": ["J9"]})
    for folder, dest in [(root, "nested"), (root / "training", "inside")]:
        stored(root=folder, dest=dest)
        for path in (tmp_path / "flat").iterdir():
            assert (tmp_path / dest / path.name).read_bytes() == path.read_bytes()


def test_every_subset_is_known_by_both_of_its_names(script):
    names = script.parse_subsets(None)
    assert len(names) == 8
    assert script.parse_subsets(",".join(script.SUBSETS.values())) == names
    assert script.parse_subsets("PTB-XL, wfdb_ptbxl") == ["ptb-xl"]


@pytest.mark.parametrize(("fs", "name"), [(1000, "WFDB_PTB"), (257, "WFDB_StPetersburg")])
def test_records_at_other_rates_are_resampled_and_counted(make_corpus, capsys, fs, name, stored):
    make_corpus({name: ["S1"]}, fs)
    (entry,) = stored().values()
    assert f"1 resampled from {fs} Hz" in capsys.readouterr().out
    assert (entry["fs"], entry["n_samples"], entry["patient_id"]) == (500.0, 3000, None)


def test_subsets_can_be_selected(make_corpus, capsys, stored):
    make_corpus({"WFDB_CPSC2018": ["A1"], "WFDB_Ga": ["E1"], "WFDB_PTBXL": ["HR1"]})
    found = stored("--subsets", "georgia,WFDB_PTBXL")
    assert [source for source, _ in keys(found)] == ["georgia", "ptb-xl"]
    assert "warning" not in capsys.readouterr().err


def test_a_table_can_name_the_patients(make_corpus, tmp_path, capsys, stored):
    make_corpus({"WFDB_Ga": ["E1", "E2"], "WFDB_PTBXL": ["HR1"]})
    (tmp_path / "patients.csv").write_text("record_id,patient_id\nE1,07\nHR1,p2\nHR9,p3\n")
    found = stored("--patients", tmp_path / "patients.csv")
    assert {name: entry["patient_id"] for name, entry in found.items()} == {
        "E1": "07",
        "E2": None,
        "HR1": "p2",
    }
    err = capsys.readouterr().err
    assert "1 records are not in" in err
    assert "1 rows of" in err


def test_a_name_that_occurs_twice_in_a_subset_is_kept_once_and_reported(make_corpus, stored, rejected):
    make_corpus({"georgia/g1": ["E1"], "georgia/g2": ["E1", "E2"]})
    assert keys(stored()) == [("georgia", "E1"), ("georgia", "E2")]
    ((record, line),) = rejected().items()
    kind, reason = line.split("\t")
    assert (record, kind) == ("georgia/E1", "with a name that occurs twice")
    assert "g2" in reason
    assert "g1" in reason
    assert "has the same name" in reason


def test_a_signal_file_without_a_header_is_reported(make_corpus, capsys, stored, rejected, root):
    make_corpus({"WFDB_Ga": ["E1", "E2"]})
    (root / "WFDB_Ga" / "E2.hea").unlink()
    stored()
    assert capsys.readouterr().out == "kept 1 of 2 records; rejected 1 without a header\n"
    assert "no header names the signal file E2.mat. Restore E2.hea." in rejected()["georgia/E2"]


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
    make_corpus, folders, options, message, fails
):
    make_corpus(folders)
    line = fails(*options)
    assert re.search(message, line)
    assert line.startswith("StoreError: ")


def test_empty_subset_folders_are_an_error_and_nothing_is_written(tmp_path, capsys, run):
    (tmp_path / "raw" / "WFDB_Ga").mkdir(parents=True)
    assert run(root=tmp_path / "raw") == 1
    err = capsys.readouterr().err
    assert "warning: subset georgia: there is no record in" in err
    assert "there is no record (.hea) in any of the subset folders" in err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "option", [["--fs", "0"], ["--fs", "nan"], ["--workers", "0"], ["--records-per-shard", "-1"]]
)
def test_senseless_options_are_refused(option, capsys, run):
    with pytest.raises(SystemExit) as exit_:
        run(*option)
    assert exit_.value.code == 2
    assert "must be" in capsys.readouterr().err


def test_a_run_killed_at_any_moment_goes_on_and_ends_as_an_unbroken_one(
    repo_dir, make_corpus, tmp_path, stored, root
):
    make_corpus({"WFDB_Ga": [f"E{i:02}" for i in range(40)]})
    options = ["--records-per-shard", "1", "--subsets", "georgia"]
    dest = tmp_path / "killed"
    script = repo_dir / "preprocess" / "physionet2021.py"
    process = subprocess.Popen(
        [sys.executable, script, root, "--dest", dest, "--workers", "2", *options],
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
    stored(*options, dest="killed")
    stored(*options, dest="unbroken")
    killed = {path.name: path.read_bytes() for path in dest.iterdir()}
    unbroken = {path.name: path.read_bytes() for path in (tmp_path / "unbroken").iterdir()}
    assert killed == unbroken


@pytest.mark.shared
def test_the_store_equals_what_the_authors_preprocessing_gives(shared_dir, tmp_path, stored):
    """`parity/preprocess.io.npz` holds their segments of `parity/raw_record`.

    Age and sex in it are a fault of theirs: those of the header are right.
    """
    arrays = np.load(shared_dir / "parity" / "preprocess.io.npz")
    raw = tmp_path / "raw" / "WFDB_PTBXL"
    raw.parent.mkdir()
    raw.symlink_to(shared_dir / "parity" / "raw_record")
    stored(root=raw.parent)
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
def test_the_real_challenge_records_are_kept_or_rejected_with_a_reason(script, stored, rejected, real):
    root = real("cinc2021", "**/*.hea")
    found = stored(root=root)
    assert len(found) + len(rejected()) == len(list(root.rglob("*.hea")))
    assert "unforeseen" not in str(rejected())
    for entry in found.values():
        assert entry["codes"]
        assert entry["source"] in script.SUBSETS
