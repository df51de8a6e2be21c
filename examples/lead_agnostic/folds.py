"""Trials on more recordings than fold 9 has: probes in five folds of the patients of training and fold 9.

    python examples/lead_agnostic/folds.py MODEL.pt ... --manifests outputs/lead_agnostic/manifests

Of each model a line: macro AUROC of the superclasses under each lead set, the mean over 3, 2 and 1 leads, and
the same of probes that are trained once, on twelve leads. Nothing is chosen in it; fold 10 is not read.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from data import DX
from frozen import Features
from settings import Settings
from sklearn.metrics import roc_auc_score

from fairseq_signals import ECGModel
from fairseq_signals.benchmark.heads import logistic
from fairseq_signals.ecg.leads import LEAD_SETS
from fairseq_signals.evaluation.classification import labelled_items
from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.table import read_manifest

FOLDS, STRENGTH = 5, 0.003
FEW = ("3", "2", "1")


def scores(features: Features, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (lead sets, recordings, classes) of probes trained anew and once, and the labels."""
    n_classes, parts = len(read_labels(folder / "labels.csv")), []
    for name in ("train", "valid"):
        manifest = read_manifest(folder / f"{name}.tsv")
        items, _, labels = labelled_items(manifest, n_classes, "record", False)
        parts.append((features.of(manifest, tuple(LEAD_SETS)), labels, [item[1] for item in items]))
    x, y = np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts])
    _, person = np.unique(np.concatenate([part[2] for part in parts]), return_inverse=True)
    fold = (np.random.default_rng(0).permutation(person.max() + 1) % FOLDS)[person]
    anew, once = np.zeros((2, *x.shape[:2], n_classes))
    for k in range(FOLDS):
        here = fold == k
        heads = [logistic(of_set[~here], y[~here], [STRENGTH])[0] for of_set in x]
        for i, of_set in enumerate(x):
            anew[i, here], once[i, here] = heads[i].outputs(of_set[here]), heads[0].outputs(of_set[here])
    return anew, once, y


def told(logits: np.ndarray, labels: np.ndarray) -> str:
    """Macro AUROC of each lead set, and the mean over few leads."""
    found = {name: roc_auc_score(labels, each) for name, each in zip(LEAD_SETS, logits)}
    few = np.mean([found[name] for name in FEW])
    return " ".join(f"{name}: {value:.3f}" for name, value in found.items()) + f"  3, 2, 1: {few:.4f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--manifests", type=Path, required=True, help="folder of the tasks' manifests")
    parser.add_argument("--features", nargs="+", metavar="STATISTIC:LAYER", help="default: experiment.yaml's")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    wanted = args.features or Settings.read().features
    for path in args.models:
        anew, once, labels = scores(Features(ECGModel.load(path), wanted), args.manifests / DX)
        print(f"{path.stem}  anew {told(anew, labels)}  once {told(once, labels)}", flush=True)


if __name__ == "__main__":
    main()
