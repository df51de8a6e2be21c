"""preprocess/edf.py on a small folder."""

import pytest

OPTIONS = ("--source", "clinic")


@pytest.fixture
def root(corpus, tmp_path, ecg_adu):
    root = tmp_path / "export"
    corpus.write(root / "p1" / "a.edf", ecg_adu(seed=1), onsets=range(6))
    corpus.write(root / "p1" / "b.EDF", ecg_adu(seed=2), patient="X X X X", per_record=400)
    corpus.write(root / "p2" / "c.rec", ecg_adu(2), ["EEG 1", "EEG 2"])
    (root / "p2" / "c.txt").write_text("notes")
    return root


def test_files_become_records_equal_to_edfio(root, rejected, assert_equal_mv, stored):
    import edfio

    from fairseq_signals.ecg.leads import lead_of

    (root / "p1" / "b.EDF").unlink()
    (entry,) = stored().values()
    assert (entry["record_id"], entry["source"], entry["patient_id"]) == ("p1/a", "clinic", "MCH-0234567")
    assert (entry["sex"], round(entry["age"], 1), entry["fs"]) == ("female", 50.8, 500)
    signals = edfio.read_edf(root / "p1" / "a.edf").signals
    assert_equal_mv(entry, {lead_of(s.label).lead: s.data / 1000 for s in signals})
    assert list(rejected()) == ["clinic/p2/c"]


def test_other_rates_are_resampled_and_reported(root, capsys, stored):
    (root / "p1" / "a.edf").unlink()
    (root / "p2" / "c.rec").unlink()
    (entry,) = stored("--patient-from-folder").values()
    assert (entry["fs"], entry["patient_id"]) == (500, "p1")
    assert "1 resampled from 400 Hz" in capsys.readouterr().out
