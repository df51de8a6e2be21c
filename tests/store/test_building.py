"""Building a record store: determinism, resuming, and what is reported."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from fairseq_signals.errors import OutputError, StoreError
from fairseq_signals.formats.folder import iter_records
from fairseq_signals.formats.options import ReadOptions
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.safety.locks import one_process
from fairseq_signals.store import building as build
from fairseq_signals.store.building import build_store
from fairseq_signals.store.conversion import BuildOptions, Item
from fairseq_signals.store.reading import RecordStore

SMALL = BuildOptions(records_per_shard=3)


@pytest.fixture
def corpus(tmp_path, write_wfdb, ecg_adu):
    """Ten records of 6 s, one of them resampled, one with a constant lead, one of 2 s, one truncated."""
    root = tmp_path / "corpus"
    for i in range(10):
        adu = ecg_adu(seed=i)
        if i == 3:
            adu[7] = 0
        if i == 5:
            adu = adu[:, :1000]
        write_wfdb(root, f"r{i}", adu, fs=400 if i == 2 else 500, comments=[f"Age: {20 + i}", "Dx: 1,2"])
    (root / "r7.dat").write_bytes(b"\x01\x00" * 100)
    return root


def items_of(root, source="corpus"):
    return [Item(source, r.record_id, str(r.path), r.digest) for r in iter_records(root)]


def snapshot(dest):
    return {path.name: path.read_bytes() for path in sorted(dest.iterdir())}


def build_quietly(items, dest, options=SMALL, workers=1, **arguments):
    return build_store(items, dest, options, workers, progress=False, **arguments)


def test_records_end_up_in_the_store_as_they_were(corpus, tmp_path):
    summary = build_quietly(items_of(corpus), tmp_path / "store")
    assert summary.n_kept == 8
    store = RecordStore(tmp_path / "store")
    entries = store.metadata().to_pylist()
    assert [entry["record_id"] for entry in entries] == [f"r{i}" for i in range(10) if i not in (5, 7)]
    for entry in entries:
        record = read_wfdb(corpus / entry["record_id"])
        signal, present = store.read(entry["shard"], entry["row"])
        assert (entry["source"], entry["fs"], entry["codes"]) == ("corpus", 500.0, ["1", "2"])
        assert entry["age"] == 20 + int(entry["record_id"][1:])
        assert present.sum() == len(record.leads)
        if record.fs == 500:
            np.testing.assert_allclose(signal[present], record.signal_mv(), rtol=1e-6, atol=1e-9)
        else:
            assert signal.shape[1] == 3000 * 500 / 400


def test_the_summary_counts_everything_by_reason(corpus, tmp_path):
    assert str(build_quietly(items_of(corpus), tmp_path / "store")) == (
        "kept 8 of 10 records; rejected 1 too short, 1 truncated; 1 lead marked absent; "
        "1 resampled from 400 Hz"
    )


def test_rejections_and_faults_are_listed_one_a_line(corpus, tmp_path):
    build_quietly(items_of(corpus), tmp_path / "store")
    assert (tmp_path / "store" / "rejected.tsv").read_text().splitlines() == [
        "record\tkind\treason",
        "corpus/r5\ttoo short\tit lasts 2 s, less than the 5 s asked for. Lower --min-seconds to keep it.",
        "corpus/r7\ttruncated\tr7.dat is truncated: it holds 8 samples per lead, but announces 3000. "
        "Export or download it again.",
    ]
    assert (tmp_path / "store" / "lead_faults.tsv").read_text().splitlines() == [
        "record\tlead\treason",
        "corpus/r3\tV2\tconstant at 0 mV",
    ]


def test_options_decide_what_is_short_and_at_which_rate_it_is_stored(corpus, tmp_path):
    options = BuildOptions(fs=250, min_seconds=1, records_per_shard=100)
    summary = build_quietly(items_of(corpus), tmp_path / "store", options)
    assert summary.n_kept == 9
    assert set(RecordStore(tmp_path / "store").metadata()["fs"].to_pylist()) == {250.0}


def test_neither_the_order_of_records_nor_the_number_of_workers_changes_a_byte(corpus, tmp_path):
    items = items_of(corpus)
    build_quietly(items, tmp_path / "one")
    random.Random(1).shuffle(items)
    build_quietly(items, tmp_path / "two", workers=2)
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")


def test_a_run_that_was_killed_goes_on_where_it_stopped(corpus, tmp_path, monkeypatch):
    dest = tmp_path / "store"
    build_quietly(items_of(corpus), dest)
    expected = snapshot(dest)
    state = json.loads((dest / "store.json").read_text())
    del state["kept"], state["counts"]
    (dest / "store.json").write_text(json.dumps({**state, "complete": False}))
    for name in ("shard-00002.arrow", "rejected.tsv", "lead_faults.tsv"):
        (dest / name).unlink()
    (dest / ".shard-00002.arrow.123.tmp").write_bytes(b"half a shard")
    (dest / ".store.json.123.tmp").write_bytes(b"{")
    made = []
    monkeypatch.setattr(
        build,
        "_build_shard",
        lambda path, *rest, real=build._build_shard: made.append(path.name) or real(path, *rest),
    )
    build_quietly(items_of(corpus), dest)
    assert made == ["shard-00002.arrow"]
    assert snapshot(dest) == expected


def test_a_complete_store_is_left_alone_and_reported_again(corpus, tmp_path, monkeypatch):
    dest = tmp_path / "store"
    first = build_quietly(items_of(corpus), dest)
    monkeypatch.setattr(build, "_build_shard", None)
    assert str(build_quietly(items_of(corpus), dest)) == str(first)


def test_a_failing_run_leaves_no_temporary_file_and_an_unfinished_store(corpus, tmp_path, monkeypatch):
    dest = tmp_path / "store"

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        build_quietly(items_of(corpus), dest)
    assert not list(dest.glob("*.arrow"))
    assert not list(dest.glob(".*"))


@pytest.mark.parametrize(
    ("number", "why", "step"),
    [(28, "No space left on device", "Make room"), (2, "No such file or directory", "Bring back its folder")],
)
def test_an_error_of_the_disk_names_the_shard_and_what_to_do(
    corpus, tmp_path, monkeypatch, number, why, step
):
    def fail(*args):
        raise OSError(number, "")

    monkeypatch.setattr("pyarrow.ipc.new_file", fail)
    what = rf"shard-00000\.arrow: cannot be written \({why}\)\. {step}.* goes on where it stopped\.$"
    with pytest.raises(StoreError, match=what):
        build_quietly(items_of(corpus), tmp_path / "store")
    with pytest.raises(StoreError, match=r"not finished|not a record store"):
        RecordStore(tmp_path / "store")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": BuildOptions(fs=250, records_per_shard=3)}, r"fs was 500\.0 and is now 250"),
        ({"options": BuildOptions(min_seconds=1, records_per_shard=3)}, r"min_seconds was 5\.0 and is now 1"),
        ({"options": replace(SMALL, resampler="linear")}, "resampler was polyphase and is now linear"),
        ({"options": BuildOptions(records_per_shard=4)}, "records_per_shard was 3 and is now 4"),
        ({"drop": 1}, "records was 10 and is now 9"),
        ({"age": 5.0}, "the records, their headers, files or table have changed"),
        ({"digest": "other"}, "the records, their headers, files or table have changed"),
    ],
)
def test_a_store_begun_from_something_else_is_not_mixed_up(corpus, tmp_path, change, message):
    items = items_of(corpus)
    build_quietly(items, tmp_path / "store")
    before = snapshot(tmp_path / "store")
    options = change.pop("options", SMALL)
    items = items[change.pop("drop", 0) :]
    items[0] = replace(items[0], **change)
    with pytest.raises(StoreError, match=f"{message}.* Pass --overwrite .* or choose another --dest"):
        build_quietly(items, tmp_path / "store", options)
    assert snapshot(tmp_path / "store") == before


def test_overwrite_builds_anew_and_leaves_nothing_of_the_old_store(corpus, tmp_path):
    dest = tmp_path / "store"
    build_quietly(items_of(corpus), dest, BuildOptions(records_per_shard=1))
    (dest / "notes.txt").write_text("mine")
    build_quietly(items_of(corpus), dest, overwrite=True)
    assert (dest / "notes.txt").read_text() == "mine"
    (dest / "notes.txt").unlink()
    build_quietly(items_of(corpus), tmp_path / "fresh")
    assert snapshot(dest) == snapshot(tmp_path / "fresh")


def test_shards_of_unknown_origin_are_not_taken_over(corpus, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "shard-00000.arrow").write_bytes(b"")
    with pytest.raises(StoreError, match=r"there are shards but no store\.json"):
        build_quietly(items_of(corpus), tmp_path / "store")


def test_two_runs_do_not_build_one_store_at_a_time(corpus, tmp_path):
    dest = tmp_path / "store"
    dest.mkdir()
    with (
        one_process(dest, StoreError("busy")),
        pytest.raises(StoreError, match="another process is building this store"),
    ):
        build_quietly(items_of(corpus), dest)
    build_quietly(items_of(corpus), dest)


def test_no_records_is_an_error_and_nothing_is_written(tmp_path):
    with pytest.raises(StoreError, match="there is no record"):
        build_quietly([], tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_store_in_which_nothing_could_be_kept_is_an_error_with_the_reasons_on_disk(corpus, tmp_path):
    items = [item for item in items_of(corpus) if item.record_id in ("r5", "r7")]
    message = (
        r"none of 2 records could be kept: 1 too short, 1 truncated; corpus/r5: it lasts 2 s, .*"
        r"; corpus/r7: r7\.dat .*; the reason of each is in .*rejected\.tsv$"
    )
    with pytest.raises(StoreError, match=message):
        build_quietly(items, tmp_path / "store")
    assert len((tmp_path / "store" / "rejected.tsv").read_text().splitlines()) == 3


def test_two_records_of_one_name_are_an_error(corpus, tmp_path):
    items = items_of(corpus)
    with pytest.raises(StoreError, match="would both be record corpus/r0"):
        build_quietly([*items, replace(items[0], path="/elsewhere/r0.hea")], tmp_path / "store")


def test_what_is_known_of_a_record_goes_before_its_header(corpus, tmp_path):
    items = items_of(corpus)
    items[0] = replace(items[0], patient_id="p", age=1.5, sex="male", codes=(), report="fine")
    build_quietly(items, tmp_path / "store")
    entry = RecordStore(tmp_path / "store").metadata().to_pylist()[0]
    known = {key: entry[key] for key in ("patient_id", "age", "sex", "codes", "report")}
    assert known == {"patient_id": "p", "age": 1.5, "sex": "male", "codes": [], "report": "fine"}


def test_an_unforeseen_error_in_one_record_is_reported_and_does_not_end_the_run(
    corpus, tmp_path, monkeypatch
):
    def fail_on_r4(reader, path, record_id, index, options):
        if record_id == "r4":
            raise ZeroDivisionError("oops")
        return read_wfdb(path, record_id)

    monkeypatch.setattr("fairseq_signals.store.conversion.read_with", fail_on_r4)
    summary = build_quietly(items_of(corpus), tmp_path / "store")
    assert summary.n_kept == 7
    assert (
        "corpus/r4\tfor unforeseen reasons\tunforeseen ZeroDivisionError: oops."
        in (tmp_path / "store" / "rejected.tsv").read_text()
    )


def test_a_folder_that_cannot_be_made_is_an_error(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/store: cannot be written \(Not a directory\)\. Choose"):
        build_quietly(items_of(corpus), tmp_path / "file" / "store")


def test_a_store_of_an_earlier_version_is_not_gone_on_with(corpus, tmp_path):
    build_quietly(items_of(corpus), tmp_path / "store")
    state = tmp_path / "store" / "store.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "schema": "1"}))
    with pytest.raises(
        StoreError, match=r"an earlier version .* \(schema 1, now 2\)\. It can be read as it is"
    ):
        build_quietly(items_of(corpus), tmp_path / "store")


def test_other_options_of_reading_are_told(corpus, tmp_path):
    build_quietly(items_of(corpus), tmp_path / "store")
    other = replace(SMALL, reading=ReadOptions(gaps="refuse", fs=250.0))
    with pytest.raises(StoreError, match="gaps was fill and is now refuse; input_fs was None and is now 250"):
        build_quietly(items_of(corpus), tmp_path / "store", other)
