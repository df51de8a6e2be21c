"""Preprocessing that is killed or runs out of disk: the same command again gives an unbroken store."""

import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fairseq_signals.store.building import build_store
from fairseq_signals.store.conversion import BuildOptions, iter_folder
from fairseq_signals.store.reading import RecordStore

N_RECORDS = 60
LIMIT = "Raise the limit on the size of files (ulimit -f)"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, write_wfdb):
    """Records of 40 s, one of them truncated, one with a constant lead."""
    root = tmp_path_factory.mktemp("corpus")
    steps = np.random.default_rng(0).integers(-9, 10, (12, 20_000))
    for i in range(N_RECORDS):
        adu = np.cumsum(np.roll(steps, i), axis=1)
        if i == 9:
            adu[3] = 5
        write_wfdb(root, f"r{i:03d}", adu)
    (root / "r011.dat").write_bytes(b"short")
    return root


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, corpus):
    """`unbroken(codec)`: the store of a run that nothing happened to, and its summary."""

    @functools.cache
    def build(codec):
        dest = tmp_path_factory.mktemp("unbroken") / "store"
        options = BuildOptions(records_per_shard=1, codec=codec)
        return dest, str(build_store(iter_folder(corpus, "corpus"), dest, options, 1, progress=False))

    return build


@pytest.fixture
def start(repo_dir, corpus):
    """`start(dest, *options, **popen)` starts preprocessing in a process group of its own."""
    started = []

    def run(dest, *options, **popen):
        command = [sys.executable, str(repo_dir / "preprocess" / "wfdb_folder.py"), str(corpus)]
        command += ["--source", "corpus", "--dest", str(dest), "--records-per-shard", "1", *options]
        environment = {**os.environ, "PYTHONPATH": str(repo_dir), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, env=environment, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finish(process):
    """Wait for success; the standard output."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def wait_for_shards(dest, process, n):
    while len(list(dest.glob("shard-*.arrow"))) < n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def rows(dest):
    """Each row of a store with its signal, in order."""
    store = RecordStore(dest)
    entries = store.metadata().to_pylist()
    return [(entry, store.read(entry["shard"], entry["row"])[0].tobytes()) for entry in entries]


@pytest.mark.parametrize(
    ("options", "whom"),
    [
        (("--workers", "1"), "group"),
        (("--workers", "2"), "group"),
        (("--workers", "2"), "main process"),
        (("--workers", "2", "--codec", "flac"), "group"),
        (("--scheduler",), "group"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_killed_run_goes_on_to_the_store_of_an_unbroken_one(
    start, tmp_path, unbroken, request, snapshot, options, whom
):
    if options == ("--scheduler",):
        options += (request.getfixturevalue("cluster"),)
    dest = tmp_path / "killed"
    process = start(dest, *options)
    wait_for_shards(dest, process, 3)
    (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    assert not json.loads((dest / "store.json").read_text())["complete"]
    assert len(list(dest.glob("shard-*.arrow"))) < N_RECORDS
    expected, summary = unbroken("flac" if "flac" in options else "int16")
    assert finish(start(dest, *options)) == summary + "\n"
    assert snapshot(dest) == snapshot(expected)
    assert rows(dest) == rows(expected)
    assert len(rows(dest)) == N_RECORDS - 1


def assert_ran_out_of_room(process, dest, reason, step):
    """One clear line, no traceback, nothing half-written."""
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith(f"StoreError: {dest}/")
    assert last.endswith(
        f"cannot be written ({reason}). {step} and try again. The same command goes on where it stopped."
    )
    assert not list(dest.glob(".*"))
    assert not json.loads((dest / "store.json").read_text())["complete"]


def test_a_full_disk_is_said_in_one_line_and_leaves_no_half_shard(start, tmp_path, unbroken, snapshot):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        dest = disk / "store"
        assert_ran_out_of_room(start(dest, "--workers", "2"), dest, "No space left on device", "Make room")
        assert 0 < len(list(dest.glob("shard-*.arrow"))) < N_RECORDS
        subprocess.run(["mount", "-o", "remount,size=99m", str(disk)], check=True)
        finish(start(dest, "--workers", "2"))
        assert snapshot(dest) == snapshot(unbroken("int16")[0])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_limit_on_the_size_of_files_is_said_in_one_line_and_leaves_nothing(
    start, tmp_path, unbroken, snapshot
):
    dest, size = tmp_path / "store", 100_000  # enough for the list of records, not for a shard

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    assert_ran_out_of_room(start(dest, "--workers", "1", preexec_fn=limit), dest, "File too large", LIMIT)
    assert not list(dest.glob("shard-*.arrow"))
    finish(start(dest, "--workers", "1"))
    assert snapshot(dest) == snapshot(unbroken("int16")[0])
