"""`fairseq-signals plot`: the file it writes, and what it says when it cannot."""

import struct
import sys

import numpy as np
import pytest

from fairseq_signals import read_recording
from fairseq_signals.commands import main as cli
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import MissingLibraryError, OutputError
from fairseq_signals.report import figures


@pytest.fixture
def record(write_wfdb, ecg_adu, tmp_path):
    """A record of 2 s at 250 Hz with all leads."""
    return write_wfdb(tmp_path / "raw", "r1", ecg_adu(12, 500), fs=250)


@pytest.fixture
def two_leads(write_wfdb, ecg_adu, tmp_path):
    """A record with V5 and II only."""
    return write_wfdb(tmp_path / "raw", "r2", ecg_adu(2, 500), leads=("V5", "II"), fs=250)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Few pixels, which are drawn fast."""
    monkeypatch.setattr(figures, "DPI", 30)


def run(*arguments) -> int:
    return cli.main(["plot", "transforms", *map(str, arguments)])


def png_size(path) -> tuple:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def widths(seconds: float) -> set:
    """Pixels of a page with two to four sheets side by side: margins 8 mm, gaps 6 mm, 10 mm for the pulse."""
    return {int((16 + n * (10 + 25 * seconds) + (n - 1) * 6) / 25.4 * figures.DPI) for n in (2, 3, 4)}


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


def test_a_picture_of_the_record_is_written_and_named(record, tmp_path, capsys, matplotlib):
    out = tmp_path / "new" / "folder" / "picture.png"
    assert run(record, "--out", out) == 0
    assert capsys.readouterr().out == f"wrote {out}\n"
    assert png_size(out)[0] in widths(2)
    assert [path.name for path in out.parent.iterdir()] == ["picture.png"]


def test_without_a_name_it_lands_here_under_the_records(record, tmp_path, monkeypatch, capsys, matplotlib):
    monkeypatch.chdir(tmp_path)
    assert run(record.with_suffix("")) == 0
    assert (tmp_path / "r1_transforms.png").is_file()


@pytest.mark.parametrize(("suffix", "start"), [("pdf", b"%PDF"), ("SVG", b"<?xml")])
def test_the_suffix_says_the_format(record, tmp_path, suffix, start, matplotlib):
    out = tmp_path / f"picture.{suffix}"
    assert run(record, "--out", out) == 0
    assert out.read_bytes().startswith(start)


def test_the_same_seed_gives_the_same_picture_and_another_another(record, tmp_path, matplotlib):
    pictures = []
    for i, options in enumerate(((), ("--seed=1",), ("--seed=2",))):
        out = tmp_path / f"{i}.png"
        assert run(record, "--out", out, *options) == 0
        pictures.append(out.read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_seconds_and_leads_choose_what_is_drawn(record, tmp_path, matplotlib):
    assert run(record, "--out", tmp_path / "a.png", "--seconds=1", "--leads=aVR") == 0
    assert png_size(tmp_path / "a.png")[0] in widths(1)
    assert run(record, "--out", tmp_path / "b.png", "--seconds=1", "--leads=6") == 0
    assert png_size(tmp_path / "b.png")[1] > png_size(tmp_path / "a.png")[1]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--leads=V7", "LeadError: unknown lead 'V7'; did you mean V"),
        ("--leads=I,V5", "LeadError: record r2 has no lead I. It has II, V5."),
        ("--out=picture.doc", "ConfigError: --out picture.doc: cannot write .doc. Possible: ."),
        ("--out=picture", "ConfigError: --out picture: cannot write a file without suffix."),
    ],
)
def test_what_cannot_be_drawn_is_said(
    two_leads, argument, message, capsys, monkeypatch, tmp_path, matplotlib
):
    monkeypatch.chdir(tmp_path)
    assert run(two_leads, argument) == 1
    assert f"fairseq-signals plot: {message}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_record_that_is_not_there_is_named(tmp_path, capsys, matplotlib):
    assert run(tmp_path / "nothing") == 1
    error = capsys.readouterr().err
    assert "SignalError" in error
    assert "nothing" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plot"], "PICTURE"),
        (["plot", "transforms"], "RECORD"),
        (["plot", "transforms", "r", "--seed=-1"], "must be an integer from 0, but is '-1'"),
        (["plot", "transforms", "r", "--seconds=0"], "must be a number above 0 and at most 30, but is '0'"),
        (["plot", "transforms", "r", "--seconds=long"], "but is 'long'"),
        (["plot", "transform", "r"], "invalid choice: 'transform'"),
    ],
)
def test_a_wrong_call_is_explained(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_without_matplotlib_it_says_what_to_install(record, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(record) == 1
    assert "pip install 'fairseq-signals[plot]'" in capsys.readouterr().err
    with pytest.raises(MissingLibraryError, match="a picture needs the library matplotlib"):
        figures.require_matplotlib()


def test_a_drawing_that_fails_leaves_nothing_behind(tmp_path, matplotlib):
    from matplotlib.figure import Figure

    class Failing(Figure):
        def savefig(self, fname, **kwargs):
            fname.write_bytes(b"half")
            raise OSError("disk full")

    (tmp_path / "picture.png").write_bytes(b"old")
    with pytest.raises(OutputError, match="disk full"):
        figures.save(Failing(), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_leads_that_are_drawn_by_default_are_in_the_record(record, two_leads, write_wfdb, ecg_adu, tmp_path):
    assert figures.choose_leads(read_recording(record), None) == (0, 1, 7)
    assert figures.choose_leads(read_recording(two_leads), None) == (1,)
    chest = write_wfdb(tmp_path, "r3", ecg_adu(4, 500), leads=("V6", "V5", "V4", "V3"))
    assert [LEADS[i] for i in figures.choose_leads(read_recording(chest), None)] == ["V3", "V4", "V5"]


def test_a_record_becomes_twelve_leads_at_500_hz(two_leads):
    signal = figures.twelve_leads(read_recording(two_leads))
    assert signal.shape == (12, 1000)
    assert signal.dtype == np.float32
    assert np.flatnonzero(signal.any(axis=1)).tolist() == [1, 10]


@pytest.mark.shared
def test_real_records_of_every_source_are_drawn(shared_dir, tmp_path, matplotlib):
    folders = ("cinc2021", "ptb_xl", "ludb", "ecgid", "code15_samitrop", "brugada_huca")
    found = [min((shared_dir / "real_ecg" / folder).rglob("*.hea"), default=None) for folder in folders]
    headers = [header for header in found if header is not None]
    if not headers:
        pytest.skip(f"no recordings below {shared_dir / 'real_ecg'}")
    for header in headers:
        assert run(header, "--out", tmp_path / f"{header.stem}.png", "--seconds=2") == 0
        assert png_size(tmp_path / f"{header.stem}.png")[0] in widths(2)
