"""preprocess/cinc2011.py on a small folder in the layout of the challenge."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS


@pytest.mark.parametrize("named", [True, False])
def test_leads_are_told_apart_by_name_or_by_the_order_of_the_challenge(
    named, corpus, tmp_path, write_wfdb, ecg_adu, assert_equal_mv, stored
):
    root = corpus.make(tmp_path, write_wfdb, ecg_adu, corpus.ORDER if named else [""] * 12)
    found = stored(root=root)
    assert {name: entry["codes"] for name, entry in found.items()} == {
        k: [v] for k, v in corpus.QUALITY.items()
    }
    for seed, entry in enumerate(found.values()):
        assert (entry["leads"], entry["patient_id"]) == (list(LEADS), None)
        assert_equal_mv(entry, dict(zip(corpus.ORDER, corpus.signals(ecg_adu, seed) / 200)))


def test_lists_that_are_gone_or_contradict_each_other_are_refused(root, fails, stored, capsys):
    (root / "RECORDS-acceptable").write_text("1000001\n1000009\n")
    stored()
    assert "1 records of the lists are not there (first: 1000009)" in capsys.readouterr().err
    (root / "RECORDS-unacceptable").write_text("1000001\n")
    assert "record 1000001 is in RECORDS-acceptable too" in fails(dest="other")
    (root / "RECORDS-acceptable").unlink()
    assert "the list cannot be read (No such file or directory). Download it" in fails(dest="other")


@pytest.mark.shared
def test_limb_leads_of_real_records_agree_with_each_other(more, tmp_path, stored, run):
    from fairseq_signals.store.reading import RecordStore

    folder, rows = more("cinc2011")
    root = tmp_path / "set-a"
    root.mkdir()
    for name in list(rows)[:30]:
        for path in folder.glob(f"{name}.*"):
            (root / path.name).symlink_to(path)
    for quality in ("acceptable", "unacceptable"):
        listed = [name for name, row in rows.items() if row["labels"] == f"quality={quality}"]
        (root / f"RECORDS-{quality}").write_text("\n".join(listed))
    found = stored(root=root)
    assert {name: f"quality={entry['codes'][0]}" for name, entry in found.items()} == {
        name: rows[name]["labels"] for name in found
    }
    for entry in (e for e in found.values() if e["codes"] == ["acceptable"] and len(e["leads"]) == 12):
        signal, _ = RecordStore(tmp_path / "store").read(entry["shard"], entry["row"])
        i, ii, avl, avf = (signal[LEADS.index(lead)] for lead in ("I", "II", "aVL", "aVF"))
        assert np.abs(avl - (i - ii / 2)).max() < 0.02
        assert np.abs(avf - (ii - i / 2)).max() < 0.02
