"""A store whose records are of no interest."""

import numpy as np
import pytest

from fairseq_signals.store.shards import StoreRow, write_shard


@pytest.fixture
def write_store():
    """`write_store(folder, names)`: `s/shard-00000.arrow` of records `x/NAME` of 500 samples, in order."""

    def write(folder, names):
        (folder / "s").mkdir()
        signal = np.zeros((1, 500), np.int16)
        rows = [StoreRow(name, "x", 500.0, ("I",), np.ones(1), signal) for name in names]
        write_shard(folder / "s" / "shard-00000.arrow", rows)

    return write
