"""A tiny model, and an encoder that knows the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.benchmark.features import _of_rows, joined
from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.manifest.table import Row, read_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import PooledEncoder
from tests.sizes import TINY


@pytest.fixture(scope="session")
def model() -> ECGModel:
    """A tiny encoder with random weights."""
    torch.manual_seed(0)
    return ECGModel(PooledEncoder(ECGEncoder(EncoderConfig(**TINY))), "pretraining", InputFormat())


class Oracle:
    """An object that tells recordings by their samples of lead I; notes what it is given."""

    def __init__(self) -> None:
        self.answers: dict[bytes, np.ndarray] = {}
        self.given: list[tuple[np.ndarray, float, tuple[str, ...]]] = []

    def embed(self, x: np.ndarray, fs: float, leads: tuple[str, ...]) -> np.ndarray:
        self.given.append((x, fs, leads))
        return self.answers[x[leads.index("I")].tobytes()]


@pytest.fixture
def oracle() -> Callable[[Path, Callable[[Row], np.ndarray]], Oracle]:
    """`oracle(folder, answer)`: an encoder that gives `answer(row)` for the records of all manifests."""

    def make(folder: Path, answer: Callable[[Row], np.ndarray]) -> Oracle:
        found = Oracle()
        for path in folder.glob("*.tsv"):
            manifest = read_manifest(path)
            rows = joined(manifest.rows())
            reader = SegmentReader(_of_rows(manifest, rows))
            found.answers.update({reader.read(i)[0].tobytes(): answer(row) for i, row in enumerate(rows)})
        return found

    return make
