"""Damaged copies of a file of every format are read or refused by our errors, with little memory and time."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fairseq_signals.errors import MissingLibraryError
from fairseq_signals.formats.registry import READERS, load_reader
from tests.formats.fuzz_worker import read

WORKER = Path(__file__).with_name("fuzz_worker.py")


def fuzz(name, seed, copies, folder):
    """What went wrong, a line each, and the error output where the process ended."""
    try:
        load_reader(name)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    command = [sys.executable, WORKER, name, str(seed), str(copies), folder]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + (done.stderr if done.returncode else "")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_takes_no_more_than_a_gibibyte_and_ten_seconds(name, seed, tmp_path):
    assert fuzz(name, seed, 400, tmp_path) == ""


def test_an_error_that_is_not_ours_is_reported_with_its_place():
    def fail(path, record_id):
        raise KeyError(path)

    assert re.fullmatch(rf"KeyError at {re.escape(__file__)}:\d+: 'a file'", read(fail, "a file"))
    assert read(lambda path, record_id: None, "a file") is None
