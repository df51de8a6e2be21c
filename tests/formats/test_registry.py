"""The registry of readers: by name, imported when needed."""

import os
import subprocess
import sys
from importlib import import_module

import pytest

from fairseq_signals.errors import UNAVAILABLE, UNFORESEEN, MissingLibraryError, SignalError, StoreError
from fairseq_signals.formats import registry as readers
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.registry import READERS, load_reader, read_with
from fairseq_signals.formats.wfdb import read_wfdb


@pytest.mark.parametrize("name", READERS)
def test_every_reader_is_a_function_that_takes_a_path_and_an_id(name):
    import inspect

    try:
        reader = load_reader(name)
    except MissingLibraryError as error:
        if sys.version_info >= (3, 11):
            raise
        pytest.skip(str(error))
    parameters = list(inspect.signature(reader).parameters)
    assert parameters[:2] == ["path", "record_id"]
    assert parameters[2:] in (["options"], ["index", "options"])


def test_the_table_of_formats_has_a_row_for_every_reader(repo_dir):
    rows = [line for line in (repo_dir / "docs" / "formats.md").read_text().splitlines() if line[:1] == "|"]
    named = [row.split("|")[2].split("`")[1] for row in rows[2:]]
    assert sorted(named) == sorted(READERS)


def test_the_registry_imports_no_reader_and_no_library(repo_dir):
    code = "import sys, fairseq_signals.store.conversion; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=repo_dir, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    modules = {place.partition(":")[0] for place in READERS.values()}
    assert not loaded & (modules | {"pydicom", "pyedflib", "edfio", "h5py", "wfdb"})


def test_an_unknown_name_is_refused_with_the_near_one():
    with pytest.raises(StoreError, match="no reader 'wfbd'; did you mean wfdb"):
        load_reader("wfbd")
    with pytest.raises(StoreError, match="They are wfdb"):
        load_reader("zzz")


def test_a_record_is_read_as_by_the_reader_itself(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu())
    record = read_with("wfdb", header, "some name")
    assert record.record_id == "some name"
    assert (record.signal == read_wfdb(header).signal).all()


def test_index_and_options_are_handed_to_the_reader(monkeypatch, tmp_path):
    monkeypatch.setattr(readers, "load_reader", lambda name: lambda *where, options: (*where, options))
    assert read_with("many", tmp_path, "r", 3) == (tmp_path, "r", 3, DEFAULTS)
    assert read_with("many", tmp_path, "r", 0) == (tmp_path, "r", 0, DEFAULTS)
    options = ReadOptions(gaps="refuse")
    assert read_with("many", tmp_path, "r", options=options) == (tmp_path, "r", options)


@pytest.mark.parametrize("is_cause", [False, True])
def test_a_library_that_a_variant_of_the_format_needs_is_not_a_fault_of_the_file(
    monkeypatch, tmp_path, is_cause
):
    """As wfdb asks for soundfile where signals are FLAC."""

    def read(*_, **__):
        try:
            import_module("notaflaclib")
        except ImportError as error:
            raise (SignalError("record r: cannot be read") if is_cause else error) from error

    monkeypatch.setattr(readers, "load_reader", lambda name: read)
    with pytest.raises(MissingLibraryError, match="record r needs the library notaflaclib, which cannot be"):
        read_with("wfdb", tmp_path, "r")


@pytest.mark.parametrize(("error", "kind"), [(MemoryError(), UNAVAILABLE), (KeyError("x"), UNFORESEEN)])
def test_whatever_a_reader_raises_is_an_error_about_the_record(monkeypatch, tmp_path, error, kind):
    def read(*_, **__):
        raise error

    monkeypatch.setattr(readers, "load_reader", lambda name: read)
    with pytest.raises(SignalError, match="record r: ") as raised:
        read_with("wfdb", tmp_path, "r")
    assert raised.value.kind == kind


def test_a_reader_is_never_given_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(SignalError, match=r"record r: .*a\.h5 is a pipe, not a file"):
        read_with("sph_hdf5", tmp_path / "a.h5", "r")


def test_a_rate_that_contradicts_the_file_is_refused_with_both(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu(), fs=250)
    assert read_with("wfdb", header, options=ReadOptions(fs=250)).fs == 250
    with pytest.raises(SignalError, match=r"is 250 Hz in r\.hea, but fs=500 was given"):
        read_with("wfdb", header, options=ReadOptions(fs=500))
