"""In a folder of anything, tables and arrays that can be recordings are told from those that cannot."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairseq_signals.formats.candidates import may_hold_samples

ROWS = "\n".join(f"{k / 500},{k % 7},{k % 5}" for k in range(50))
TEXTS = {
    "a table": (f"time,I,II\n{ROWS}", True),
    "a table without names": (ROWS, True),
    "a table that only the user can name": (f"t,CH1,CH2\n{ROWS}", True),
    "a row": (",".join(map(str, range(9000))), True),
    "leads beside text": ("I,note\n" + "0.1,N\n0.2,N\n" * 9, True),
    "an export of a watch": ("Rate,512 Hz\nLead,Lead I\nUnit,mV\n\n1\n2\n", True),
    "prose": ("Read me first.\n", False),
    "a list of names": ("A00001\nA00002\n", False),
    "labels": ("A00001,N\nA00002,A\n" * 9, False),
    "a table about records": ("record,AF,other\n" + "a,0.1,0.9\nb,0.2,0.8\n" * 9, False),
}  # fmt: skip


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_is_a_recording_if_it_begins_with_a_table_of_numbers(kind, tmp_path):
    text, expected = TEXTS[kind]
    (tmp_path / "a.csv").write_text(text)
    assert may_hold_samples(tmp_path / "a.csv") == expected


def test_results_of_this_package_are_no_recordings(tmp_path):
    for name in ("emb.npy", "ecg.npy"):
        np.save(tmp_path / name, np.zeros((3, 8)))
    (tmp_path / "emb.npy.records.csv").write_text("record\na\n")
    pq.write_table(pa.table({"record": ["a"], "embedding": [[0.5]]}), tmp_path / "emb.parquet")
    pq.write_table(pa.table({"I": [0.5]}), tmp_path / "ecg.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    found = {path.name: may_hold_samples(path) for path in tmp_path.iterdir() if path.suffix != ".csv"}
    assert found == {
        "emb.npy": False, "ecg.npy": True, "emb.parquet": False, "ecg.parquet": True, "cut.parquet": True,
    }  # fmt: skip
    assert may_hold_samples(tmp_path / "a.edf")
