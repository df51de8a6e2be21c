"""WFDB headers that announce what their files do not hold are refused before memory is given to it."""

import os
import time
import tracemalloc

import numpy as np
import pytest

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.formats.wfdb_comments import parse_comments

LINE = "r.dat {storage} 1000(0)/mV 16 0 0 0 0 II"


@pytest.fixture
def refused_at_once(tmp_path):
    """`refused_at_once(header, match)`: the text is refused with such a message, without memory or time."""

    def check(header: str, match: str, options=DEFAULTS) -> SignalError:
        (tmp_path / "r.hea").write_text(header)
        tracemalloc.start()
        begin = time.process_time()
        try:
            with pytest.raises(SignalError, match=match) as raised:
                read_wfdb(tmp_path / "r.hea", options=options)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2**26
        assert time.process_time() - begin < 5
        return raised.value

    return check


@pytest.mark.parametrize(
    ("record_line", "storage", "match"),
    [
        (f"r 1 500 {10**20}", "16", r"announces over 10\^18 samples, but at most 1,0"),
        ("r 1 500 {}".format("9" * 400), "310", r"announces over 10\^18 samples"),
        (
            "r 1 500 900000000",
            "16",
            "it holds 5000 samples per lead, but announces 900",
        ),
        (
            "r 1 500 900000000",
            "24",
            "it holds 3333 samples per lead, but announces 900",
        ),
        ("r 1 500 -5", "16", "is not 'name signals rate samples'"),
        ("r -1 500 5000", "16", "is not 'name signals rate samples'"),
        ("r 1 500 5000", "16:99999999", "a skew of 99999999 samples in 5000"),
        ("r 1 500 5000", "16x999999999", r"announces 4,999,999,995,000 samples"),
        ("r 1 500 5000", "16x0", "does not start with 'file format'"),
        ("r 1 500 5000", "16+99999999", "truncated: it holds 0 samples"),
        ("r 1 1e400 5000", "16", "the sampling rate in its header is inf Hz"),
        ("r 1 500 5000", "516", r"the FLAC file r\.dat cannot be read"),
    ],
)
def test_what_the_signal_file_does_not_hold_is_refused(
    record_line, storage, match, tmp_path, refused_at_once
):
    (tmp_path / "r.dat").write_bytes(np.arange(5000, dtype="<i2").tobytes())
    refused_at_once(f"{record_line}\n{LINE.format(storage=storage)}\n", match)


@pytest.mark.parametrize("n_samples", [6000, 10**9, 2**36 - 1])
def test_a_flac_file_that_says_more_than_it_holds_is_refused(n_samples, tmp_path, refused_at_once):
    import soundfile

    samples = np.cumsum(np.random.default_rng(0).integers(-9, 10, 5000)).astype(np.int16)
    soundfile.write(tmp_path / "r.dat", samples, 500, format="FLAC", subtype="PCM_16")
    header = "r 1 500 {}\n" + LINE.format(storage=516) + "\n"
    (tmp_path / "r.hea").write_text(header.format(5000))
    assert read_wfdb(tmp_path / "r.hea").n_samples == 5000
    refused_at_once(header.format(n_samples), "truncated: it holds 5000 samples|announces .* samples, but at")
    data = bytearray((tmp_path / "r.dat").read_bytes())
    data[21:26] = (data[21] & 0xF0 | n_samples >> 32).to_bytes(1, "big") + (n_samples & 0xFFFFFFFF).to_bytes(
        4, "big"
    )
    (tmp_path / "r.dat").write_bytes(data)  # now its own header says so as well
    refused_at_once(header.format(n_samples), "wfdb library cannot|cannot be read|announces .* samples, but")


def test_a_signal_that_is_no_regular_file_is_never_opened(tmp_path, refused_at_once):
    for number, storage in enumerate(("16", "24", "516")):
        header = f"r 1 500\n{LINE.format(storage=storage)}\n"
        (tmp_path / "r.dat").symlink_to("/dev/zero")
        refused_at_once(
            header,
            r"signal file r\.dat.* is missing|it is a (device|pipe), not a file|is a link to /dev/zero",
        )
        (tmp_path / "r.dat").rename(tmp_path / f"{number}.old")
        os.mkfifo(tmp_path / "r.dat")
        refused_at_once(
            header,
            r"signal file r\.dat.* is missing|it is a (device|pipe), not a file|is a link to /dev/zero",
        )
        (tmp_path / "r.dat").unlink()


def test_a_link_within_a_corpus_is_followed(tmp_path, write_wfdb, ecg_adu):
    """As in a folder of links to records that lie on another disk."""
    header = write_wfdb(tmp_path / "disk", "r", ecg_adu())
    (tmp_path / "links").mkdir()
    for name in ("r.hea", "r.dat"):
        (tmp_path / "links" / name).symlink_to(tmp_path / "disk" / name)
    assert (read_wfdb(tmp_path / "links" / "r.hea").signal == read_wfdb(header).signal).all()


def test_of_a_larger_file_what_the_header_announces_is_read(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu(12, 3000))
    expected = read_wfdb(header).signal
    with (tmp_path / "r.dat").open("r+b") as file:
        file.truncate(2**40)  # a hole of 1 TiB
    assert (read_wfdb(header).signal == expected).all()


def test_a_header_of_a_gibibyte_is_not_read(tmp_path):
    with (tmp_path / "r.hea").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(SignalError, match=r"r\.hea has 1,073,741,824 bytes, but at most 16,777,216"):
        read_wfdb(tmp_path / "r.hea")


def test_a_name_that_is_too_long_for_the_system_is_that_of_no_file(tmp_path):
    name = "x" * 300 + ".dat"
    for storage in ("16", "24"):
        (tmp_path / "r.hea").write_text(f"r 1 500 5000\n{name} {storage} 1000(0)/mV 16 0 0 0 0 II\n")
        with pytest.raises(SignalError, match=r"File name too long|is missing"):
            read_wfdb(tmp_path / "r.hea")


@pytest.mark.parametrize(
    ("storage", "calibration"),
    [(16, f"1000({9 * 10**400})"), (16, "1e400(0)"), (24, "1e400(0)"), (24, "nan(0)")],
)
def test_what_no_adc_has_is_no_calibration(storage, calibration, tmp_path):
    values = np.repeat(np.arange(5000, dtype="<i4") % 200, 2)
    (tmp_path / "r.dat").write_bytes(values.view(np.uint8).reshape(-1, 4)[:, : storage // 8].tobytes())
    line = f"r.dat {storage} {{}}/mV 16 0 0 0 0 {{}}"
    lines = [line.format(calibration, "I"), line.format(1000, "II")]
    (tmp_path / "r.hea").write_text("\n".join(["r 2 500 5000", *lines]))
    record = read_wfdb(tmp_path / "r.hea")
    assert record.leads == ("II",)
    assert "no gain" in record.faults[0].reason


@pytest.mark.parametrize(
    ("segments", "match"),
    [
        (["s 5000"] * 20_000, "a segment is listed twice"),
        (
            ["s 5000", "~ 60000000"],
            "the record says that it has 120,010,000 bytes, but",
        ),
        (["s 5000", "~ 999999999999"], r"announces 1,000,000,004,999 samples"),
        (["s 5000", "r 5000"], r"its segment r\.hea has segments itself"),
        (["s 5000", "~ -5"], "is not 'name samples'"),
        (["s 5000", "~"], "is not 'name samples'"),
    ],
)
def test_segments_that_their_files_cannot_hold_are_refused(segments, match, tmp_path, refused_at_once):
    (tmp_path / "r.dat").write_bytes(np.arange(5000, dtype="<i2").tobytes())
    (tmp_path / "s.hea").write_text(f"s 1 500 5000\n{LINE.format(storage=16)}\n")
    refused_at_once("\n".join([f"r/{len(segments)} 1 500 5000", *segments]), match)


def test_a_record_of_unstated_length_is_as_long_as_its_file_up_to_the_limit(tmp_path, refused_at_once):
    (tmp_path / "r.dat").write_bytes(np.arange(5000, dtype="<i2").tobytes())
    for storage in ("16", "24"):
        header = f"r 1 500\n{LINE.format(storage=storage)}\n"
        (tmp_path / "r.hea").write_text(header)
        read_wfdb(tmp_path / "r.hea", options=ReadOptions(max_seconds=1.0))
        refused_at_once(header, "samples, but at most", ReadOptions(max_seconds=0.5))
    with (tmp_path / "r.dat").open("r+b") as file:
        file.truncate(2**40)  # a hole of 1 TiB
    refused_at_once(header.replace("24", "16"), "announces 549,755,813,888 samples, but at most")


@pytest.mark.parametrize(
    "comment", ["Age: 5" + " ;," * 10_000 + "x", "a" + " " * 30_000 + "x", "age " * 10_000]
)
def test_a_long_comment_takes_no_longer_than_it_is(comment):
    begin = time.process_time()
    parse_comments([comment])
    assert time.process_time() - begin < 2
