"""What tests of readers share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def refused():
    """`refused(read, path)`: the error of a reader, which names the record."""
    from fairseq_signals.errors import SignalError

    def check(read, path: Path) -> SignalError:
        with pytest.raises(SignalError, match="record some record: ") as raised:
            read(path, "some record")
        return raised.value

    return check
