"""From an item to a row: which reader is asked, and how folders of files are listed."""

from dataclasses import replace

import numpy as np
import pytest

from fairseq_signals.ecg.record import Record, Subject
from fairseq_signals.errors import MissingLibraryError, SignalError, StoreError
from fairseq_signals.formats import registry as readers
from fairseq_signals.formats.folder import iter_records
from fairseq_signals.store.conversion import BuildOptions, Item, iter_folder, make_row, make_rows
from fairseq_signals.store.shards import ShardNotes


def read_lines(path, record_id=None, index=0, options=None):
    """A reader of a made-up format: every line of a text file is a record of lead I."""
    values = np.array(path.read_text().splitlines()[index].split(), dtype=np.int16)
    if not len(values):
        raise SignalError(f"record {record_id}: it is empty", kind="truncated")
    return Record(record_id, 500.0, ("I",), values[None], np.array([0.001]), Subject(age=50.0, sex="male"))


def need_library(path, record_id=None, options=None):
    raise MissingLibraryError("Tape needs the library notapelib")


@pytest.fixture
def lines_reader(monkeypatch):
    functions = {"lines": read_lines, "tape": need_library}
    monkeypatch.setattr(readers, "load_reader", functions.__getitem__)


OPTIONS = BuildOptions(min_seconds=0.002)


@pytest.mark.usefixtures("lines_reader")
def test_a_row_comes_from_the_reader_and_line_that_the_item_names(tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("1 2 3\n4 5 6\n")
    items = [Item("x", f"r{i}", str(path), reader="lines", index=i) for i in range(2)]
    rows = [make_row(item, OPTIONS, ShardNotes()) for item in items]
    assert [row.signal.tolist() for row in rows] == [[[1, 2, 3]], [[4, 5, 6]]]
    assert (rows[0].age, rows[0].sex) == (50.0, "male")


@pytest.mark.usefixtures("lines_reader")
def test_a_record_that_the_reader_refuses_is_rejected_and_the_next_one_is_read(tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("\n4 5 6\n")
    notes = ShardNotes()
    items = [Item("x", f"r{i}", str(path), reader="lines", index=i) for i in range(2)]
    assert [row.record_id for row in make_rows(items, OPTIONS, notes)] == ["r1"]
    assert [(r.record_id, r.reason) for r in notes.rejected] == [("x/r0", "it is empty")]
    assert notes.counts["rejected truncated"] == 1


@pytest.mark.usefixtures("lines_reader")
def test_a_missing_library_ends_the_run_instead_of_rejecting_every_record(tmp_path):
    with pytest.raises(MissingLibraryError):
        list(make_rows([Item("x", "r", str(tmp_path / "r.tape"), reader="tape")], OPTIONS, ShardNotes()))


@pytest.mark.parametrize(
    ("scale", "told"),
    [(50.0, "1500 mV, more than any ECG has: µV taken for mV? multiply by 0.001"),
     (5e-5, "0.0015 mV, less than any ECG has: V taken for mV? multiply by 1000")],
)  # fmt: skip
def test_an_amplitude_that_no_ecg_has_is_told_of_with_the_factor(tmp_path, monkeypatch, scale, told):
    path = tmp_path / "many.txt"
    path.write_text(" ".join(str(30 * (-1) ** k) for k in range(500)))

    def read(*where, options):
        return replace(read_lines(*where), scale=np.array([scale]))

    monkeypatch.setattr(readers, "load_reader", lambda _: read)
    notes = ShardNotes()
    make_row(Item("x", "r", str(path), index=0), OPTIONS, notes)
    assert notes.faults == [("x/r", "all leads", f"kept, but its amplitude is {told}")]
    assert [key for key in notes.counts if key.startswith("of an amplitude that no ECG has: x, ")]


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.edf", "b/1.EDF", "a.edf", "note.txt", ".hidden.edf", "deep/er/3.rec", "7.18.4"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0       " + name.encode())
    return tmp_path / "root"


def list_files(root, suffixes, **options):
    return list(iter_folder(root, "corpus", suffixes=suffixes, **options))


def test_files_are_found_by_suffix_at_any_depth_and_sorted(folder):
    items = list_files(folder, (".edf", ".rec"))
    assert [item.record_id for item in items] == ["a", "b/1", "b/2", "deep/er/3"]
    assert {(item.source, item.reader, item.index, item.patient_id) for item in items} == {
        ("corpus", "wfdb", None, None)
    }
    assert items[1].path == str(folder / "b" / "1.EDF")


def test_the_folder_can_name_the_patient(folder):
    items = list_files(folder, (".edf", ".rec"), patient_from_folder=True)
    assert [item.patient_id for item in items] == [None, "b", "b", "er"]


def test_files_that_would_share_an_id_keep_their_suffix(folder):
    (folder / "a.rec").write_bytes(b"")
    items = list_files(folder, (".edf", ".rec"))
    assert [item.record_id for item in items][:2] == ["a.edf", "a.rec"]


def test_files_of_other_names_can_be_told_by_their_first_bytes(folder):
    found = iter_records(folder, (".edf",), accept=lambda head: head.endswith(b"4"))
    assert [record.record_id for record in found] == ["7.18.4", "a", "b/1", "b/2"]


def test_a_digest_tells_changed_files(folder):
    def digests():
        return {item.record_id: item.digest for item in list_files(folder, (".edf",))}

    before = digests()
    assert len(set(before.values())) == 3
    (folder / "a.edf").write_bytes(b"0       a.edg")
    after = digests()
    assert {key for key in before if before[key] != after[key]} == {"a"}


@pytest.mark.parametrize(
    ("name", "suffixes", "message"),
    [("gone", (".edf",), "there is no such folder"), ("root", (".scp", ".x"), "no .scp or .x file in this")],
)
def test_nothing_to_list_is_an_error(folder, name, suffixes, message):
    with pytest.raises(StoreError, match=message):
        list_files(folder.parent / name, suffixes)


def test_comments_of_a_header_become_attributes_unless_the_item_has_its_own(tmp_path, write_wfdb, ecg_adu):
    path = write_wfdb(tmp_path, "r", ecg_adu(), comments=["Age: 60", "ECG date: 07.12.2004"])
    item = Item("x", "r", str(path))
    assert make_row(item, OPTIONS, ShardNotes()).attributes == (("ECG date", "07.12.2004"),)
    own = replace(item, attributes=(("fold", "1"),))
    assert make_row(own, OPTIONS, ShardNotes()).attributes == (("fold", "1"),)
