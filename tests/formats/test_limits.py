"""What a file claims is held against what it can hold, and against a limit, before memory is given to it."""

import os
import zlib

import pytest

from fairseq_signals.errors import SignalError
from fairseq_signals.formats import limits
from fairseq_signals.formats.common import read_bytes
from fairseq_signals.formats.options import DEFAULTS, ReadOptions


def test_a_recording_has_at_most_the_samples_of_twelve_leads_of_the_limit():
    limits.require_length("r", 12 * 60 * 500, 500.0, ReadOptions(max_seconds=60))
    limits.require_length(
        "r", 1 * 12 * 60 * 500, 500.0, ReadOptions(max_seconds=60)
    )  # one lead, 12 times as long
    with pytest.raises(
        SignalError, match=r"announces 360,001 samples, but at most 360,000 .* --max-"
    ) as raised:
        limits.require_length("r", 12 * 60 * 500 + 1, 500.0, ReadOptions(max_seconds=60))
    assert raised.value.kind == "too long"
    with pytest.raises(SignalError, match="announces 4,000,000,000 samples"):  # of 20 kHz, whatever its hours
        limits.require_length("r", 4 * 10**9, 20_000.0, DEFAULTS)


@pytest.mark.parametrize("fs", [0.0, -500.0, float("nan"), float("inf"), 1e9])
def test_a_rate_that_no_ecg_has_makes_no_length(fs):
    with pytest.raises(SignalError, match="the sampling rate in its header is"):
        limits.require_length("r", 1, fs, DEFAULTS)


def test_compressed_data_stand_for_a_hundred_times_their_size_at_most():
    data = os.urandom(10_000)
    assert limits.inflate(zlib.compress(data)) == data
    bomb = zlib.compress(bytes(limits.capacity(0) + 1), 1)
    with pytest.raises(ValueError, match=r"[\d,]+ compressed bytes stand for more than 67,108,864"):
        limits.inflate(bomb)
    with pytest.raises(ValueError, match="end too early"):
        limits.inflate(zlib.compress(data)[:-5])
    with pytest.raises(ValueError, match="are damaged"):
        limits.inflate(b"no stream")


def test_a_file_is_read_up_to_the_size_of_its_kind(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    assert len(read_bytes("r", tmp_path / "a", at_most=100)) == 100
    assert len(read_bytes("r", tmp_path / "a", 10, at_most=50)) == 10
    with pytest.raises(SignalError, match="a has 100 bytes, but at most 99 of"):
        read_bytes("r", tmp_path / "a", at_most=99)
