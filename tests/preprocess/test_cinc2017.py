"""preprocess/cinc2017.py on a small folder in the layout of the challenge."""

import csv

import pytest


def test_the_signal_is_lead_i_and_the_later_labels_are_the_codes(corpus, stored):
    found = stored()
    assert {name: entry["codes"] for name, entry in found.items()} == {
        k: [v] for k, v in corpus.LABELS.items()
    }
    assert {(e["source"], *e["leads"], e["patient_id"]) for e in found.values()} == {("cinc2017", "I", None)}
    assert found["A00004"]["attributes"] == {"rhythm": "noisy"}


def test_the_user_may_say_another_lead(stored):
    assert {tuple(entry["leads"]) for entry in stored("--lead-names", "ECG=II").values()} == {("II",)}


def test_records_without_signals_are_reported_and_other_tables_refused(root, fails, rejected, stored):
    table = root.parent / "REFERENCE-v3.csv"
    table.write_text(table.read_text() + "A00009,N\n")
    stored()
    assert "REFERENCE-v3.csv lists it, but training/A00009.hea is" in rejected()["cinc2017/A00009"]
    for text, message in (("A00001,N\nA00001,A\n", "is listed already"), ("A00001,X\n", "one of N, A, O, ~")):
        table.write_text(text)
        assert message in fails(dest="other")
    table.unlink()
    (root.parent / "REFERENCE.csv").unlink()
    assert "there is no REFERENCE-v3.csv or REFERENCE.csv" in fails(dest="other")


@pytest.mark.shared
def test_real_records_are_read_with_their_labels(more, tmp_path, stored):
    folder, rows = more("cinc2017")
    letters = {"normal": "N", "AF": "A", "other": "O", "noisy": "~"}
    with (tmp_path / "REFERENCE-v3.csv").open("w") as file:
        csv.writer(file).writerows((n, letters[r["labels"].removeprefix("rhythm=")]) for n, r in rows.items())
    (tmp_path / "records").mkdir()
    for name in list(rows)[:40]:
        for path in folder.glob(f"{name}.*"):
            (tmp_path / "records" / path.name).symlink_to(path)
    found = stored("--downloaded-only", root=tmp_path / "records")
    assert len(found) == 40
    assert all(entry["leads"] == ["I"] and len(entry["codes"]) == 1 for entry in found.values())
