"""Readers of recordings by name: each gives a `Record`, whatever format its files have.

A reader is a function `read(path, record_id=None, options=DEFAULTS) -> Record`, or for files that hold many
records `read(path, record_id=None, index=0, options=DEFAULTS) -> Record`. `record_id` is the name for
messages and for the result, by default that of the file without its suffix. Where the record cannot be used,
a reader raises SignalError; the message names it, the reason and what to do. A reader's module is imported
when it is first asked for, so that an optional library is needed for its own format only.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import import_module
from typing import Any, Callable

from fairseq_signals.ecg.record import Record
from fairseq_signals.errors import (
    NOT_A_FILE,
    FairseqSignalsError,
    SignalError,
    StoreError,
    did_you_mean,
    missing_library,
    signal_error,
)
from fairseq_signals.files import not_a_file
from fairseq_signals.formats.common import file_name
from fairseq_signals.formats.compressed import decompressed, inner_path, is_compressed
from fairseq_signals.formats.options import DEFAULTS, ReadOptions

#: Name of each reader, as in `Item.reader`: "module:function".
READERS = {
    "wfdb": "fairseq_signals.formats.wfdb:read_wfdb",
    "dicom": "fairseq_signals.formats.dicom:read_dicom",
    "edf": "fairseq_signals.formats.edf:read_edf",
    "aecg": "fairseq_signals.formats.aecg:read_aecg",
    "scp": "fairseq_signals.formats.scp_philips:read_scp",
    "ishne": "fairseq_signals.formats.ishne:read_ishne",
    "mfer": "fairseq_signals.formats.mfer:read_mfer",
    "atc": "fairseq_signals.formats.atc:read_atc",
    "kardia_json": "fairseq_signals.formats.kardia_json:read_kardia_json",
    "philips_xml": "fairseq_signals.formats.scp_philips:read_philips_xml",
    "muse_xml": "fairseq_signals.formats.muse_xml:read_muse_xml",
    "cardiosoft_xml": "fairseq_signals.formats.cardiosoft_xml:read_cardiosoft_xml",
    "schiller_xml": "fairseq_signals.formats.schiller_xml:read_schiller_xml",
    "authors_mat": "fairseq_signals.formats.authors_mat:read_authors_mat",
    "code15_hdf5": "fairseq_signals.formats.code15_hdf5:read_code15_hdf5",
    "sami_trop_hdf5": "fairseq_signals.formats.code15_hdf5:read_sami_trop_hdf5",
    "sph_hdf5": "fairseq_signals.formats.sph_hdf5:read_sph_hdf5",
    "number_table": "fairseq_signals.formats.number_table:read_number_table",
    "arrays": "fairseq_signals.formats.arrays:read_arrays",
}


@cache
def load_reader(name: str) -> Callable[..., Record]:
    """The function that reads records of a format.

    Raises:
        StoreError: there is no reader of that name.
        MissingLibraryError: the library that it needs is not installed.
    """
    if name not in READERS:
        hint = did_you_mean(name, READERS) or "."
        raise StoreError(f"there is no reader {name!r}{hint} They are {', '.join(READERS)}.")
    module, _, function = READERS[name].partition(":")
    return getattr(import_module(module), function)


def read_with(
    name: str,
    path: Any,
    record_id: str | None = None,
    index: int | None = None,
    options: ReadOptions = DEFAULTS,
) -> Record:
    """The record that the reader of that name finds at `path`, see `load_reader`.

    Args:
        name: key of `READERS`.
        path: `pathlib.Path` of the file.
        record_id: name for messages and for the result.
        index: row in a file that holds many records; None for a file that is one record.
        options: what the user says about files.

    Raises:
        SignalError: the record cannot be used.
        MissingLibraryError: a library that it needs is not installed.
    """
    what = not_a_file(path)
    if what is not None:
        raise SignalError(
            f"record {record_id or path}: {path} is {what}, not a file. Leave it out.", NOT_A_FILE
        )
    if name != "wfdb" and is_compressed(path):
        record_id = file_name(inner_path(path)) if record_id is None else record_id
        if index is not None:
            raise SignalError(
                f"record {record_id}: {path.name} holds many records, each of which would need all of it. "
                f"Decompress it.",
                kind="of an unsupported kind",
            )
        with decompressed(path, record_id) as copy:
            return read_with(name, copy, record_id, None, options)
    record = _read(name, path, record_id, () if index is None else (index,), options)
    if options.fs is not None and not math.isclose(options.fs, record.fs, rel_tol=1e-6):
        raise SignalError(
            f"record {record.record_id}: the sampling rate is {record.fs:g} Hz in {path.name}, but fs="
            f"{options.fs:g} was given, which is for files that do not say it. Leave it out, or correct the "
            f"file."
        )
    return record


def _read(name: str, path: Any, record_id: str | None, row: tuple[int, ...], options: ReadOptions) -> Record:
    reader, called = load_reader(name), record_id or str(path)
    try:
        return reader(path, record_id, *row, options=options)
    except Exception as error:  # nothing in one file may end a run over many
        if isinstance(error, FairseqSignalsError) and not isinstance(error, SignalError):
            raise
        cause = error if isinstance(error, ImportError) else error.__cause__
        if isinstance(cause, ImportError):  # a library may ask for another one when it meets a variant
            raise missing_library(
                cause.name or "of its format", f"record {called}", "formats", cause
            ) from error
        told = signal_error(error, called)
        if told is error:
            raise
        raise told from error
