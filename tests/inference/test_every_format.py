"""Every reader in the registry through `embed`, `predict`, `plot record` and preprocessing."""

import csv
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from fairseq_signals import read_recording
from fairseq_signals.commands import main as cli
from fairseq_signals.formats.registry import READERS
from fairseq_signals.report import figures
from fairseq_signals.store.building import build_store
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.reading import RecordStore
from tests.formats.samples import SAMPLES

MANY = ".hdf5"  # files of many records, of which the samples have one
NEED_PYTHON_311 = ("scp", "ishne", "mfer", "kardia_json", "philips_xml")
FORMATS = [name for name in READERS if sys.version_info >= (3, 11) or name not in NEED_PYTHON_311]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A folder with a folder a format, and the path of the file by format."""
    folder = tmp_path_factory.mktemp("samples")
    return folder, {name: SAMPLES[name](folder / name, 3000) for name in FORMATS}


def _place(path) -> str:
    return f"{path}#0" if path.suffix == MANY else str(path)


def run(*arguments) -> int:
    return cli.main(list(map(str, arguments)))


def _records(out) -> list:
    """The names of the recordings in results."""
    if out.suffix == ".parquet":
        return pq.read_table(out)["record"].to_pylist()
    return [row["record"] for row in csv.DictReader(out.read_text().splitlines())]


def test_every_format_has_a_sample():
    assert set(SAMPLES) == set(READERS)


@pytest.mark.parametrize(("command", "model"), [("embed", "pretraining"), ("predict", "classification")])
def test_a_folder_of_all_formats_goes_through(command, model, checkpoints, samples, tmp_path):
    out = tmp_path / ("out.parquet" if command == "embed" else "out.csv")
    assert run(command, checkpoints[model], samples[0], "--out", out) == 0
    records = _records(out)
    assert sorted(record.partition("/")[0] for record in records) == sorted(FORMATS)
    assert not list(tmp_path.glob("*.rejected.tsv"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_of_each_format_is_drawn(name, samples, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(figures, "DPI", 15)
    assert run("plot", "record", _place(samples[1][name]), "--out", tmp_path / "page.png") == 0
    assert (tmp_path / "page.png").stat().st_size > 1000


def test_a_store_holds_what_is_read_of_every_format(samples, tmp_path):
    items = [
        Item("all", name, str(path), reader=name, index=0 if path.suffix == MANY else None)
        for name, path in samples[1].items()
    ]
    build_store(items, tmp_path / "store", workers=1, progress=False)
    store = RecordStore(tmp_path / "store")
    rows = {row["record_id"]: row for row in store.metadata().to_pylist()}
    assert set(rows) == set(FORMATS)
    for name, path in samples[1].items():
        record = read_recording(_place(path))
        row = rows[name]
        assert row["leads"] == list(record.leads)
        stored, present = store.read(row["shard"], row["row"])
        if record.fs == row["fs"]:
            rounded = np.abs(record.signal_mv).max() / 32767  # to 16 bits, which only the store does
            np.testing.assert_allclose(stored[present], record.signal_mv, atol=rounded)
