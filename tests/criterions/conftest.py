"""Tiny batches and models for the tests of the criterions."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.models.ecg_contrastive import ECGContrastiveConfig, ECGContrastiveModel
from fairseq_signals.models.wav2vec2_cmsc import Wav2Vec2CMSCConfig, Wav2Vec2CMSCModel


@pytest.fixture
def make_model(tiny):
    """`make_model(**options)`: a tiny pre-training model, in training mode."""

    def build(**options: object) -> Wav2Vec2CMSCModel:
        torch.manual_seed(0)
        defaults = {
            "quantize_targets": True,
            "latent_vars": 6,
            "final_dim": 8,
            "num_negatives": 5,
            "mask_length": 3,
        }
        return Wav2Vec2CMSCModel(Wav2Vec2CMSCConfig(**{**tiny, **defaults, **options}))

    return build


@pytest.fixture
def pairs(ecg_batch):
    """`pairs(patients)`: a batch of two segments of each of these patients, as the collater gives it."""

    def make(patients: tuple = (3, 5, 8)) -> dict:
        b = 2 * len(patients)
        return {
            "id": torch.arange(b),
            "net_input": {"source": ecg_batch(b), "padding_mask": None},
            "patient_id": torch.tensor(patients).repeat_interleave(2),
            "segment": torch.arange(b) % 2,
        }

    return make


@pytest.fixture
def make_contrastive(tiny):
    """`make_contrastive(**options)`: a tiny `ecg_contrastive`, in training mode."""

    def build(**options: object) -> ECGContrastiveModel:
        torch.manual_seed(0)
        return ECGContrastiveModel(ECGContrastiveConfig(**{**tiny, "final_dim": 8, **options}))

    return build


@pytest.fixture
def views(ecg_batch):
    """`views(patients, n_segments, n_views)`: a batch of so many views of each of the patients' segments."""

    def make(patients: tuple = (3, 5, 8), n_segments: int = 2, n_views: int = 2) -> dict:
        b = len(patients) * n_segments * n_views
        row = torch.arange(b)
        return {
            "id": row // (n_segments * n_views),
            "net_input": {"source": ecg_batch(b), "padding_mask": None},
            "patient_id": torch.tensor(patients).repeat_interleave(n_segments * n_views),
            "segment": row // n_views % n_segments,
            "segment_row": row // n_views,
            "view": row % n_views,
        }

    return make


@pytest.fixture
def reduced():
    """`reduced(criterion, logs)`: what fairseq shows for the outputs of several workers."""
    from fairseq.logging import metrics

    def reduce(criterion: type, logs: list) -> dict:
        with metrics.aggregate(new_root=True) as aggregator:
            criterion.reduce_metrics(logs)
        return aggregator.get_smoothed_values()

    return reduce


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every run, whatever ran before."""
    torch.manual_seed(0)
