"""Which frames the clusters of `ecg_hubert` can be of."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_signals.checkpoints.clusters import ClusterFile
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_hubert import ECGHuBERTConfig, ECGHuBERTModel


def test_clusters_are_of_as_many_leads_as_the_input(tiny, tmp_path):
    numbers = np.ones(36, dtype=np.float32)
    ClusterFile(np.ones((4, 36), dtype=np.float32), numbers, numbers, stride=16).write(tmp_path / "c.npz")
    path = str(tmp_path / "c.npz")
    assert ECGHuBERTModel(ECGHuBERTConfig(**tiny, clusters=path))
    with pytest.raises(ConfigError, match=r"36 numbers a frame, but statistics has 24 with model\.in_d=8"):
        ECGHuBERTModel(ECGHuBERTConfig(**{**tiny, "in_d": 8}, clusters=path))
