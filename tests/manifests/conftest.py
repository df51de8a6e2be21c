"""A small record store, and the scripts in `manifests/` as functions."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from fairseq_signals.manifest.folder import read_set
from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.store.shards import StoreRow, write_shard

FS = 10.0  # Hz; a 5 s segment is 50 samples
#: Two records of each of ten patients.
RECORDS = [(f"r{i}", {"patient_id": f"p{i // 2}"}) for i in range(20)]


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


@pytest.fixture
def run(capsys, tmp_path):
    """`run(name, *arguments)`: exit code, standard output and standard error of a script.

    What it makes goes to `tmp_path / "m"` where the arguments do not say `--dest`.
    """

    def call(name: str, *arguments: object) -> tuple:
        if name != "check" and "--dest" not in arguments:
            arguments = (*arguments, "--dest", tmp_path / "m")
        main = importlib.import_module(f"manifests.{name}").main
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # of argparse
            code = error.code
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


@pytest.fixture
def fails(run):
    """Like `run`, of a script that must fail: its standard error."""

    def call(name: str, *arguments: object) -> str:
        code, _, err = run(name, *arguments)
        assert code in (1, 2)  # 2: an argument that cannot be parsed
        return err

    return call


@pytest.fixture
def read(tmp_path: Path):
    """`read(folder="m")`: the manifests of a folder by name."""

    def call(folder="m"):
        folder = tmp_path / folder
        return {name: read_manifest(folder / f"{name}.tsv") for name in read_set(folder).manifests}

    return call


@pytest.fixture
def rows(read):
    """`rows(folder="m")`: the rows of all manifests of a folder."""
    return lambda folder="m": [row for manifest in read(folder).values() for row in manifest.rows()]


@pytest.fixture
def manifest_json(tmp_path: Path):
    """`manifest_json(folder="m")`: its `manifest.json`, read."""
    return lambda folder="m": json.loads((tmp_path / folder / "manifest.json").read_text())


@pytest.fixture
def twenty_records():
    """What `classify` makes a store of, where it is given no others."""
    return RECORDS


@pytest.fixture
def classify(make_store, tmp_path):
    """`classify(*options, table=, records=)`: the arguments with which `succeed` makes the manifests."""

    def call(*options, table=None, records=RECORDS):
        store = tmp_path / "s" if (tmp_path / "s").exists() else make_store("s", records, 2)
        if table is not None:
            (tmp_path / "mine.csv").write_text(table)
            options = ("--record-labels", tmp_path / "mine.csv", *options)
        return "classification", store, *options

    return call


@pytest.fixture
def targets(classify, tmp_path, succeed, rows):
    """The classes of each record, by abbreviation, and what is printed."""

    def call(*options, table=None, records=RECORDS):
        out = succeed(*classify(*options, table=table, records=records))
        labels = read_labels(tmp_path / "m" / "labels.csv")
        found = {}
        for row in rows():
            classes = {labels.abbreviations[int(i)] for i in row.target.split(",") if i}
            assert found.setdefault(row.record_id.partition("/")[2], classes) == classes
        return found, out

    return call
