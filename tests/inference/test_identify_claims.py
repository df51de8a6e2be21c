"""`fairseq-signals identify --claims`: what is written of each claim, and which tables are refused."""

import csv

import numpy as np
import pytest

from fairseq_signals.commands import main as cli
from fairseq_signals.inference.model import ECGModel


@pytest.fixture
def places(write_wfdb, ecg_adu, tmp_path):
    """Five enrolled recordings of three patients, three new ones and a flat one, and a cohort of four."""
    for i, name in enumerate(("in/a/1", "in/a/2", "in/b/1", "in/b/2", "in/c/1", "new/1", "new/2", "new/3")):
        patient, _, record = name.rpartition("/")
        write_wfdb(tmp_path / patient, record, ecg_adu(12, 3000, seed=i))
    write_wfdb(tmp_path / "new", "flat", np.zeros((12, 3000), int))
    for i in range(4):
        write_wfdb(tmp_path / "others" / f"o{i}", "1", ecg_adu(12, 3000, seed=20 + i))
    return tmp_path


@pytest.fixture
def identify(checkpoints, places, capsys):
    """`identify(claims, *options)`: exit code, rows of the table by record, standard error."""

    def call(claims: str, *options, probe="new"):
        (places / "claims.csv").write_text(claims)
        arguments = ("--gallery", places / "in", "--probe", places / probe, "--claims", places / "claims.csv")
        command = ("identify", checkpoints["identification"], *arguments, *options)
        try:
            code = cli.main(list(map(str, command)))
        except SystemExit as error:  # of argparse
            code = error.code
        printed = capsys.readouterr()
        return code, {row["record"]: row for row in csv.DictReader(printed.out.splitlines())}, printed.err

    return call


def test_each_claim_is_a_row_in_its_order(identify, checkpoints, places):
    claims = "record,patient,ward\n3,b,x\n1,z,x\nflat,a,x\n2,c,x\n"
    code, rows, err = identify(claims, "--false-match-rate", 0.5)
    assert code == 0
    assert list(rows) == ["3", "1", "flat", "2"]
    model = ECGModel.load(checkpoints["identification"])
    names = ["a/1", "a/2", "b/1", "b/2", "c/1"]
    gallery = model.enroll([places / "in" / name for name in names], [name[0] for name in names])
    limit = gallery.false_match_threshold(0.5)
    found = model.verify(places / "new" / "3", "b", gallery=gallery.with_threshold(limit))
    expected = {
        "patient": "b",
        "recordings": "2",
        "similarity_max": f"{found.highest:.6f}",
        "similarity_mean": f"{found.mean:.6f}",
        "threshold": f"{limit:.6f}",
        "accepted": str(int(found.accepted)),
        "nearest_patient": found.nearest_id,
        "nearest_similarity": f"{found.nearest:.6f}",
        "note": "",
    }
    assert rows["3"] == {"record": "3", **expected}
    assert rows["2"]["similarity_max"] == rows["2"]["similarity_mean"]  # a history of one recording
    unknown, flat = rows["1"], rows["flat"]
    assert (unknown["recordings"], unknown["accepted"], unknown["note"]) == ("0", "", "patient not enrolled")
    assert unknown["nearest_patient"] in "abc"
    assert (flat["recordings"], flat["accepted"], flat["nearest_patient"]) == ("", "", "")
    assert flat["note"].startswith("not compared: ")
    assert "1 recording could not be used" in err


def test_an_enrolled_recording_is_not_compared_with_itself(identify):
    _, rows, _ = identify("record,patient\na/1,a\nc/1,c\nb/1,a\n", "--threshold=1", probe="in")
    assert (rows["a/1"]["recordings"], rows["a/1"]["accepted"]) == ("1", "0")
    assert float(rows["a/1"]["similarity_max"]) < 1
    assert (rows["c/1"]["recordings"], rows["c/1"]["note"]) == ("0", "patient not enrolled")
    assert rows["b/1"]["recordings"] == "2"
    assert rows["b/1"]["nearest_similarity"] != "1.000000"


def test_probes_without_a_claim_are_counted_and_nothing_is_decided_without_a_threshold(identify):
    code, rows, err = identify("record,patient\n1,a\n")
    assert code == 0
    assert "note: 3 of 4 probes have no claim: not compared" in err
    assert (rows["1"]["threshold"], rows["1"]["accepted"]) == ("", "")


def test_what_a_rejection_means_is_told_for_a_prevalence(identify):
    _, _, err = identify("record,patient\n1,a\n", "--threshold=1", "--prevalence=0.001")
    assert "in the gallery 0.00% of 10 wrong claims are accepted, and 100.00% of 4 right ones rejected" in err
    assert "where 0.10% of all claims are wrong, they are 0.10% of those that are rejected" in err
    code, _, err = identify("record,patient\n1,a\n", "--prevalence=0.001")
    assert code == 2
    assert "--prevalence needs --claims, and --false-match-rate or --threshold" in err


def test_similarities_are_normalised_by_a_cohort(identify, checkpoints, places, write_wfdb, ecg_adu):
    claims = "record,patient\n1,a\n2,b\n"
    plain = identify(claims)[1]
    write_wfdb(places / "others" / "a", "7", ecg_adu(12, 3000, seed=40))
    code, rows, err = identify(claims, "--cohort", places / "others", "--false-match-rate=0.5")
    assert code == 0
    assert "note: 1 recordings of the cohort are of enrolled patients: left out" in err
    model = ECGModel.load(checkpoints["identification"])
    gallery = model.enroll([places / "in" / "a" / n for n in "12"], ["a", "a"])
    gallery = gallery.with_cohort(model.embed([places / "others" / f"o{i}" / "1" for i in range(4)]))
    found = model.verify(places / "new" / "1", "a", gallery=gallery)
    assert float(rows["1"]["similarity_max"]) == pytest.approx(found.highest, abs=1e-4)
    assert rows["1"]["similarity_max"] != plain["1"]["similarity_max"]
    few = identify(claims, "--cohort", places / "others", "--as-norm=2")[1]
    assert few["1"]["similarity_max"] != rows["1"]["similarity_max"]
    code, _, err = identify(claims, "--as-norm")
    assert code == 2
    assert "--as-norm needs --cohort" in err
    assert "from -1 to 1, but is 2" in identify(claims, "--threshold=2")[2]


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ("record\n1\n", "claims.csv:1: there is no column patient among record"),
        ("record,patient\n", "claims.csv: there is no claim in it"),
        ("record,patient\n1,a\n2,\n", "claims.csv:3: 2 has no patient"),
        ("record,patient\n1,a\n2,unknown\n", "claims.csv:3: 2 has no patient"),
        ("record,patient\n,a\n", "claims.csv:2: record must be some text"),
        ("record,patient\n1,a,b\n", "claims.csv:2: there are 3 cells for 2 columns"),
        ("record,patient\n1,a\n9,a\n", "claims.csv:3: 9 is none of the 4 recordings of --probe, such as 1"),
        ("record,patient\n1,a\n2,b\n1,a\n", "claims.csv:4: 1 is claimed for a, in "),
        ("record,patient\n1,a\n1,b\n", "claims.csv:2 already for a; leave one"),
        (
            "record,patient\n1,in/a\n2,in/b\n",
            "none of the claimed patients is enrolled: in/a and so on, but the",
        ),
        (None, "claims.csv: there is no such table"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_file_line_and_record(identify, places, claims, message):
    if claims is None:
        places.joinpath("new").rename(places / "probes")
        code, rows, err = identify(
            "record,patient\n1,a\n", "--claims", places / "no" / "claims.csv", probe="probes"
        )
    else:
        code, rows, err = identify(claims)
    assert code == 1
    assert rows == {}
    assert message in err
    assert "Traceback" not in err


def test_nothing_to_compare_is_a_failure(identify, places):
    code, _, err = identify("record,patient\nflat,a\n")
    assert code == 1
    assert "no probe could be used" in err
    (places / "in" / "c" / "1.dat").write_bytes(b"")
    code, rows, err = identify("record,patient\n1,c\n")
    assert (code, rows["1"]["note"]) == (1, "patient not enrolled")
    assert "no claim could be compared" in err
