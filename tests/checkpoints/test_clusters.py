"""Files of clusters."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from fairseq_signals.checkpoints.clusters import STATISTICS, ClusterFile
from fairseq_signals.errors import CheckpointError

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(5, 36)).astype(np.float32)
MEAN = RNG.normal(size=36).astype(np.float32)
DEVIATION = 0.5 + RNG.random(36).astype(np.float32)


def test_what_is_written_is_read_again(tmp_path):
    for given in (
        ClusterFile(CENTRES, MEAN, DEVIATION, stride=16),
        ClusterFile(CENTRES, MEAN, DEVIATION, stride=32, source="/a model/check point.pt", layer=7),
    ):
        given.write(tmp_path / "new folder" / "clusters.npz")
        found = ClusterFile.read(tmp_path / "new folder" / "clusters.npz")
        for field in fields(ClusterFile):
            assert np.array_equal(getattr(found, field.name), getattr(given, field.name)), field.name
    assert ClusterFile(CENTRES, MEAN, DEVIATION, 16).source == STATISTICS


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"centres": None}, "not a file of clusters: there is no centres in it"),
        ({"mean": MEAN[:35]}, r"clusters\.npz: (mean|deviation) .*3[56]"),
        ({"deviation": 0 * DEVIATION}, r"clusters\.npz: deviation "),
        ({"stride": np.array(0)}, r"clusters\.npz: stride "),
        ({"centres": np.full((5, 36), np.nan, np.float32)}, r"clusters\.npz: centres "),
        ({"source": np.array(3)}, r"clusters\.npz: source "),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, changed, message):
    ClusterFile(CENTRES, MEAN, DEVIATION, 16).write(tmp_path / "clusters.npz")
    with np.load(tmp_path / "clusters.npz") as file:
        arrays = {**file, **changed}
    np.savez(
        tmp_path / "clusters.npz", **{name: value for name, value in arrays.items() if value is not None}
    )
    with pytest.raises(CheckpointError, match=message):
        ClusterFile.read(tmp_path / "clusters.npz")


def test_a_file_that_is_not_there_or_damaged_is_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"no such file of clusters; write it with `fairseq-signals clusters`"
    ):
        ClusterFile.read(tmp_path / "clusters.npz")
    (tmp_path / "clusters.npz").write_bytes(b"PK damaged")
    with pytest.raises(CheckpointError, match=r"not a file of clusters, or a damaged one"):
        ClusterFile.read(tmp_path / "clusters.npz")
