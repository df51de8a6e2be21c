"""Arrow arrays of Python values."""

import subprocess
import sys

import pyarrow as pa
import pytest

from fairseq_signals.store.columns import column
from fairseq_signals.store.shards import SCHEMA

VALUES = {
    pa.string(): ["a", None, "", "\u00b5V\n"],
    pa.float64(): [0.1, None, -0.0, float("inf")],
    pa.float32(): [61.3, None, 0],
    pa.int64(): [5000, 2**40, 0],
    pa.list_(pa.string()): [["I", "II"], None, (), ["\u00fc"]],
    pa.list_(pa.float64()): [[0.001], None, []],
    SCHEMA.field("attributes").type: [(("a", "b"), ("c", "")), None, ()],
}


@pytest.mark.parametrize("kind", VALUES, ids=str)
@pytest.mark.parametrize("some", [slice(None), slice(0, 1), slice(1, 2), slice(0, 0)])
def test_a_column_is_what_pyarrow_makes(kind, some):
    values = VALUES[kind][some]
    made = column(values, kind)
    made.validate(full=True)
    assert made.equals(pa.array(values, kind))
    assert made.null_count == sum(value is None for value in values)


def test_every_column_of_a_store_can_be_made():
    plain = [field.type for field in SCHEMA if field.name != "signal"]
    assert set(plain) == set(VALUES)


@pytest.mark.parametrize("codec", ["int16", "flac"])
def test_a_shard_is_written_without_pandas(tmp_path, codec):
    code = f"""
import sys, numpy as np
from fairseq_signals.store.shards import StoreRow, write_shard
row = StoreRow("r", "s", 500.0, ["I"], np.ones(1), np.ones((1, 9), np.int16), attributes=[("a", "b")])
write_shard({str(tmp_path / "shard-00000.arrow")!r}, [row], codec={codec!r})
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
