"""`fairseq-signals embed|predict|identify|info`: what is written, resumed, left out and said."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest

from fairseq_signals import cli
from fairseq_signals.inference import bulk
from fairseq_signals.inference.model import ECGModel


@pytest.fixture
def folder(write_wfdb, ecg_adu, tmp_path):
    """Five records of three patients, and one that is flat."""
    for i, name in enumerate(("a/1", "a/2", "b/1", "b/2", "c/1")):
        patient, record = name.split("/")
        write_wfdb(tmp_path / "raw" / patient, record, ecg_adu(12, 3000, seed=i))
    write_wfdb(tmp_path / "raw" / "c", "flat", np.zeros((12, 3000), int))
    return tmp_path / "raw"


def run(*arguments) -> int:
    return cli.main(list(map(str, arguments)))


def test_embeddings_are_those_of_the_model_and_what_is_left_out_is_listed(
    checkpoints, folder, tmp_path, capsys
):
    out = tmp_path / "e.parquet"
    assert run("embed", checkpoints["pretraining"], folder, "--out", out) == 0
    table = pq.read_table(out)
    assert table["record"].to_pylist() == ["a/1", "a/2", "b/1", "b/2", "c/1"]
    model = ECGModel.load(checkpoints["pretraining"])
    np.testing.assert_allclose(table["embedding"].to_pylist()[3], model.embed(folder / "b" / "2"), atol=1e-6)
    assert (tmp_path / "e.parquet.rejected.tsv").read_text().splitlines()[1].startswith("c/flat\t")
    assert "1 recordings could not be used" in capsys.readouterr().err
    assert not bulk.parts_of(out).exists()
    assert run("embed", checkpoints["pretraining"], folder, "--out", tmp_path / "e.npy") == 0
    np.testing.assert_allclose(
        np.load(tmp_path / "e.npy"), np.stack(table["embedding"].to_pylist()), atol=1e-6
    )
    assert (tmp_path / "e.csv").read_text().split() == [
        '"record"',
        '"a/1"',
        '"a/2"',
        '"b/1"',
        '"b/2"',
        '"c/1"',
    ]


def test_a_run_that_was_stopped_goes_on_where_it_was(checkpoints, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bulk, "PART_ROWS", 2)
    out, computed = tmp_path / "e.npy", []
    whole = bulk._computed

    def stopped(*arguments):
        for i, found in enumerate(whole(*arguments)):
            if i == 3 and not computed:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(bulk, "_computed", stopped)
    assert run("embed", checkpoints["pretraining"], folder, "--out", out) == 130
    assert not out.exists()
    computed.append(True)
    assert run("embed", checkpoints["pretraining"], folder, "--out", out, "--leads=2") == 1
    assert "with other options" in capsys.readouterr().err
    assert run("embed", checkpoints["pretraining"], folder, "--out", out) == 0
    assert "2 of 6 recordings are done already" in capsys.readouterr().err
    model = ECGModel.load(checkpoints["pretraining"])
    np.testing.assert_allclose(np.load(out)[0], model.embed(folder / "a" / "1"), atol=1e-6)


def test_predictions_have_a_column_a_class(checkpoints, folder, tmp_path):
    out = tmp_path / "p.csv"
    assert run("predict", checkpoints["classification"], folder / "a" / "1", "--out", out) == 0
    (row,) = csv.DictReader(out.read_text().splitlines())
    expected = ECGModel.load(checkpoints["classification"]).predict(folder / "a" / "1")
    assert float(row["sinus rhythm"]) == pytest.approx(expected["sinus rhythm"], abs=1e-6)
    assert row["positive"] == ";".join(expected.positive)


def test_a_recording_is_identified_by_the_patients_of_the_folders(checkpoints, folder, tmp_path):
    (folder / "c" / "flat.hea").unlink()
    out = tmp_path / "i.csv"
    call = ("identify", checkpoints["identification"], "--gallery", folder, "--probe", folder / "b" / "1")
    assert run(*call, "--top=2", "--false-match-rate=0.5", "--out", out) == 0
    first, second = csv.DictReader(out.read_text().splitlines())
    assert (first["rank"], first["patient"], first["accepted"]) == ("1", "b", "1")
    assert float(first["similarity"]) == pytest.approx(1)
    assert second["rank"] == "2"


def test_info_names_classes_and_input(checkpoints, capsys):
    assert run("info", checkpoints["classification"]) == 0
    printed = capsys.readouterr().out
    assert "classification model" in printed
    assert "sinus rhythm" in printed
    assert "500 Hz" in printed


@pytest.mark.parametrize("command", ["embed", "predict", "identify", "info"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(command, "--help")
    assert stopped.value.code == 0
    assert "CHECKPOINT" in capsys.readouterr().out
