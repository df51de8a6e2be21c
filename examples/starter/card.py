"""The model card of a packed folder: what is in it, what it learnt from and reaches, what it is not for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from figures import Figure
from heads import Recipe

from fairseq_signals.checkpoints.saved_model import CONFIG, DIGEST
from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.info import read_info
from fairseq_signals.manifest.table import Manifest, read_manifest

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "sources.yaml"


def card_of(folder: Path, pretraining: Path, recipe: Recipe, figures: Sequence[Figure]) -> str:
    """The text of the card.

    Args:
        folder: the packed model.
        pretraining: the manifests that it was pre-trained on.
        recipe: of its heads.
        figures: what it reaches.

    Raises:
        ManifestError: recordings of a source whose licence `sources.yaml` does not tell.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    manifest = read_manifest(pretraining / "train.tsv")
    progress = config["provenance"].get("progress") or {}
    return (
        (HERE / "card.txt")
        .read_text(encoding="utf-8")
        .format(
            parameters=f"{config['parameters'] / 1e6:.1f}",
            mib=f"{sum(path.stat().st_size for path in folder.iterdir()) / 2**20:.1f}",
            fs=f"{config['fs']:g}",
            seconds=f"{config['segment_samples'] / config['fs']:g}",
            dim=config["embedding_dim"],
            pooling=", ".join(recipe.pooling),
            updates=f"{progress.get('num_updates', 0):,.0f}",
            digest=config[DIGEST],
            checkpoint=config["provenance"]["checkpoint"]["sha256"],
            data="\n".join(_data(manifest)),
            heads="\n".join(_heads(recipe, config["labels"])),
            figures="\n".join(_figures(figures)),
        )
    )


def _data(manifest: Manifest) -> Iterator[str]:
    """A row a data set, and the sum."""
    fs = read_info(manifest.path.parent)["fs"]
    known: list[dict[str, Any]] = yaml.safe_load(SOURCES.read_text("utf-8"))
    source = np.array([name.partition("/")[0] for name in manifest.record_ids])
    foreign = set(source.tolist()).difference(*(entry["sources"] for entry in known))
    if foreign:
        raise ManifestError(
            f"{manifest.path}: the licences of {', '.join(sorted(foreign))} are not told in sources.yaml: "
            "leave them out of the pre-training, or say them there"
        )
    everything = {"title": "all", "licence": "", "cite": "", "sources": source}
    for entry in (*known, everything):
        rows = np.flatnonzero(np.isin(source, entry["sources"]))
        if len(rows):
            records = len({manifest.record_ids[i] for i in rows})
            people = len({manifest.patient_ids[i] for i in rows})
            hours = manifest.n_samples[rows].sum() / fs / 3600
            yield (
                f"| {entry['title']} | {records:,} | {people:,} | {hours:.1f} | {entry['licence']} "
                f"| {entry['cite']} |"
            )


def _heads(recipe: Recipe, labels: Sequence[dict[str, Any]]) -> Iterator[str]:
    limit = {entry["label"]: entry["threshold"] for entry in labels}
    for head in recipe.heads:
        of = "; ".join(f"{s.corpus} (with {', '.join(s.leads)} leads)" for s in head.of)
        for label in head.labels:
            yield f"| {label} | {limit[label]:.3g} | {of} |"


def _figures(figures: Sequence[Figure]) -> Iterator[str]:
    for f in figures:
        low, high = f.bounds
        yield (
            f"| {f.what} | {f.corpus} | {f.leads} | {f.metric} | {f.value:.3f} ({low:.3f} to {high:.3f}) "
            f"| {f.n:,} of {f.n_patients:,} |"
        )
