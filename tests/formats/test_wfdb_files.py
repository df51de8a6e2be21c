"""The files of a WFDB record are found under other spellings of their names, and never outside its folder."""

import gzip
import shutil

import numpy as np
import pytest
import wfdb

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.detect import detect_reader, header_of
from fairseq_signals.formats.folder import iter_records
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.inference.sources import files_of


def compress(path):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def say(header, old, new):
    header.write_text(header.read_text().replace(old, new))


@pytest.mark.parametrize("case", ["capitals", "upper", "no suffix", "compressed", "compressed, no suffix"])
@pytest.mark.parametrize("suffix", [".dat", ".mat"])
def test_the_signal_file_is_found_under_another_spelling_and_that_is_said(
    tmp_path, write_wfdb, ecg_adu, suffix, case
):
    adu = ecg_adu()
    header = write_wfdb(tmp_path, "A1", adu, suffix=suffix)
    path = tmp_path / f"A1{suffix}"
    if "suffix" in case:
        say(header, suffix, "")
    if case in ("capitals", "upper"):
        path = path.rename(path.with_suffix(suffix.upper()))
    if "compressed" in case:
        compress(path)
        path = path.with_name(path.name + ".gz")
    if case == "upper":
        header = header.rename(tmp_path / "A1.HEA")
    named = "A1" if "suffix" in case else f"A1{suffix}"
    record = read_wfdb(tmp_path / "A1")
    np.testing.assert_array_equal(record.signal, adu)
    assert record.notes == (f"{named} is read from {path.name}",)
    assert [found.path for found in iter_records(tmp_path)] == [header]
    assert files_of(str(tmp_path / "A1")) == [header, path]
    assert detect_reader(tmp_path / "A1") == "wfdb"


def test_files_that_the_library_reads_are_found_too(tmp_path, ecg_adu):
    adu = np.clip(ecg_adu(2, 1000), -500, 500)
    options = {
        "fs": 500,
        "units": ["mV"] * 2,
        "sig_name": ["I", "V1"],
        "fmt": ["516"] * 2,
        "write_dir": str(tmp_path),
    }
    for k in (1, 2):
        one = {"d_signal": adu.T.astype(int), "adc_gain": [200.0] * 2, "baseline": [0] * 2}
        wfdb.wrsamp(f"r_{k}", **one, **options)
    compress(tmp_path / "r_1.dat")
    (tmp_path / "r_2.hea").rename(tmp_path / "R_2.HEA")
    (tmp_path / "r.hea").write_text("r/2 2 500 2000\nr_1 1000\nr_2 1000\n")
    np.testing.assert_array_equal(read_wfdb(tmp_path / "r").signal, np.hstack([adu, adu]))
    assert [found.record_id for found in iter_records(tmp_path)] == ["r"]


def refused(path, message):
    with pytest.raises(SignalError, match=message) as raised:
        read_wfdb(path)
    assert "record A1: " in str(raised.value) or "A1.hea" in str(raised.value)


def test_a_file_that_cannot_be_told_or_read_is_named(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "A1", ecg_adu(), suffix=".mat")
    say(header, ".mat", "")
    shutil.copy(tmp_path / "A1.mat", tmp_path / "A1.dat")
    refused(header, r"A1, named in A1.hea, is missing, and which of A1.dat, A1.mat it is cannot be told")
    (tmp_path / "A1.dat").unlink()
    compress(tmp_path / "A1.mat")
    whole = (tmp_path / "A1.mat.gz").read_bytes()
    (tmp_path / "A1.mat.gz").write_bytes(whole[:-100])
    refused(header, "A1.mat.gz is not whole")
    (tmp_path / "A1.mat.gz").write_bytes(gzip.compress(bytes(2**27)))
    refused(header, "bytes of A1.mat.gz stand for more than 67,108,864")
    (tmp_path / "A1.mat.gz").unlink()
    refused(header, "signal file A1, named in A1.hea, is missing")


@pytest.mark.parametrize("name", ["../A2.dat", "{}/A2.dat", "/etc/hostname", "sub/A2.dat"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, write_wfdb, ecg_adu, name):
    write_wfdb(tmp_path, "A2", ecg_adu())
    header = write_wfdb(tmp_path / "in", "A1", ecg_adu())
    say(header, "A1.dat", name.format(tmp_path))
    refused(header, "is not the name of a file beside it")


@pytest.mark.parametrize("part", ["A1.dat", "A1_1.dat", "A1_1.hea"])
def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path, write_wfdb, ecg_adu, part):
    folder = tmp_path / "in"
    header = write_wfdb(folder, "A1", ecg_adu())
    if part != "A1.dat":
        write_wfdb(folder, "A1_1", ecg_adu())
        header.write_text("A1/1 12 500 3000\nA1_1 3000\n")
    (folder / part).rename(tmp_path / "elsewhere")
    (folder / part).symlink_to(tmp_path / "elsewhere")
    refused(
        header, rf"{part}, named in A1.hea, is a link to .*elsewhere, outside|A1_1.dat, named in A1_1.hea"
    )


def test_a_compressed_header_is_read_with_its_files(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu(2), ["I", "II"])
    expected = read_wfdb(header)
    compress(header)
    compress(header.with_suffix(".dat"))
    for place in ("r", "r.hea.gz", "r.dat.gz"):
        assert detect_reader(tmp_path / place) == "wfdb"
        record = read_wfdb(header_of(tmp_path / place))
        np.testing.assert_array_equal(record.signal, expected.signal)
        assert record.record_id == "r"
    (found,) = iter_records(tmp_path)
    assert (found.record_id, found.path.name, found.rejected) == ("r", "r.hea.gz", None)
    (tmp_path / "r.hea.gz").write_bytes(b"\x1f\x8b" + b"\0" * 9)
    with pytest.raises(SignalError, match=r"r\.hea\.gz: the header cannot be read"):
        read_wfdb(tmp_path / "r.hea.gz")


def test_a_link_into_the_repository_of_the_folder_is_followed(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path / "corpus" / "p1", "A1", ecg_adu(1), ["I"])
    content = tmp_path / "corpus" / ".git" / "annex" / "objects" / "A1.dat"
    content.parent.mkdir(parents=True)
    header.with_suffix(".dat").rename(content)
    header.with_suffix(".dat").symlink_to("../.git/annex/objects/A1.dat")
    assert read_wfdb(header).leads == ("I",)


def test_links_within_a_folder_and_beside_a_linked_header_are_followed(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu()
    write_wfdb(tmp_path / "corpus", "A1", adu)
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    for name in ("A1.hea", "A1.dat"):
        (chosen / name).symlink_to(tmp_path / "corpus" / name)
    np.testing.assert_array_equal(read_wfdb(chosen / "A1").signal, adu)
    (tmp_path / "corpus" / "A1.dat").rename(tmp_path / "corpus" / "x")
    (tmp_path / "corpus" / "A1.dat").symlink_to("x")
    np.testing.assert_array_equal(read_wfdb(tmp_path / "corpus" / "A1").signal, adu)
