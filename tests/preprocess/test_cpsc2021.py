"""preprocess/cpsc2021.py on a small folder in the layout of the release."""

import pytest

from fairseq_signals.formats.wfdb_annotations import read_rhythms


def test_records_have_their_person_diagnosis_and_episodes(stored):
    found = stored()
    assert {name: (e["patient_id"], *e["codes"], e["attributes"]) for name, e in found.items()} == {
        "data_0_1": ("0", "non atrial fibrillation", {}),
        "data_0_2": ("0", "non atrial fibrillation", {}),
        "data_7_1": ("7", "paroxysmal atrial fibrillation", {"fibrillation_s": "1-4.5 5-10"}),
    }


def test_annotations_that_are_cut_reject_their_record_alone(root, corpus, rejected, stored):
    path = root / "Training_set_I" / "data_7_1.atr"
    path.write_bytes(path.read_bytes()[:-2])
    assert sorted(stored()) == ["data_0_1", "data_0_2"]
    assert "it ends within its annotations" in rejected()["cpsc2021/data_7_1"]


def test_long_times_are_read(corpus, tmp_path):
    changes = [(200, "(N"), (40_000, "(AFIB"), (40_020, "(N")]
    (tmp_path / "a.atr").write_bytes(corpus.annotations(changes))
    assert read_rhythms(tmp_path / "a.atr") == [(200, "N"), (40_000, "AFIB"), (40_020, "N")]


def test_other_names_are_refused(root, fails, write_wfdb, ecg_adu):
    write_wfdb(root, "x1", ecg_adu(2, 2000), ["I", "II"])
    assert "the record x1 is not called data_PERSON_NUMBER" in fails()


@pytest.mark.shared
def test_real_records_agree_with_the_manifest_and_wfdb(more, stored):
    import wfdb

    folder, rows = more("cpsc2021")
    found = stored(root=folder)
    assert {n: (f"cpsc2021-{e['patient_id']}", *e["codes"]) for n, e in found.items()} == {
        name: (row["patient"], row["labels"]) for name, row in rows.items()
    }
    for name in rows:
        expected = wfdb.rdann(str(folder / name), "atr")
        noted = zip(expected.sample.tolist(), expected.symbol, expected.aux_note)
        changes = [(sample, aux.strip("\0").lstrip("(")) for sample, symbol, aux in noted if symbol == "+"]
        assert read_rhythms(folder / f"{name}.atr") == changes
