"""AliveCor ATC files, as their specification has them."""

import struct
import zlib

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.formats.atc import read_atc
from tests.preprocess.lookalikes import atc


@pytest.mark.parametrize("checksum", [sum, zlib.crc32])
def test_every_lead_has_its_block_at_300_hz_in_steps_of_500_nv(tmp_path, ecg_adu, checksum):
    values = ecg_adu(12, 900)
    record = read_atc(atc.write(tmp_path / "a.atc", values, checksum=checksum))
    assert (record.leads, record.fs) == (LEADS, 300)
    np.testing.assert_allclose(record.signal_mv(), values * 0.0005, atol=1e-9)
    assert not record.damaged


def test_blocks_are_where_the_example_of_the_specification_has_them(tmp_path, ecg_adu):
    """`info` at byte 12, `fmt ` at 288 with the rate at 297 and the resolution at 299."""
    path = atc.write(tmp_path / "a.atc", ecg_adu(1, 900), ("I",))
    data = bytearray(path.read_bytes())
    assert (data[12:16], data[288:292]) == (b"info", b"fmt ")
    struct.pack_into("<HH", data, 297, 200, 1000)
    path.write_bytes(data)
    record = read_atc(path)
    assert record.fs == 200
    np.testing.assert_allclose(record.signal_mv(), ecg_adu(1, 900) * 0.001, atol=1e-9)


def test_a_block_that_was_changed_is_damaged(tmp_path, ecg_adu):
    path = atc.write(tmp_path / "a.atc", ecg_adu(2, 900), ("I", "II"))
    data = bytearray(path.read_bytes())
    data[-100] ^= 1  # in the samples of II
    path.write_bytes(data)
    assert [note.lead for note in read_atc(path).damaged] == ["II"]


@pytest.mark.parametrize(
    ("head", "kind", "message"),
    [
        (atc.fmt(kind=2), "of an unsupported kind", "samples of format 2"),
        (b"", "malformed", "no format block"),
        (atc.fmt(fs=0), "with an unexpected sampling rate", "0 Hz"),
    ],
)
def test_what_is_not_as_specified_is_refused(tmp_path, ecg_adu, refused, head, kind, message):
    error = refused(read_atc, atc.write(tmp_path / "a.atc", ecg_adu(1, 900), ("I",), head=head))
    assert (error.kind, message in str(error)) == (kind, True)


def test_a_file_that_ends_early_is_truncated(tmp_path, ecg_adu, refused):
    path = atc.write(tmp_path / "a.atc", ecg_adu(1, 900), ("I",))
    path.write_bytes(path.read_bytes()[:-500])
    assert refused(read_atc, path).kind == "truncated"
