"""One recording, however it is named, is the same recording; what is no recording is said to be none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import LeadError, SignalError, StoreError
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.inference.recording import Recording
from fairseq_signals.inference.sources import (
    Opener,
    StoreRecord,
    is_one,
    read_each,
)
from fairseq_signals.store.reading import RecordStore


@pytest.fixture
def forms(recording) -> dict:
    """The same record in every form."""
    wfdb, store = recording.wfdb, recording.store
    return {
        "array": recording.mv,
        "tensor": torch.from_numpy(recording.mv),
        "path": wfdb,
        "text": str(wfdb),
        "header": wfdb.with_suffix(".hea"),
        "signal file": wfdb.with_suffix(".dat"),
        "record": read_wfdb(wfdb),
        "recording": Recording(recording.mv, 500.0, LEADS, "one"),
        "store by id": StoreRecord(store, "one"),
        "store by source and id": StoreRecord(RecordStore(store), "corpus/one"),
        "store by row": StoreRecord(store, shard=recording.shard, row=recording.row),
        "store as text": f"{store}#one",
        "shard as text": f"{store / recording.shard}#{recording.row}",
    }


def test_every_form_gives_the_same_samples(forms, recording):
    for name, form in forms.items():
        read = Opener(fs=500).read(form)
        assert (read.fs, read.leads) == (500.0, LEADS), name
        np.testing.assert_array_equal(
            read.signal_mv.astype(np.float32), recording.mv.astype(np.float32), err_msg=name
        )


def test_every_form_is_one_recording_and_lists_of_them_are_several(forms, recording):
    for name, form in forms.items():
        assert is_one(form), name
    assert not is_one(list(forms.values()))
    assert not is_one(recording.mv[None])
    assert not is_one(iter([recording.mv]))
    assert len(list(read_each(np.zeros((3, 12, 5)), Opener(500)))) == 3
    assert is_one([0.1, 0.2])


def test_columns_of_paths_are_several_recordings(recording):
    for paths in (
        np.array([str(recording.wfdb)] * 2),
        np.array([recording.wfdb] * 2),
        np.array([recording.mv, recording.mv[:, :9], None], dtype=object)[:2],
    ):
        assert not is_one(paths)
        assert len(list(read_each(paths, Opener(500)))) == 2
    pandas = pytest.importorskip("pandas")
    column = pandas.Series([str(recording.wfdb)] * 2, index=[7, 9])
    assert [read.record_id for read in read_each(column, Opener())] == ["one", "one"]
    assert is_one(pandas.Series(recording.mv[0]))


def test_nested_lists_are_what_the_array_of_them_is(recording):
    lists = recording.mv[:2, :9].tolist()
    for nested in (lists, lists[0], tuple(lists)):
        assert is_one(nested)
    assert not is_one([lists, lists])
    (read,) = read_each(lists, Opener(500, "2"))
    np.testing.assert_array_equal(read.signal_mv, recording.mv[:2, :9])
    assert len(list(read_each([lists, lists], Opener(500, "2")))) == 2
    assert not is_one([recording.mv[0], recording.mv[1]])
    assert not is_one([])


def test_a_rate_of_another_type_is_compared_as_a_number_or_refused(forms):
    assert Opener(fs="500").read(forms["path"]).fs == 500
    with pytest.raises(SignalError, match="its sampling rate is 500 Hz, but fs=100 was given"):
        Opener(fs="100").read(forms["path"])
    with pytest.raises(SignalError, match="record one: fs must be a number"):
        Opener(fs="fast").read(forms["path"])


def test_leads_choose_among_those_of_files_and_recordings(forms):
    for name in ("path", "record", "recording", "store by id"):
        assert Opener(leads="2").read(forms[name]).leads == ("I", "II"), name
    with pytest.raises(LeadError, match="unknown lead 'V9'"):
        Opener(leads=["V9"]).read(forms["path"])


def test_a_file_that_says_another_sampling_rate_than_the_caller_is_refused(forms):
    for name in ("path", "record", "recording", "store by id"):
        with pytest.raises(SignalError, match="its sampling rate is 500 Hz, but fs=250 was given"):
            Opener(fs=250).read(forms[name])


def test_arrays_of_a_batch_are_called_by_their_place(recording):
    with pytest.raises(SignalError, match="record 1 of the batch: an array does not say"):
        Opener().read(recording.mv, 1)
    outcomes = list(read_each([recording.mv, recording.mv * np.nan], Opener(500)))
    assert isinstance(outcomes[0], Recording)
    assert "record 1 of the batch: samples that are not finite" in str(outcomes[1])


@pytest.mark.parametrize("records", [None, 3, {"a": 1}, b"bytes"])
def test_what_cannot_be_a_batch_is_refused(records):
    with pytest.raises(SignalError, match="records must be an array, a path, or a list of them"):
        list(read_each(records, Opener(500)))


def test_what_names_no_record_is_refused_with_the_next_step(recording, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to read here")
    (tmp_path / "empty.edf").touch()
    (tmp_path / "signals.tsv").write_text("I\tII\n")
    (tmp_path / "sets").mkdir()
    for name in ("train", "test"):
        (tmp_path / "sets" / f"{name}.tsv").write_text(f"{recording.store}\n")
    shard = recording.store / recording.shard
    cases = {
        tmp_path / "none": "there is no such file, and no WFDB record of that name",
        tmp_path: r"is a folder; name a recording in it, or read_recordings\('.*'\) reads all",
        tmp_path / "empty.edf": r"empty.edf: the file is empty \(0 bytes\)",
        recording.store: r"is a record store; name a record of it, '.*#RECORD_ID', or read_recordings",
        shard: r"is a part of a record store; name a row of it, '.*arrow#0', or a record: '.*#RECORD_ID'",
        tmp_path / "signals.tsv": "is not a table of numbers",
        tmp_path / "none.arrow": "there is no such file",
        tmp_path / "sets": r"is a folder of manifests; read_recordings\('.*/test.tsv'\) reads what",
        tmp_path / "sets" / "test.tsv": r"is a manifest; read_recordings\('.*test.tsv'\) reads all",
        tmp_path / "notes.txt": "is not a table of numbers",
        f"{shard}#two": "after # a row is expected, 0 for the first, but there is 'two'",
        f"{recording.wfdb}.hea#0": "is one record: leave out #0",
    }
    for source, message in cases.items():
        with pytest.raises(SignalError, match=message):
            Opener().read(source)
    for source, message in {
        f"{recording.store}#on": "no record 'on'; did you mean one",
        f"{shard}#9": "there is no row 9, only 3 rows",
        StoreRecord(
            recording.store, shard="shard-00009.arrow", row=0
        ): "there is no shard 'shard-00009.arrow'",
        StoreRecord(recording.store): "needs a record_id, or a shard and a row",
    }.items():
        with pytest.raises(StoreError, match=message):
            Opener().read(source)


def test_a_place_whose_record_is_another_one_than_was_listed_is_refused(recording):
    place = StoreRecord(recording.store, "corpus/one", recording.shard, recording.row)
    assert Opener().read(place).record_id == "one"
    with pytest.raises(StoreError, match="row 2 is record corpus/two, not corpus/one: the store was"):
        Opener().read(replace(place, row=2))


def test_a_hash_in_the_name_of_a_folder_does_no_harm(recording, tmp_path):
    folder = tmp_path / "ward#1"
    folder.mkdir()
    for suffix in (".hea", ".dat"):
        (folder / f"one{suffix}").write_bytes(recording.wfdb.with_suffix(suffix).read_bytes())
    (folder / recording.shard).write_bytes((recording.store / recording.shard).read_bytes())
    for source in (folder / "one", f"{folder / recording.shard}#{recording.row}", f"{folder}#one"):
        np.testing.assert_allclose(Opener().read(source).signal_mv, recording.mv, atol=1e-12)
