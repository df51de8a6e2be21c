"""`fairseq-signals embed|predict|identify|info`: what is written, resumed, left out and said."""

import csv
import hashlib
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from fairseq_signals.commands import main as cli
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.inference.resuming import parts_of


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
    assert "1 recording could not be used" in capsys.readouterr().err
    assert not parts_of(out).exists()
    assert run("embed", checkpoints["pretraining"], folder, "--out", tmp_path / "e.npy") == 0
    np.testing.assert_allclose(
        np.load(tmp_path / "e.npy"), np.stack(table["embedding"].to_pylist()), atol=1e-6
    )
    assert (tmp_path / "e.npy.records.csv").read_text().split() == [
        '"record"',
        '"a/1"',
        '"a/2"',
        '"b/1"',
        '"b/2"',
        '"c/1"',
    ]


def test_a_mistake_in_the_call_is_told_at_once_and_does_not_hinder_the_right_call(
    checkpoints, folder, tmp_path, capsys
):
    out = tmp_path / "p.csv"
    assert run("predict", checkpoints["classification"], folder, "--out", out, "--leads=I,V9") == 1
    assert "unknown lead 'V9'" in capsys.readouterr().err
    assert run("predict", checkpoints["pretraining"], folder, "--out", out) == 1
    assert "a pretraining model has no classes" in capsys.readouterr().err
    assert not parts_of(out).exists()
    assert run("predict", checkpoints["classification"], folder, "--out", out) == 0
    assert len(out.read_text().splitlines()) == 6
    call = ("identify", checkpoints["identification"], "--gallery", folder, "--probe", folder)
    assert run(*call, "--leads=I,V9") == 1
    assert "unknown lead 'V9'" in capsys.readouterr().err


def test_predictions_have_a_column_a_class(checkpoints, folder, tmp_path):
    out = tmp_path / "p.csv"
    assert run("predict", checkpoints["classification"], folder / "a" / "1", "--out", out) == 0
    (row,) = csv.DictReader(out.read_text().splitlines())
    expected = ECGModel.load(checkpoints["classification"]).predict(folder / "a" / "1")
    assert float(row["sinus rhythm"]) == pytest.approx(expected["sinus rhythm"], abs=1e-6)
    assert row["positive"] == ";".join(expected.positive)


def test_a_row_can_hold_the_embedding_beside_the_probabilities(checkpoints, folder, tmp_path, capsys):
    call = "predict", checkpoints["classification"], folder / "a" / "1", "--embeddings", "--out"
    assert run(*call, tmp_path / "p.parquet") == 0
    (row,) = pq.read_table(tmp_path / "p.parquet").to_pylist()
    model = ECGModel.load(checkpoints["classification"])
    assert list(row) == ["record", "positive", *model.labels, "embedding"]
    assert [row[label] for label in model.labels] == pytest.approx(model.predict_proba(folder / "a" / "1"))
    assert row["embedding"] == model.embed(folder / "a" / "1").tolist()
    with pytest.raises(SystemExit):
        run(*call, tmp_path / "p.csv")
    assert f"with --embeddings, --out {tmp_path / 'p.csv'}: must end with .parquet" in capsys.readouterr().err


def test_options_say_rate_and_unit_of_files_that_do_not(checkpoints, folder, ecg_adu, tmp_path):
    adu = ecg_adu(12, 3000, seed=0)  # of a/1
    (tmp_path / "tables").mkdir()
    np.savetxt(tmp_path / "tables" / "1.csv", adu.T, "%d", ",", header=",".join(LEADS), comments="")
    (tmp_path / "tables" / "notes.txt").write_text("taken in March")
    call = ("embed", checkpoints["pretraining"], tmp_path / "tables", "--out")
    assert run(*call, tmp_path / "none.npy") == 1
    assert (
        "does not say its sampling rate. Say it with --fs" in (tmp_path / "none.npy.rejected.tsv").read_text()
    )
    assert run(*call, tmp_path / "e.npy", "--fs", "500", "--unit", "uV") == 0
    (embedding,) = np.load(tmp_path / "e.npy")
    expected = ECGModel.load(checkpoints["pretraining"]).embed(folder / "a" / "1")
    np.testing.assert_allclose(embedding, expected, atol=1e-6)


def test_a_recording_is_identified_by_the_patients_of_the_folders(checkpoints, folder, tmp_path):
    (folder / "c" / "flat.hea").unlink()
    out = tmp_path / "i.csv"
    call = ("identify", checkpoints["identification"], "--gallery", folder, "--probe", folder / "b" / "1")
    assert run(*call, "--top=2", "--false-match-rate=0.5", "--out", out) == 0
    first, second = csv.DictReader(out.read_text().splitlines())
    assert (first["rank"], first["patient"], first["accepted"]) == ("1", "b", "1")
    assert float(first["similarity"]) == pytest.approx(1)
    assert second["rank"] == "2"


def test_what_cannot_be_identified_is_listed_and_the_rest_goes_on(checkpoints, folder, tmp_path, capsys):
    (folder / "b" / "1.dat").write_bytes(b"")
    out = tmp_path / "new" / "i.csv"
    call = ("identify", checkpoints["identification"], "--gallery", folder, "--probe", folder, "--top=1")
    assert run(*call, "--out", out) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["record"], row["patient"]) for row in rows] == [
        ("a/1", "a"),
        ("a/2", "a"),
        ("b/2", "b"),
        ("c/1", "c"),
    ]
    listed = (tmp_path / "new" / "i.csv.rejected.tsv").read_text().splitlines()
    assert [line.partition("\t")[0] for line in listed[1:]] == ["b/1", "c/flat", "b/1", "c/flat"]
    said = capsys.readouterr().err
    assert "4 recordings could not be used" in said
    assert "4 recordings of 3 patients enrolled, 4 probes" in said
    assert run(*call) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].startswith("a/1,1,a,1.0")
    assert printed.err.count("\n  c/flat: no usable lead") == printed.err.count("\n  b/1: 1.dat ") == 2


@pytest.mark.parametrize("command", ["embed", "predict", "identify"])
def test_a_missing_library_is_a_failure_though_the_rest_is_written(
    command, checkpoints, folder, tmp_path, capsys, monkeypatch
):
    from fairseq_signals.formats.registry import load_reader

    (folder / "b" / "3.edf").write_bytes(b"0       ")
    monkeypatch.delitem(sys.modules, "fairseq_signals.formats.edf", raising=False)
    monkeypatch.setitem(sys.modules, "edfio", None)
    load_reader.cache_clear()
    kind = {"embed": "pretraining", "predict": "classification"}.get(command, "identification")
    places = ["--gallery", folder, "--probe", folder / "a"] if command == "identify" else [folder]
    out = tmp_path / f"o.{'parquet' if command == 'embed' else 'csv'}"
    assert run(command, checkpoints[kind], *places, "--out", out) == 1
    err = capsys.readouterr().err
    assert "warning: 2 recordings could not be used: 1 for want of a library, 1 without a usable lead" in err
    assert "\n  b/3: EDF needs the library edfio" in err
    assert f"\nthe reason of each is in {out}.rejected.tsv\n" in err
    assert out.stat().st_size > 100
    (folder / "b" / "3.edf").unlink()
    assert run(command, checkpoints[kind], *places, "--out", out) == 0


@pytest.mark.parametrize(("gallery", "probe", "which"), [("b/1", "a", "recording of the gallery"),
                                                         ("a", "b/1", "probe")])  # fmt: skip
def test_identifying_nothing_is_a_failure(checkpoints, folder, tmp_path, capsys, gallery, probe, which):
    (folder / "b" / "1.dat").write_bytes(b"")
    who = tmp_path / "who.csv"
    names = [str(folder / "b" / "1"), "1", "2"]
    who.write_text("record,patient\n" + "".join(f"{name},somebody\n" for name in names))
    call = ("identify", checkpoints["identification"], "--gallery", folder / gallery)
    assert run(*call, "--probe", folder / probe, "--patients", who) == 1
    assert f"no {which} could be used" in capsys.readouterr().err


def test_what_is_odd_about_a_recording_is_told_in_a_line_with_its_name(
    checkpoints, folder, write_wfdb, ecg_adu, tmp_path, capsys
):
    adu = ecg_adu(12, 3000)
    adu[3] = 7
    write_wfdb(folder / "a", "uv", adu, gain=1, units="mV")  # of 1000 adu/mV in truth
    assert run("embed", checkpoints["pretraining"], folder / "a", "--out", tmp_path / "e.npy") == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert line.startswith("warning: uv: left out: aVR")
    assert "µV taken for mV? multiply by 0.001" in line
    picture = ("plot", "saliency", checkpoints["classification"], folder / "a" / "uv", "--label=sinus rhythm")
    pytest.importorskip("matplotlib")
    assert run(*picture, "--out", tmp_path / "s.png") == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["warning:", "warning:"]


def test_the_list_of_records_beside_an_array_takes_no_other_files_place(checkpoints, folder, tmp_path):
    (tmp_path / "e.csv").write_text("precious")
    assert run("embed", checkpoints["pretraining"], folder / "a", "--out", tmp_path / "e.npy") == 0
    assert (tmp_path / "e.csv").read_text() == "precious"


@pytest.mark.parametrize("taken", ["record", "positive"])
def test_a_class_that_is_called_like_another_column_is_refused(checkpoints, folder, tmp_path, capsys, taken):
    labels = tmp_path / "labels.csv"
    labels.write_text(f"index,name,abbreviation,codes\n0,x,{taken},1\n1,y,Y,2\n2,z,Z,3\n")
    call = ("predict", checkpoints["classification"], folder, "--labels", labels, "--out")
    assert run(*call, tmp_path / "p.csv") == 1
    assert f"a class is called '{taken}'" in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()


def test_folders_that_may_not_be_people_are_pointed_out(checkpoints, folder, capsys, monkeypatch):
    call = ("identify", checkpoints["identification"], "--probe", folder / "a", "--gallery")
    assert run(*call, folder) == 0
    assert "who is who" not in capsys.readouterr().err
    assert run(*call, folder.parent) == 0
    assert "all 6 enrolled recordings are of one patient, 'raw'" in capsys.readouterr().err
    monkeypatch.setattr("fairseq_signals.inference.patients._MANY_OF_ONE", 1)
    assert run(*call, folder) == 0
    assert "2 of the enrolled recordings are of one patient, 'a'" in capsys.readouterr().err


def test_info_names_classes_and_input(checkpoints, capsys):
    assert run("info", checkpoints["classification"]) == 0
    printed = capsys.readouterr().out
    assert "classification model" in printed
    assert "sinus rhythm" in printed
    assert "500 Hz" in printed


def test_info_tells_the_check_sum_of_a_checkpoint_to_compare_with_a_published_one(checkpoints, capsys):
    path = checkpoints["pretraining"]
    assert run("info", path) == 0
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"{path.name}, SHA-256 {digest}\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["embed", "predict", "identify", "info"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(command, "--help")
    assert stopped.value.code == 0
    assert "CHECKPOINT" in capsys.readouterr().out


@pytest.mark.parametrize(("n_gone", "code"), [(2, 0), (3, 1)])
def test_results_without_most_of_their_recordings_are_a_failure(
    checkpoints, folder, tmp_path, capsys, n_gone, code
):
    for name in ("a/1", "a/2", "b/1")[:n_gone]:
        (folder / f"{name}.dat").unlink()
    (folder / "c" / "flat.hea").unlink()
    (folder / "c" / "flat.dat").unlink()
    assert run("embed", checkpoints["pretraining"], folder, "--out", tmp_path / "e.parquet") == code
    assert f"warning: {n_gone} recordings were not available; run the same" in capsys.readouterr().err
    assert len(pq.read_table(tmp_path / "e.parquet")) == 5 - n_gone
