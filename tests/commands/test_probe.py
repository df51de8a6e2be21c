"""`fairseq-signals probe`: rows by encoder, probe, lead set and K; any model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fairseq_signals.commands import probe
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.store.shards import StoreRow, write_shard
from tests.ecg_text import save_ecg_text

N, T = 24, 320


@pytest.fixture
def data(tmp_path):
    """Records of two classes, which are of another shape in lead II."""
    wave = np.sin(np.arange(T) / 8)
    rows = [
        StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01),
                 np.tile(100 * (wave if i % 2 else np.sign(wave)), (12, 1)).astype(np.int16),
                 patient_id=f"p{i}")
        for i in range(N)
    ]  # fmt: skip
    write_shard(tmp_path / "shard-00000.arrow", rows)
    lines = [Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", f"x/p{i}", 0, str(i % 2)) for i in range(N)]
    (tmp_path / "test.tsv").write_text("".join(format_manifest(tmp_path, lines)))
    (tmp_path / "labels.csv").write_text("index,name,abbreviation,codes\n0,a,A,1\n1,b,B,2\n")
    save_ecg_text(tmp_path / "clip.pt", {"segment_s": T / 500})
    return tmp_path


def test_classes_of_two_shapes_are_told_from_one_example(data, capsys):
    given = [data / "clip.pt", "--manifest", data, "--ways", "2", "--shots", "1", "3", "--queries", "2"]
    given += ["--episodes", "5", "--leads", "12,1", "--json", data / "out.json"]
    assert probe.main([str(each) for each in given]) == 0
    out = capsys.readouterr().out
    assert "2 classes, 2 queries each, 5 episodes" in out
    assert "chance 0.500" in out
    rows = json.loads((data / "out.json").read_text())
    assert len(rows) == 2 * 2 * 2 * 2
    assert {(row["encoder"], row["leads"], row["shots"]) for row in rows} == {
        (encoder, leads, k) for encoder in ("trained", "untrained") for leads in ("12", "1") for k in (1, 3)
    }
    assert all(row["accuracy"] == 1 for row in rows)  # all records of a class are alike
