"""What messages about a user's input share."""

import ast
import errno
import re
from importlib import import_module

import pytest
from pyarrow.lib import ArrowException

from fairseq_signals.errors import (
    NOT_A_FILE,
    REASONS,
    UNAVAILABLE,
    UNFORESEEN,
    UNREADABLE,
    WITHOUT_SIGNAL_FILE,
    MissingLibraryError,
    NotAFileError,
    SignalError,
    did_you_mean,
    optional_library,
    signal_error,
)

#: Of the code that reads, lists and stores records.
FOLDERS = (
    "fairseq_signals/formats",
    "fairseq_signals/store",
    "fairseq_signals/ecg",
    "fairseq_signals/commands",
    "preprocess",
)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sexes", "; did you mean sex?"),
        ("AGE", "; did you mean age?"),  # though "ages" is near as well
        ("ag", "; did you mean age or ages?"),
        ("height", ""),
    ],
)
def test_the_nearest_names_are_offered_whatever_their_capitals(name, hint):
    assert did_you_mean(name, ("age", "ages", "sex")) == hint
    assert did_you_mean(name, ("age", "ages", "sex"), " ({})") == (f" ({hint[2:]})" if hint else "")


def test_a_missing_library_is_named_with_what_needs_it_and_the_extra_that_brings_it():
    with pytest.raises(
        MissingLibraryError,
        match=r"^Tape needs the library notapelib, which .* 'fairseq-signals\[tapes\]', now$",
    ):
        optional_library("notapelib.reels", "Tape", "tapes", ", now")
    assert optional_library("json", "Tape", "tapes") is import_module("json")


# --- the list of reasons for rejections is closed: the code gives no other, the documentation has them all


def constants(repo_dir):
    """Every string that is given as `kind` or `rejected_kind` in the code that reads and lists records."""
    found = {}
    for folder in FOLDERS:
        for path in (repo_dir / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    for keyword in node.keywords:
                        if keyword.arg in ("kind", "rejected_kind") and isinstance(
                            keyword.value, ast.Constant
                        ):
                            found.setdefault(keyword.value.value, path.name)
    return {kind: name for kind, name in found.items() if kind not in ("stable", "")}  # of numpy's sort


def test_the_code_gives_listed_reasons_only(repo_dir):
    for kind, name in constants(repo_dir).items():
        assert kind in REASONS, f"{name}: {kind!r} is not in errors.py"


def test_every_listed_reason_is_given_somewhere(repo_dir):
    paths = [path for folder in FOLDERS for path in (repo_dir / folder).rglob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    named = {UNREADABLE, UNFORESEEN, NOT_A_FILE, UNAVAILABLE, WITHOUT_SIGNAL_FILE}
    for kind in set(REASONS) - named:
        assert f'"{kind}"' in text, f"{kind!r} is given nowhere"


def test_the_documentation_has_the_list_word_for_word(repo_dir):
    text = (repo_dir / "preprocess" / "README.md").read_text(encoding="utf-8")
    table = text.partition("| kind | |\n| --- | --- |\n")[2].partition("\n\n")[0]
    assert dict(re.findall(r"^\| (.+?) \| (.+) \|$", table, re.MULTILINE)) == REASONS


def test_a_reason_that_is_not_listed_cannot_be_given():
    with pytest.raises(AssertionError, match=r"errors\.py does not list: 'tired'"):
        SignalError("record r: no", kind="tired")
    assert SignalError("record r: no").kind == UNREADABLE


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (MemoryError(), UNAVAILABLE),
        (OSError(errno.EIO, "Input/output error"), UNAVAILABLE),
        (OSError(errno.ESTALE, "Stale file handle"), UNAVAILABLE),
        (OSError(errno.EMFILE, "Too many open files"), UNAVAILABLE),
        (PermissionError(errno.EACCES, "Permission denied"), UNAVAILABLE),
        (FileNotFoundError(errno.ENOENT, "No such file"), UNAVAILABLE),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "malformed"),
        (OSError("not a gzipped file"), "malformed"),
        (OSError("Memory mapping file failed: Cannot allocate memory"), UNAVAILABLE),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), UNAVAILABLE),
        (RuntimeError("shapes differ"), "malformed"),
        (ArrowException("Failed to launch worker thread: Resource temporarily unavailable"), UNAVAILABLE),
        (ArrowException("Not a Parquet file"), "malformed"),
        (NotAFileError(errno.EINVAL, "it is a pipe, not a file"), NOT_A_FILE),
        (KeyError("leads"), "malformed"),
    ],
)
def test_what_failed_outside_of_a_file_is_not_the_files_fault(cause, kind):
    """However deep it lies: readers make errors about their format of what their libraries raise."""
    try:
        try:
            raise cause
        except Exception as error:
            raise ValueError("in a library") from error
    except ValueError as error:
        told = SignalError("record r: r.edf is damaged", kind="malformed")
        told.__cause__ = error
    assert signal_error(told, "r").kind == kind


def test_a_missing_signal_file_stays_one_and_any_other_error_is_unforeseen():
    missing = SignalError("record r: r.dat is missing", kind=WITHOUT_SIGNAL_FILE)
    missing.__cause__ = FileNotFoundError(errno.ENOENT, "No such file")
    assert signal_error(missing, "r") is missing
    assert str(signal_error(KeyError("x"), "r")) == "record r: unforeseen KeyError: 'x'. Please report it."
