"""A file is there when it is complete, or as it was before."""

import os
import threading

import pytest

from fairseq_signals.errors import NotAFileError, OutputError
from fairseq_signals.files import open_file, remove_left_overs, whole_file, whole_files, write_text
from fairseq_signals.safety.locks import lock, release

LEFT_OVERS = (
    ".a.csv.123.part.csv",
    ".a.csv.123.part",
    ".a.csv.12-0123abcd.part.csv",
    ".a.csv.1-89abcdef.tmp",
)
OTHERS = (
    ".a.csv.parts",
    ".a.csv.1.parts",
    ".b.csv.123.part.csv",
    "a.csv.123.part",
    ".a.csv",
    ".a.csv.x.part",
)


def test_a_file_appears_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "new" / "a.csv"
    with whole_file(path) as partial:
        assert partial.suffix == ".csv"
        partial.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_the_file_is_as_it_was(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("before")

    def stopped():
        with whole_file(path, ".tmp") as partial:
            assert partial.suffix == ".tmp"
            partial.write_text("after")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stopped()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_pieces_of_a_text_are_written_in_utf_8_with_their_own_ends_of_lines(tmp_path):
    path = tmp_path / "new" / "a.csv"
    write_text(path, iter(["50 µV\n", "one,two\r\n"]))
    assert path.read_bytes() == "50 µV\none,two\r\n".encode()


def test_what_killed_processes_left_of_a_file_is_removed_when_it_is_written_again(tmp_path):
    for name in (*LEFT_OVERS, *OTHERS):
        (tmp_path / name).touch()
    (tmp_path / ".a.csv.77.part").mkdir()
    with whole_file(tmp_path / "a.csv") as first:
        write_text(tmp_path / "a.csv", ["second"])  # a process that lives: another descriptor
        assert first.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", *OTHERS}
    remove_left_overs(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", *set(OTHERS) - {".b.csv.123.part.csv"}}


def test_a_file_waits_for_whoever_asks_whether_it_is_a_left_over(tmp_path, monkeypatch):
    temporary = tmp_path / ".a.part"
    monkeypatch.setattr("fairseq_signals.files.temporary_path", lambda *_: temporary)
    asking = lock(temporary, os.O_RDWR | os.O_CREAT)
    threading.Timer(0.1, lambda: (temporary.unlink(), release(asking))).start()
    with whole_file(tmp_path / "a") as partial:
        partial.write_text("new")
    assert (tmp_path / "a").read_text() == "new"


def test_files_that_belong_together_get_their_names_when_all_are_on_the_disk(tmp_path):
    listing = tmp_path / "a.csv"
    paths = tmp_path / "a.npy", listing
    for path in paths:
        path.write_text("old")

    def write(retire, *texts):
        with whole_files(paths, retire) as partials:
            for partial, text in zip(partials, texts, strict=True):
                partial.write_text(text)

    with pytest.raises(ValueError, match="shorter"):
        write(listing.unlink, "new")
    assert [path.read_text() for path in paths] == ["old", "old"]
    before_switching = []
    write(lambda: before_switching.extend(path.read_text() for path in paths), "new", "list")
    assert before_switching == ["old", "old"]
    assert [path.read_text() for path in paths] == ["new", "list"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "x"), r"No space left on device\)\. Make room and try again"),
        (OSError(28, "x", "/read/from"), "No space left on device"),  # as `shutil.copyfile` says it
        (OSError(27, "x"), r"File too large\)\. Raise the limit on the size of files \(ulimit -f\)"),
        (
            OSError("the library's own words"),
            r"the library's own words\)\. Make room, or see",
        ),
    ],
)
def test_what_the_disk_does_not_take_is_named(tmp_path, error, message):
    with (
        pytest.raises(OutputError, match=rf"a\.csv: cannot be written \({message}"),
        whole_file(tmp_path / "a.csv"),
    ):
        raise error


def test_a_folder_that_was_removed_is_said_to_be_gone(tmp_path):
    def write():
        with whole_file(tmp_path / "b" / "a.csv") as partial:
            partial.unlink()
            partial.parent.rmdir()

    with pytest.raises(OutputError, match=r"b/a\.csv: .*\. Bring back its folder, which is gone, and"):
        write()


def test_an_error_of_another_file_is_not_said_to_be_of_the_one_that_is_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="input"), whole_file(tmp_path / "a.csv"):
        (tmp_path / "input").read_text()


def test_only_files_are_opened_to_be_read(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("link")
    with open_file(tmp_path / "a") as file:
        assert file.read() == b"abc"
    for name, what in (
        ("pipe", "a pipe"),
        ("link", "a link that runs in a circle"),
        ("/dev/zero", "a device"),
    ):
        with pytest.raises(NotAFileError, match=f"it is {what}, not a file"):
            open_file(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "nothing")


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(OutputError, match=r"a pipe, not a file\). Choose another name and try again"):
            write_text(path, ["x"])
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, pipe]
