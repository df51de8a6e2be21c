"""How much a few examples of each class tell a frozen encoder, beside one that was never trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from fairseq_signals.checkpoints.input_format import SKIP, input_format, preset_of
from fairseq_signals.checkpoints.loading import build_model, load_checkpoint
from fairseq_signals.evaluation.classification import labelled_items
from fairseq_signals.evaluation.lead_sets import LeadSets
from fairseq_signals.evaluation.predict import mean_of_groups, predict, read_split, warn_of_other_lengths
from fairseq_signals.manifest.folder import CLASSIFICATION, LABELS_FILE
from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.metrics.few_shot import PROBES, accuracy, episodes
from fairseq_signals.modules.device import check_device
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.heads import PooledEncoder

TRAINED, UNTRAINED = "trained", "untrained"


class FewShot(NamedTuple):
    """A result.

    Args:
        encoder: "trained" or "untrained".
        probe: of `PROBES`.
        leads: the name of the lead set.
        shots: K.
        accuracy, half_interval: over episodes.
    """

    encoder: str
    probe: str
    leads: str
    shots: int
    accuracy: float
    half_interval: float


def few_shot(
    checkpoint: Path,
    manifests: Path,
    lead_sets: Mapping[str, tuple[int, ...]],
    split: str,
    ways: int,
    shots: Sequence[int],
    queries: int,
    n_episodes: int,
    seed: int,
    batch_size: int = 64,
    device: str = "cpu",
    given: Mapping[str, Any] = MappingProxyType({}),
) -> list[FewShot]:
    """Probe the encoder of a checkpoint; all rows of one K have the same episodes.

    Args:
        checkpoint: any model.
        manifests: of a classification, with `labels.csv`.
        lead_sets, split, batch_size, device, given: as of `evaluate`.
        ways, shots, queries, n_episodes, seed: see `metrics.few_shot.episodes`; one K after the other.

    Raises:
        ConfigError: there are too few records.
        ManifestError, LabelError: manifests or labels are not as they must be.
    """
    check_device(device)
    info = load_checkpoint(checkpoint)
    known, fields = preset_of(info, given.get("preset")), {k: v for k, v in given.items() if k != "preset"}
    form = input_format(info, known).changed(fields)
    sets = lead_sets.of_model(form) if isinstance(lead_sets, LeadSets) else lead_sets
    table = read_labels(manifests / LABELS_FILE)
    manifest = read_split(manifests, split, CLASSIFICATION)
    items, group, labels = labelled_items(manifest, len(table), "record", exclusive=False)
    patients = np.array([patient for _, patient in items])
    drawn = {k: list(episodes(labels, patients, ways, k, queries, n_episodes, seed)) for k in shots}
    warn_of_other_lengths(manifest, form)
    noted = (info.cfg.get("common") or {}).get("seed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(noted if isinstance(noted, int) else 1)
        before = PooledEncoder(ECGEncoder(info.config)).to(device).eval()
    found = []
    for encoder, network in ((TRAINED, build_model(info, device)), (UNTRAINED, before)):
        network.skip_zero_frames = form.zero_frames == SKIP
        segments = predict(network.pooled, manifest, sets, batch_size, device, form)
        for leads, rows in zip(sets, segments):
            vectors = mean_of_groups(rows, group, len(items))
            for k, of_k in drawn.items():
                for probe in PROBES:
                    found.append(FewShot(encoder, probe, leads, k, *accuracy(vectors, of_k, probe)))
    return found
