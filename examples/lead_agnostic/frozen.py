"""A frozen encoder under every lead set: scores of linear probes and of identification, in one file.

    python examples/lead_agnostic/frozen.py MODEL --manifests DIR --split valid --out SCORES.npz

A recording's features are means over its segments. Superclasses and atrial fibrillation: one logistic
regression a class (`benchmark/heads.py` of the package), trained anew for each lead set ("anew"), and once on
twelve leads ("once"). Identification: cosine of features that were standardised on the training persons.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from data import AF, DX, IDENTITY, IDENTITY_PTBXL

from fairseq_signals import ECGModel
from fairseq_signals.benchmark.encoders import random_like
from fairseq_signals.benchmark.heads import fit_logistic
from fairseq_signals.ecg.leads import LEAD_SETS, LEADS
from fairseq_signals.evaluation.classification import labelled_items
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.predict import items_of, mean_of_groups, predict
from fairseq_signals.files import whole_file
from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.table import Manifest, read_manifest
from fairseq_signals.metrics.identification import rank1_accuracy

ALL = "12"
#: Each lead alone; I is the set "1".
EACH = ("1", *LEADS[1:])
BATCH = 32
#: Lead sets of each task.
SETS = {DX: (*LEAD_SETS, *EACH[1:]), AF: ("1",), IDENTITY: ("1",), IDENTITY_PTBXL: tuple(LEAD_SETS)}


class Features:
    """Features of recordings: statistics over the frames of chosen layers.

    Args:
        model: whose encoder.
        wanted: "mean:4" or "std:2", a statistic and a layer, 0 being the Transformer's input.
        noise: replace every present lead by white noise, which tells nothing: a control of the procedure.
    """

    def __init__(self, model: ECGModel, wanted: Sequence[str], noise: bool = False):
        self.model, self.noise = model, noise
        self.wanted = [(kind, int(layer)) for kind, _, layer in (text.partition(":") for text in wanted)]
        self.rng = torch.Generator().manual_seed(1)

    def compute(self, source: torch.Tensor, padding_mask: None, lead_present: torch.Tensor) -> torch.Tensor:
        """(B, 12, T) -> (B, features)."""
        if self.noise:
            source = torch.randn(source.shape, generator=self.rng) * lead_present[..., None]
        layers = list(self.model.network.encoder.each_layer(source, lead_present))
        how = {"mean": lambda x: x.mean(dim=1), "std": lambda x: x.std(dim=1)}
        return torch.cat([how[kind](layers[layer]) for kind, layer in self.wanted], dim=1)

    def of(self, manifest: Manifest, sets: Sequence[str]) -> np.ndarray:
        """(lead sets, recordings, features), recordings in the order of `items_of`."""
        items, group = items_of(manifest, "record")
        found = predict(
            self.compute, manifest, parse_lead_sets([",".join(sets)]), BATCH, form=self.model.form
        )
        return np.stack([mean_of_groups(values, group, len(items)) for values in found])


def classify(features: Features, folder: Path, sets: Sequence[str], split: str) -> dict[str, np.ndarray]:
    """Logits (lead sets, recordings, classes) of probes trained anew and once, with what they are of."""
    n_classes = len(read_labels(folder / "labels.csv"))
    x, y = {}, {}
    for name in dict.fromkeys(("train", "valid", split)):
        manifest = read_manifest(folder / f"{name}.tsv")
        x[name] = features.of(manifest, sets)
        items, _, y[name] = labelled_items(manifest, n_classes, "record", False)
    given = zip(x["train"], x["valid"])
    fitted = [fit_logistic(train, y["train"], valid, y["valid"]) for train, valid in given]
    anew = np.stack([head.outputs(each) for head, each in zip(fitted, x[split])])
    once = np.stack([fitted[0].outputs(each) for each in x[split]])
    patients = np.array([item[1] for item in items])
    return {"anew": anew, "once": once, "labels": y[split], "patients": patients, "sets": np.array(sets)}


def identify(features: Features, folder: Path, sets: Sequence[str], split: str) -> dict[str, np.ndarray]:
    """Whether each probe's nearest gallery recording is the same person's, (lead sets, probes)."""
    names = ("train", f"{split}_gallery", f"{split}_probe")
    manifests = [read_manifest(folder / f"{name}.tsv") for name in names]
    ids = [[item[1] for item in items_of(manifest, "record")[0]] for manifest in manifests[1:]]
    correct = []
    for train, gallery, probe in zip(*(features.of(manifest, sets) for manifest in manifests)):
        mean, std = train.mean(axis=0), train.std(axis=0) + 1e-6
        correct.append(rank1_accuracy((gallery - mean) / std, ids[0], (probe - mean) / std, ids[1]).correct)
    return {"correct": np.stack(correct), "patients": np.array(ids[1]), "sets": np.array(sets)}


def main(argv: Sequence[str] | None = None) -> int:
    """Probe one model and write its scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--manifests", type=Path, required=True, help="folder of the tasks' manifests")
    parser.add_argument("--split", choices=("valid", "test"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--features", nargs="+", default=["mean:-1"], metavar="STATISTIC:LAYER")
    parser.add_argument("--tasks", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument(
        "--random-init", type=int, metavar="SEED", help="the same encoder with random weights"
    )
    parser.add_argument("--no-each", action="store_true", help="without each lead alone: quicker")
    parser.add_argument("--noise", action="store_true", help="white noise in place of the recordings")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    model = ECGModel.load(args.model)
    if args.random_init is not None:
        model = random_like(model, args.random_init)
    features = Features(model, args.features, args.noise)
    arrays: dict[str, np.ndarray] = {}
    for task in args.tasks:
        work = classify if task in (DX, AF) else identify
        sets = [leads for leads in SETS[task] if not args.no_each or leads in LEAD_SETS]
        found = work(features, args.manifests / task, sets, args.split)
        arrays.update({f"{task}.{key}": value for key, value in found.items()})
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(args.out) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main())
