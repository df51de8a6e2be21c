"""How signals are stored in a cell, and that reading a part does not decode the whole."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.errors import StoreError
from fairseq_signals.store.codecs import check_codec, decode_flac, encode_flac


def noise(n_leads, n_samples, seed=0):
    return np.random.default_rng(seed).integers(-32768, 32768, (n_leads, n_samples)).astype(np.int16)


@settings(max_examples=60, deadline=None)
@given(n_leads=st.integers(1, 12), n_samples=st.integers(1, 9000), seed=st.integers(0, 99), data=st.data())
def test_any_stretch_comes_back_as_it_was(n_leads, n_samples, seed, data):
    signal = noise(n_leads, n_samples, seed)
    start = data.draw(st.integers(0, n_samples))
    stop = data.draw(st.integers(start, n_samples))
    np.testing.assert_array_equal(
        decode_flac(encode_flac(signal), n_leads, start, stop), signal[:, start:stop]
    )


@pytest.mark.parametrize(("n_leads", "streams"), [(1, [1]), (8, [8]), (9, [5, 4]), (12, [6, 6])])
def test_a_cell_is_flac_streams_each_after_its_length(n_leads, streams):
    signal = noise(n_leads, 100)
    cell, found, lead = encode_flac(signal), [], 0
    while cell:
        size = int.from_bytes(cell[:4], "little")
        samples, _ = soundfile.read(io.BytesIO(cell[4 : 4 + size]), dtype="int16", always_2d=True)
        found.append(samples.shape[1])
        np.testing.assert_array_equal(samples.T, signal[lead : lead + samples.shape[1]])
        lead += samples.shape[1]
        cell = cell[4 + size :]
    assert found == streams


def test_a_segment_of_a_long_record_is_read_without_the_rest():
    signal = np.cumsum(np.random.default_rng(0).integers(-9, 10, (8, 500_000)), axis=1).astype(np.int16)
    cell = bytearray(encode_flac(signal))
    for tenth in (1, 2, 3, 8, 9):
        begin = tenth * len(cell) // 10
        cell[begin : begin + 20_000] = bytes(20_000)
    found = decode_flac(cell, 8, 300_000, 302_500)
    np.testing.assert_array_equal(found, signal[:, 300_000:302_500])


@pytest.mark.parametrize(
    "damage", [lambda c: b"", lambda c: c[:90], lambda c: bytes(200), lambda c: c[:-300]]
)
def test_a_damaged_cell_is_an_error(damage):
    cell = encode_flac(noise(12, 5000))
    with pytest.raises(StoreError, match="a FLAC stream is damaged"):
        decode_flac(damage(cell), 12, 0, 5000)


def test_a_cell_with_other_leads_or_fewer_samples_is_an_error():
    with pytest.raises(StoreError, match="damaged"):
        decode_flac(encode_flac(noise(2, 50)), 1, 0, 50)
    with pytest.raises(StoreError, match="damaged"):
        decode_flac(encode_flac(noise(1, 50)), 1, 0, 51)


def test_an_unknown_codec_is_refused():
    with pytest.raises(StoreError, match="codec must be one of int16, flac, but is 'mp3' instead"):
        check_codec("mp3")
