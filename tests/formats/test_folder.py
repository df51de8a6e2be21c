"""Which records a folder holds."""

import os
import socket

from fairseq_signals.errors import NOT_A_FILE, UNAVAILABLE
from fairseq_signals.formats.folder import WITHOUT_HEADER, iter_records


def records(root):
    """The records of a folder, and the paths of signal files without a header."""
    found = sorted(iter_records(root))
    orphans = [record.path for record in found if record.rejected_kind == WITHOUT_HEADER]
    return [record for record in found if record.path not in orphans], orphans


def ids(root):
    return [record.record_id for record in records(root)[0]]


def test_records_are_found_at_any_depth_and_sorted(tmp_path, write_wfdb, ecg_adu):
    for folder, name in [("b/g2", "r10"), ("a", "r2"), ("b/g1", "r1"), (".", "z")]:
        write_wfdb(tmp_path / folder, name, ecg_adu(1, 20), ["I"])
    found, orphans = records(tmp_path)
    assert [record.record_id for record in found] == ["a/r2", "b/g1/r1", "b/g2/r10", "z"]
    assert all(record.path.is_absolute() and record.path.is_file() for record in found)
    assert orphans == []


def test_a_header_with_nul_characters_ends_no_listing(tmp_path, write_wfdb, ecg_adu):
    for name in "abc":
        write_wfdb(tmp_path, name, ecg_adu(1, 20), ["I"])
    (tmp_path / "b.hea").write_bytes(b"b 1 500 20\nb\0.dat 16 1/uV 16 0 0 0 0 I\n")
    assert ids(tmp_path) == ["a", "b", "c"]


def test_segments_and_layouts_are_not_records(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "r_1", ecg_adu(1, 20), ["I"])
    (tmp_path / "r_layout.hea").write_text("r_layout 1 500 0\n~ 0 200/mV 0 0 0 0 0 I\n")
    (tmp_path / "r.hea").write_text("r/3 1 500 30\nr_layout 0\nr_1 20\n~ 10\n")
    assert ids(tmp_path) == ["r"]


def test_signal_files_that_no_header_names_are_listed(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path / "a", "r", ecg_adu(1, 20), ["I"], suffix=".mat")
    write_wfdb(tmp_path / "a", "lost", ecg_adu(1, 20), ["I"], suffix=".mat").unlink()
    (tmp_path / "a" / "r.atr").write_bytes(b"annotations are not signals")
    assert records(tmp_path)[1] == [tmp_path / "a" / "lost.mat"]


def test_a_broken_header_is_listed_all_the_same(tmp_path):
    (tmp_path / "r.hea").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.hea").write_bytes(b"")
    assert ids(tmp_path) == ["empty", "r"]


def test_linked_folders_are_followed_and_loops_are_not(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path / "elsewhere", "r", ecg_adu(1, 20), ["I"])
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    assert ids(root) == ["link/r"]


def test_a_folder_is_read_once_and_under_its_own_name_whatever_links_to_it(tmp_path, write_wfdb, ecg_adu):
    root = tmp_path / "root"
    write_wfdb(root / "b", "r", ecg_adu(1, 20), ["I"])
    write_wfdb(tmp_path / "elsewhere" / "deep", "s", ecg_adu(1, 20), ["I"])
    (root / "a").symlink_to(root / "b")  # comes before it
    (root / "b" / "up").symlink_to(tmp_path)  # holds the root, and what is linked below
    (root / "c").symlink_to(tmp_path / "elsewhere" / "deep")
    assert ids(root) == ["b/r", "c/s"]


def test_what_is_found_does_not_depend_on_the_order_of_the_disk(tmp_path, write_wfdb, ecg_adu, monkeypatch):
    for name in ("c/r1", "a/r2", "a/r1", "b/x/r1"):
        write_wfdb((tmp_path / name).parent, name[-2:], ecg_adu(1, 20), ["I"])
    found = list(iter_records(tmp_path))
    assert [record.record_id for record in found] == ["a/r1", "a/r2", "b/x/r1", "c/r1"]

    class Reversed(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    scandir = os.scandir
    monkeypatch.setattr(
        "fairseq_signals.formats.folder.os.scandir",
        lambda path: Reversed(sorted(scandir(path), key=lambda entry: entry.name, reverse=True)),
    )
    assert list(iter_records(tmp_path)) == found


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, write_wfdb, ecg_adu, monkeypatch):
    write_wfdb(tmp_path / "a", "r", ecg_adu(1, 20), ["I"])
    (tmp_path / "lost+found").mkdir()
    scandir = os.scandir

    def deny(path):
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("fairseq_signals.formats.folder.os.scandir", deny)
    read, lost = iter_records(tmp_path)
    assert (read.record_id, read.rejected) == ("a/r", None)
    assert (lost.record_id, lost.rejected_kind) == ("lost+found", UNAVAILABLE)
    assert "the folder cannot be read (Permission denied)" in lost.rejected


def test_a_header_that_cannot_be_read_is_told_when_it_is_listed(tmp_path, write_wfdb, ecg_adu, monkeypatch):
    write_wfdb(tmp_path, "r", ecg_adu(1, 20), ["I"])
    (tmp_path / "a.edf").write_bytes(b"x")

    def broken(path, buffering=-1):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("fairseq_signals.formats.folder.open_file", broken)
    found = list(iter_records(tmp_path, (".hea", ".edf")))
    assert [each.path.name for each in found] == ["r.hea", "a.edf"]  # nor is r.dat said to have no header
    assert {each.rejected_kind for each in found} == {UNAVAILABLE}
    assert "Input/output error" in found[0].rejected


def test_what_is_no_file_is_told_and_ends_nothing(tmp_path, write_wfdb, ecg_adu, monkeypatch):
    write_wfdb(tmp_path / "a", "r", ecg_adu(1, 20), ["I"])
    os.mkfifo(tmp_path / "a" / "pipe.hea")
    (tmp_path / "a" / "loop").symlink_to("loop")
    (tmp_path / "a" / "x.hea").symlink_to(tmp_path / "a" / "y.hea")
    (tmp_path / "a" / "y.hea").symlink_to("x.hea")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "zero.hea").symlink_to("/dev/zero")
    (tmp_path / ".hidden").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the name of a socket must be short
        server.bind("socket")
        found = {record.record_id: record for record in iter_records(tmp_path)}
    assert found.pop("a/r").rejected is None
    reasons = {name: record.rejected.partition(" is ")[2] for name, record in found.items()}
    assert {name: reason.partition(",")[0] for name, reason in reasons.items()} == {
        "a/pipe.hea": "a pipe",
        "a/loop": "a link that runs in a circle",
        "a/x.hea": "a link that runs in a circle",
        "a/y.hea": "a link that runs in a circle",
        "gone": "a link to nowhere",
        "zero.hea": "a device",
        "socket": "a socket",
    }
    assert found.pop("gone").rejected_kind == UNAVAILABLE  # as on a drive that comes back
    assert {record.rejected_kind for record in found.values()} == {NOT_A_FILE}


def test_what_is_hidden_is_left_out_such_as_the_files_of_a_mac(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "r", ecg_adu(1, 20), ["I"])
    for name in ("._r.hea", "._r.dat", "__MACOSX/._r.hea", "__MACOSX/._x.edf", ".AppleDouble/r.hea"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ")
    assert [record.record_id for record in iter_records(tmp_path, (".hea", ".edf"))] == ["r"]


def test_a_signal_file_whose_stem_has_another_record_keeps_its_suffix(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path / "a", "r", ecg_adu(1, 20), ["I"])
    (tmp_path / "a" / "r.mat").write_bytes(b"")
    (tmp_path / "r.mat").write_bytes(b"")
    orphans = [found for found in iter_records(tmp_path) if found.rejected_kind == WITHOUT_HEADER]
    assert [(orphan.path.parent, orphan.record_id) for orphan in orphans] == [
        (tmp_path, "r"), (tmp_path / "a", "a/r.mat"),
    ]  # fmt: skip
    assert orphans[0].rejected == "no header names the signal file r.mat. Restore r.hea."


def test_the_digest_tells_a_changed_header_or_signal_file(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu(1, 20), ["I"])

    def digest():
        return records(tmp_path)[0][0].digest

    first = digest()
    assert digest() == first
    header.write_text(header.read_text().replace("1000", "2000"))
    second = digest()
    (tmp_path / "r.dat").write_bytes(b"short")
    third = digest()
    (tmp_path / "r.dat").unlink()
    assert len({first, second, third, digest()}) == 4


def test_an_empty_folder_has_no_records(tmp_path):
    assert records(tmp_path) == ([], [])


def test_names_in_upper_case_are_found(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "R", ecg_adu(1, 20), ["I"]).rename(tmp_path / "R.HEA")
    (tmp_path / "LOST.DAT").write_bytes(b"")
    (found,), (orphan,) = records(tmp_path)
    assert (found.path.name, orphan.name) == ("R.HEA", "LOST.DAT")
