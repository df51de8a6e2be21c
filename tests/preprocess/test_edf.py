"""preprocess/edf.py on a small folder."""

import pytest


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("edf")


@pytest.fixture
def root(lookalike, tmp_path, ecg_adu):
    edf, root = lookalike("edf"), tmp_path / "export"
    edf.write(root / "p1" / "a.edf", ecg_adu(seed=1), onsets=range(6))
    edf.write(root / "p1" / "b.EDF", ecg_adu(seed=2), patient="X X X X", per_record=400)
    edf.write(root / "p2" / "c.rec", ecg_adu(2), ["EEG 1", "EEG 2"])
    (root / "p2" / "c.txt").write_text("notes")
    return root


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--source", "clinic", "--workers", "1", *options])


def test_files_become_records_equal_to_edfio(script, root, tmp_path, entries, rejected, assert_equal_mv):
    import edfio

    from fairseq_signals.ecg.leads import canonical_lead

    (root / "p1" / "b.EDF").unlink()
    assert run(script, root, tmp_path / "store") == 0
    (entry,) = entries(tmp_path / "store").values()
    assert (entry["record_id"], entry["source"], entry["patient_id"]) == ("p1/a", "clinic", "MCH-0234567")
    assert (entry["sex"], round(entry["age"], 1), entry["fs"]) == ("female", 50.8, 500)
    signals = edfio.read_edf(root / "p1" / "a.edf").signals
    assert_equal_mv(tmp_path / "store", entry, {canonical_lead(s.label): s.data / 1000 for s in signals})
    assert list(rejected(tmp_path / "store")) == ["clinic/p2/c"]


def test_other_rates_are_resampled_and_reported(script, root, tmp_path, entries, capsys):
    (root / "p1" / "a.edf").unlink()
    (root / "p2" / "c.rec").unlink()
    assert run(script, root, tmp_path / "store", "--patient-from-folder") == 0
    (entry,) = entries(tmp_path / "store").values()
    assert (entry["fs"], entry["patient_id"]) == (500, "p1")
    assert "1 resampled from 400 Hz" in capsys.readouterr().out
