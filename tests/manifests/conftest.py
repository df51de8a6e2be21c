"""A small record store, and the scripts in `manifests/` as functions."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from fairseq_signals.store.shards import StoreRow, write_shard

FS = 10.0  # Hz; a 5 s segment is 50 samples


@pytest.fixture
def make_store(tmp_path: Path):
    """`make_store(name, records, n_shards=1)`: a store of `(record_id, options)`, in this order.

    Options: source "a", patient_id None, seconds 10, codes ("426783006",), fs 10, and other fields of a row.
    """

    def make(name: str, records: list, n_shards: int = 1) -> Path:
        rows = []
        for record_id, options in records:
            row = {"source": "a", "fs": FS, "codes": ("426783006",), **options}
            n_samples = round(row.pop("seconds", 10) * row["fs"])
            signal = np.zeros((2, n_samples), np.int16)
            rows.append(StoreRow(record_id, leads=("I", "II"), scale=np.ones(2), signal=signal, **row))
        folder = tmp_path / name
        folder.mkdir()
        for shard in range(n_shards):
            write_shard(folder / f"shard-{shard:05d}.arrow", rows[shard::n_shards])
        return folder

    return make


@pytest.fixture(scope="session")
def script_of(repo_dir: Path):
    """`script_of(name)`: the `main` of `manifests/<name>.py`."""
    mains: dict = {}

    def load(name: str):
        if name not in mains:
            mains[name] = runpy.run_path(str(repo_dir / "manifests" / f"{name}.py"), run_name="script")[
                "main"
            ]
        return mains[name]

    return load


@pytest.fixture
def run(script_of, capsys):
    """`run(name, *arguments)`: exit code, standard output and standard error of a script."""

    def call(name: str, *arguments: object) -> tuple:
        code = script_of(name)([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def succeed(run):
    """Like `run`, of a script that must succeed: its standard output."""

    def call(name: str, *arguments: object) -> str:
        code, out, err = run(name, *arguments)
        assert code == 0, err + out
        return out

    return call
