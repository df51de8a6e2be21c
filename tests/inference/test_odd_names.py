"""Records whose names act on terminals, tables or spreadsheets are used, and found again by their names."""

import csv
import os
from xml.dom import minidom

import numpy as np
import pyarrow.parquet as pq
import pytest

from fairseq_signals.commands import main as cli
from fairseq_signals.inference.listing import list_recordings
from fairseq_signals.inference.patients import patients_of
from fairseq_signals.safety.text import csv_text

#: Names of files, and what records are called.
NAMES = {
    b"=1+1": "=1+1",
    b"-x": "-x",
    b"a\nb": r"a\nb",
    b"c\td": r"c\td",
    b"e\x1b[31mf": r"e\x1b[31mf",
    b"g\xff": r"g\xff",
    "h\u2028i".encode(): r"h\u2028i",
}


@pytest.fixture
def folder(write_wfdb, ecg_adu, tmp_path):
    """A record of each name, beside it one that is flat, and one whose header is none."""
    raw = tmp_path / "raw"
    for i, name in enumerate(NAMES):
        for part, adu in (("", ecg_adu(12, 3000, seed=i)), (" flat", np.zeros((12, 3000), int))):
            header = write_wfdb(raw, f"r{i}{part.strip()}", adu)
            header.rename(raw / os.fsdecode(name + part.encode() + b".hea"))
    (raw / os.fsdecode(b"k\xff\nno.hea")).write_text("r 1 x\x1b[0m\n")
    return raw


def run(*arguments) -> int:
    try:
        return cli.main(list(map(str, arguments)))
    except SystemExit as left:  # of a script
        return left.code


def assert_harmless(text: str) -> None:
    assert all(line.isprintable() for line in text.replace("\r", "\n").split("\n"))


def test_embeddings_and_predictions_have_a_row_a_record(checkpoints, folder, tmp_path, capfd):
    names = sorted(NAMES.values())
    call = ("embed", checkpoints["pretraining"], folder, "--out")
    assert run(*call, tmp_path / "e.parquet") == run(*call, tmp_path / "e.npy") == 0
    assert sorted(pq.read_table(tmp_path / "e.parquet")["record"].to_pylist()) == names
    rows = list(csv.reader((tmp_path / "e.npy.records.csv").read_text().splitlines()))[1:]
    assert "'=1+1" in [row[0] for row in rows]
    assert sorted(csv_text(row[0]) for row in rows) == names
    assert run("predict", checkpoints["classification"], folder, "--out", tmp_path / "p.csv") == 0
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert sorted(csv_text(row["record"]) for row in rows) == names
    for out in ("e.parquet", "e.npy", "p.csv"):
        listed = (tmp_path / f"{out}.rejected.tsv").read_bytes().decode().split("\n")
        assert [line.count("\t") for line in listed] == [1] * 9 + [0]
        told = sorted(line.split("\t")[0] for line in listed[1:-1])
        assert told == sorted([*(f"{name} flat" for name in names), r"k\xff\nno"])
        assert_harmless((tmp_path / f"{out}.rejected.tsv").read_text().replace("\t", " "))
    assert_harmless(capfd.readouterr().err)


def test_a_table_says_whose_records_they_are(folder, tmp_path):
    recordings = list_recordings([str(folder)])
    lines = ["record,patient", *(f'"{named.name}","p{i}"' for i, named in enumerate(recordings))]
    (tmp_path / "p.csv").write_text("\n".join(lines).replace("=1+1", "'=1+1").replace(r"a\nb", "a\nb"))
    assert patients_of(recordings, tmp_path / "p.csv") == [f"p{i}" for i in range(len(recordings))]


def test_a_store_and_its_manifests_have_them(checkpoints, folder, tmp_path, capfd):
    store, manifests = tmp_path / "store", tmp_path / "m"
    assert run("preprocess", "wfdb_folder", folder, "--dest", store, "--source=s", "--workers=1") == 0
    listed = (store / "rejected.tsv").read_bytes().decode().split("\n")
    assert [line.count("\t") for line in listed] == [2] * 9 + [0]
    assert (
        run("manifest", "pretrain", store, "--dest", manifests, "--valid-fraction=0.3", "--no-exclusions")
        == 0
    )
    records = {line.split("\t")[2] for name in ("train", "valid")
               for line in (manifests / f"{name}.tsv").read_text().split("\n")[1:] if line}  # fmt: skip
    assert records == {f"s/{name}" for name in NAMES.values()}
    for name in NAMES.values():
        (found,) = list_recordings([f"{store}#s/{name}"])
        assert found.name.endswith(name)
    call = ("embed", checkpoints["pretraining"], f"{store}#s/=1+1", store, "--out")
    assert run(*call, tmp_path / "e.parquet") == 0
    assert len(pq.read_table(tmp_path / "e.parquet")) == 8
    assert_harmless(capfd.readouterr().err)


def test_a_picture_of_one_is_a_whole_svg(folder, tmp_path):
    pytest.importorskip("matplotlib")
    for name in (b"a\nb", b"e\x1b[31mf", b"g\xff"):
        out = tmp_path / "x.svg"
        assert run("plot", "record", folder / os.fsdecode(name + b".hea"), "--out", out) == 0
        minidom.parse(str(out))
