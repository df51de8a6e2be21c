"""A file is there when it is complete, or as it was before."""

import pytest

from fairseq_signals.files import whole_file, write_text


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
