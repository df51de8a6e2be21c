"""Runs over many recordings: what an earlier run has done, what is new, and what is said meanwhile."""

import os

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from fairseq_signals.commands import main as cli
from fairseq_signals.errors import ConfigError, MissingLibraryError, OutputError
from fairseq_signals.inference import bulk
from fairseq_signals.inference import resuming as parts
from fairseq_signals.inference.bulk import run_all
from fairseq_signals.inference.listing import list_recordings
from fairseq_signals.inference.resuming import only_run, parts_of

NAMES = ("a/1", "a/2", "b/1", "b/2", "c/1")


@pytest.fixture
def folder(write_wfdb, ecg_adu, tmp_path):
    """Five records and one that is flat."""
    for i, name in enumerate(NAMES):
        write_wfdb(tmp_path / "raw" / name[0], name[2], ecg_adu(12, 3000, seed=i))
    write_wfdb(tmp_path / "raw" / "c", "flat", np.zeros((12, 3000), int))
    return tmp_path / "raw"


@pytest.fixture
def start(encoder, tmp_path):
    """`start(folder, stop_after=None)`: a run of which the recordings after so many are not reached."""

    def run(folder, stop_after=None, out="e.npy", **options):
        stopped = []

        def value(done):
            if len(stopped) == stop_after:
                raise KeyboardInterrupt
            stopped.append(done.record_id)
            return done.embedding

        try:
            result = run_all(
                encoder, list_recordings([str(folder)]), tmp_path / out, ("embedding",), value, **options
            )
        except KeyboardInterrupt:
            return stopped, None
        return stopped, result

    return run


def rows(result):
    return np.concatenate([values for _, values in result.parts.blocks(result.names)])


def test_a_run_that_was_stopped_keeps_what_it_has_and_goes_on_there(start, folder, encoder):
    assert start(folder, stop_after=3) == (["1", "2", "1"], None)
    with pytest.raises(ConfigError, match="with other options"):
        start(folder, leads="2")
    computed, result = start(folder)
    assert computed == ["2", "1"]
    assert result.names == list(NAMES)
    expected = encoder.embed([folder / name for name in NAMES])
    np.testing.assert_allclose(rows(result), expected, atol=1e-6)


def test_rows_of_recordings_of_the_same_names_elsewhere_are_not_taken(start, folder, tmp_path, write_wfdb,
                                                                      ecg_adu, encoder):  # fmt: skip
    start(folder, stop_after=3)
    for name in NAMES:
        write_wfdb(tmp_path / "other" / name[0], name[2], ecg_adu(12, 3000, seed=77))
    computed, result = start(tmp_path / "other")
    assert len(computed) == 5
    expected = encoder.embed([tmp_path / "other" / name for name in NAMES])
    np.testing.assert_allclose(rows(result), expected, atol=1e-6)


def test_a_recording_that_was_changed_meanwhile_is_computed_again(
    start, folder, write_wfdb, ecg_adu, encoder
):
    start(folder, stop_after=3)
    header = write_wfdb(folder / "a", "2", ecg_adu(12, 3000, seed=77))  # the same size, the same header
    os.utime(header.with_suffix(".dat"), ns=(1, 1))
    computed, result = start(folder)
    assert computed == ["2", "2", "1"]
    np.testing.assert_allclose(rows(result)[1], encoder.embed(folder / "a" / "2"), atol=1e-6)


def test_what_could_not_be_used_is_tried_again(start, folder, monkeypatch):
    read = bulk.ECGModel.stream

    def without_a_library(self, records, *arguments, **options):
        for found in read(self, records, *arguments, **options):
            yield MissingLibraryError("h5py is not installed") if found.record_id == "2" else found

    (folder / "c" / "flat.hea").unlink()
    (folder / "c" / "flat.dat").unlink()
    monkeypatch.setattr(bulk.ECGModel, "stream", without_a_library)
    _, result = start(folder)
    assert set(result.reasons) == {"a/2", "b/2"}
    monkeypatch.undo()
    computed, result = start(folder)
    assert computed == ["2", "2"]
    assert (result.names, result.reasons) == (list(NAMES), {})


def test_rows_are_written_from_time_to_time(start, folder, monkeypatch):
    monkeypatch.setattr(bulk, "PART_S", 0.0)
    monkeypatch.setattr(bulk.Parts, "remove", lambda self: None)
    _, result = start(folder)
    assert len(list(result.parts.folder.glob("part-*.parquet"))) == 5


def test_a_row_that_another_recording_took_the_place_of_is_not_given_its_name(start, folder):
    _, result = start(folder)
    (part,) = result.parts.folder.glob("part-*.parquet")
    table = pq.read_table(part)
    pq.write_table(table.take([0, 2, 1, 3, 4]), part)
    with pytest.raises(OutputError, match=r"part-00000\.parquet: row 1 is no longer of a/2: .*Remove "):
        rows(result)
    pq.write_table(table.set_column(2, "values", [[None, *table["values"].to_pylist()[1:]]]), part)
    with pytest.raises(OutputError, match=r"part-00000\.parquet: it cannot be read \(values is not as"):
        rows(result)
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(OutputError, match=r"part-00000\.parquet: it cannot be read \("):
        start(folder)
    (part.parent / "job.json").write_text("{")
    with pytest.raises(OutputError, match=r"job\.json: it cannot be read \("):
        start(folder)
    part.unlink()
    assert len(start(folder)[0]) == len(NAMES)


def test_one_byte_of_a_value_that_changed_is_noticed(start, folder):
    _, result = start(folder)
    (part,) = result.parts.folder.glob("part-*.parquet")
    content, value = part.read_bytes(), rows(result)[2, 5].tobytes()
    part.write_bytes(content.replace(value, bytes(4)))
    assert part.read_bytes() != content
    with pytest.raises(OutputError, match=r"part-00000\.parquet: it cannot be read \(.*CRC"):
        rows(result)


@pytest.mark.parametrize("command", ["embed", "predict"])
def test_two_processes_do_not_write_one_result_at_a_time(checkpoints, folder, tmp_path, capsys, command):
    out = tmp_path / "e.parquet"
    kind = {"embed": "pretraining", "predict": "classification"}[command]
    call = [command, *map(str, (checkpoints[kind], folder, "--out", out))]
    with only_run(out):
        assert cli.main(call) == 1
        assert f"OutputError: {out}: another process is writing this file" in capsys.readouterr().err
        assert parts_of(out).exists()
    assert not parts_of(out).exists()
    assert cli.main(call) == 0
    assert not parts_of(out).exists()


def test_an_array_and_the_list_of_its_rows_are_of_one_run(checkpoints, folder, tmp_path, capsys, monkeypatch):
    def call(*records):
        return cli.main(
            [*map(str, ("embed", checkpoints["pretraining"], *records, "--out", tmp_path / "e.npy"))]
        )

    def full(*arguments):
        raise OSError(28, "No space left on device")

    assert call(folder / "a") == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("e.npy*")}
    with monkeypatch.context() as patch:
        patch.setattr("numpy.lib.format.write_array_header_1_0", full)
        assert call(folder / "b") == 1
    assert (
        f"{tmp_path / 'e.npy'}, {tmp_path / 'e.npy.records.csv'}: cannot be written"
        in capsys.readouterr().err
    )
    assert {path: path.read_bytes() for path in tmp_path.glob("e.npy*")} == before
    assert call(folder / "b") == 0
    assert len(list(tmp_path.glob("*e.npy*"))) == 2


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_a_result_is_written_a_block_at_a_time_in_the_order_of_its_recordings(
    start, folder, tmp_path, monkeypatch, suffix
):
    monkeypatch.setattr(bulk, "PART_ROWS", 2)
    monkeypatch.setattr(parts, "BLOCK_ROWS", 3)
    out = f"e{suffix}"
    _, result = start(folder, out=out)
    expected, sizes = rows(result), []

    def table(names, values):
        sizes.append(len(names))
        return bulk.pa.table({"record": names, "first": values[:, 0]})

    if suffix == ".npy":
        assert result.write_npy() == 16
        np.testing.assert_array_equal(np.load(tmp_path / out), expected)
    else:
        assert result.write_table(table) == 16
        assert sizes == [3, 2]
        read = pyarrow.csv.read_csv if suffix == ".csv" else pq.read_table
        written = read(tmp_path / out)
        assert written["record"].to_pylist() == list(NAMES)
        np.testing.assert_allclose(written["first"].to_numpy(), expected[:, 0], rtol=1e-6)
    result.finish()
    assert not any(result.parts.folder.iterdir())


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_what_is_odd_about_the_last_recording_is_told_as_well(
    checkpoints, tmp_path, write_wfdb, ecg_adu, capsys, batch_size
):
    odd = ecg_adu(12, 2500)
    odd[3] = 7  # constant
    for name in ("a", "b"):
        write_wfdb(tmp_path / "raw", name, odd)
    call = ("embed", checkpoints["pretraining"], tmp_path / "raw", "--out", tmp_path / "e.npy")
    assert cli.main([*map(str, call), f"--batch-size={batch_size}"]) == 0
    told = [line.split(":")[1] for line in capsys.readouterr().err.splitlines() if "left out: aVR" in line]
    assert told == [" a", " b"]
