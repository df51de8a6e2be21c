"""Score the ECGs that fairseq-generate made of reports, beside real ones, redrawn ones and controls.

Example:
    python examples/text/score_ecgs.py outputs/ecgs/generate-test.txt --manifest manifests/codes \\
        --model outputs/codes/checkpoint_last.pt --classifier outputs/dx/checkpoint_best.pt

A line for ECGs made of the test reports ("made"); for the same, each told to be of another report; for the
test ECGs themselves, redrawn from their codes; and for real ECGs of other people, from validation, with the
same findings ("real"). The test ECGs are what all are compared with. A classifier of labels judges.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from score_reports import read_generated
from segment_codes import BATCH, segments

from fairseq_signals.commands.manifest_arguments import script_main, script_parser
from fairseq_signals.errors import ManifestError
from fairseq_signals.evaluation.results import format_table, format_value, write_results
from fairseq_signals.inference.codes import ECGCodes
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.manifest.folder import ECG_TOKENS, TEXTS_FILE, read_set
from fairseq_signals.manifest.texts import read_texts, text_ids
from fairseq_signals.metrics.classification import auroc_per_class, nan_mean
from fairseq_signals.metrics.generation import (
    feature_distance,
    interval_errors,
    lead_residuals,
    made_for_real_auroc,
    nearest_distances,
    precision_recall,
)
from fairseq_signals.modules.intervals import intervals
from fairseq_signals.text.findings import read_findings

N_FEATURES = 16  # principal components of embeddings: few, since test sets are small
METRICS = {
    "distance": "distance",
    "precision": "precision",
    "recall": "recall",
    "auroc": "judged AUROC",
    "cas": "learnt AUROC",
    "rate": "rate /min",
    "irregularity": "irregularity",
    "qrs": "QRS ms",
    "measured": "measured",
    "residual": "residual mV",
    "nearest": "nearest",
}


class ECGs(NamedTuple):
    """What is known of N ECGs.

    Attributes:
        embedding: (N, D).
        probabilities: (N, C).
        intervals: (N, 3) rate per minute, irregularity, QRS in ms; NaN where they cannot be told.
        residual: (N,) of limb leads, mV.
    """

    embedding: np.ndarray
    probabilities: np.ndarray
    intervals: np.ndarray
    residual: np.ndarray

    def chosen(self, rows: np.ndarray) -> ECGs:
        """Those in another order."""
        return ECGs(*(values[rows] for values in self))


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "generated", type=Path, metavar="FILE", help="generate-test.txt in --results-path of fairseq-generate"
    )
    parser.add_argument(
        "--manifest", type=Path, required=True, metavar="DIR", help="what segment_codes.py wrote"
    )
    parser.add_argument("--model", type=Path, required=True, metavar="CKPT", help="checkpoint of the ecg_vq")
    parser.add_argument(
        "--classifier", type=Path, required=True, metavar="MODEL", help="that judges, of other training"
    )
    parser.add_argument("--save", type=Path, metavar="NPZ", help="write the ECGs that were made there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def score(args: argparse.Namespace) -> None:
    """Print, and write, the scores."""
    folder, model, judge = read_set(args.manifest), ECGCodes.load(args.model), ECGModel.load(args.classifier)
    if folder.kind != ECG_TOKENS or not {"train", "valid", "test"} <= set(folder.manifests):
        raise ManifestError(f"{args.manifest}: lacks codes of train, valid or test; see segment_codes.py")
    fs, manifests = model.form.fs, folder.manifests
    labels, columns = labels_of_texts(args.manifest, manifests, judge.labels)
    test = np.concatenate([batch for batch, _ in segments(manifests["test"], fs)])
    codes = model.encode(test)
    written = read_codes(args.generated, codes.shape, model.n_codes)
    made = model.decode(written)
    n = made.shape[2]
    if args.save:
        np.savez_compressed(args.save, ecgs_mv=made, fs=fs, records=manifests["test"].record_ids)

    def known(ecgs: Iterable[np.ndarray]) -> ECGs:
        parts = [look(judge, batch[..., :n], fs, columns) for batch in ecgs]
        return ECGs(*map(np.concatenate, zip(*parts)))

    of = {name: known(batch for batch, _ in segments(manifests[name], fs)) for name in ("train", "valid")}
    wanted = known(in_batches(test))
    ours = known(in_batches(made))
    rows = {
        "made": ours,
        "made for others": ours.chosen(np.roll(np.arange(len(made)), len(made) // 2)),
        "redrawn": known(in_batches(model.decode(codes))),
        "real": of["valid"].chosen(alike(labels["test"], labels["valid"])),
    }
    scores = {
        name: scored(ecgs, wanted, labels["test"], of["train"], labels["train"])
        for name, ecgs in rows.items()
    }
    print(f"{len(made):,} ECGs; findings: {', '.join(judge.labels[c] for c in columns)}")
    lines = [[name, *(format_value(each[m], 3) for m in METRICS)] for name, each in scores.items()]
    print(format_table(["ECGs", *METRICS.values()], lines))
    if args.json:
        about = {"task": "text to ECG", "leads": "12", "n": len(made)}
        write_results(
            args.json,
            [
                {"method": name, **about, "metric": metric, "value": value}
                for name, each in scores.items()
                for metric, value in each.items()
            ],
        )


def labels_of_texts(folder: Path, manifests: dict, classes: tuple[str, ...]) -> tuple[dict, list[int]]:
    """By split which findings the text of each segment has, (N, K), and the K classes that they are."""
    table, findings = read_texts(folder / TEXTS_FILE), read_findings()
    columns = [c for c, name in enumerate(classes) if name in findings.names]
    if not columns:
        raise ManifestError(f"no class of the classifier ({', '.join(classes)}) is a finding of reports")
    found = findings.table(table.texts)[:, [findings.names.index(classes[c]) for c in columns]]
    return {name: found[text_ids(each, len(table), TEXTS_FILE)] for name, each in manifests.items()}, columns


def read_codes(path: Path, shape: tuple[int, int], n_codes: int) -> np.ndarray:
    """The codes in the output of fairseq-generate, (N, F)."""
    rows = [re.fullmatch(r"c\d+( c\d+)*", line) and line.split() for line in read_generated(path, shape[0])]
    numbers = [[int(code[1:]) for code in row or ()] for row in rows]
    if any(len(row) != shape[1] or max(row) >= n_codes for row in numbers):
        raise ManifestError(
            f"{path}: an ECG is not of {shape[1]} codes; run fairseq-generate with --min-len {shape[1]} "
            f"--max-len-a 0 --max-len-b {shape[1]} --unkpen 100, and without --post-process"
        )
    return np.array(numbers)


def in_batches(ecgs: np.ndarray) -> Iterable[np.ndarray]:
    return (ecgs[i : i + BATCH] for i in range(0, len(ecgs), BATCH))


def look(judge: ECGModel, ecgs_mv: np.ndarray, fs: float, columns: list[int]) -> ECGs:
    """What the classifier makes of (B, 12, T), and what can be measured."""
    measured = np.stack([each.numpy() for each in intervals(torch.from_numpy(ecgs_mv), fs)], axis=1)
    return ECGs(
        judge.embed(ecgs_mv, fs),
        judge.predict_proba(ecgs_mv, fs)[:, columns],
        measured * [1, 1, 1000],
        lead_residuals(ecgs_mv).max(axis=1),
    )


def alike(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    """For each row of findings (N, K) one of (M, K) with most of the same, each as seldom as can be: (N,)."""
    used, chosen = np.zeros(len(there)), []
    for row in wanted:
        chosen.append(int(((there != row).sum(axis=1) + used / (len(wanted) + 1)).argmin()))
        used[chosen[-1]] += 1
    return np.array(chosen)


def scored(
    ecgs: ECGs, wanted: ECGs, labels: np.ndarray, others: ECGs, labels_of_others: np.ndarray
) -> dict[str, float]:
    """Scores of N ECGs for as many real ones with these labels (N, K), and for others, of training."""
    centre = others.embedding.mean(axis=0)
    _, spread, axes = np.linalg.svd(others.embedding - centre, full_matrices=False)
    scale = axes[:N_FEATURES].T * (len(others.embedding) ** 0.5 / spread[:N_FEATURES])
    found, true, trained = ((each.embedding - centre) @ scale for each in (ecgs, wanted, others))
    # findings weigh as much as features do (FJD, arXiv:1907.11996, Sec. 3.2)
    weight = np.linalg.norm(true, axis=1).mean() / max(np.linalg.norm(labels, axis=1).mean(), 1e-9)
    joined, real = (np.hstack([features, weight * labels]) for features in (found, true))
    precision, recall = precision_recall(real, joined)
    errors = [interval_errors(a, b) for a, b in zip(wanted.intervals.T, ecgs.intervals.T)]
    return {
        "distance": feature_distance(joined, real),
        "precision": precision,
        "recall": recall,
        "auroc": nan_mean(auroc_per_class(labels, ecgs.probabilities)),
        "cas": nan_mean(made_for_real_auroc(found, labels, trained, labels_of_others)),
        **{name: error for name, (error, _) in zip(("rate", "irregularity", "qrs"), errors)},
        "measured": errors[0][1],
        "residual": float(ecgs.residual.mean()),
        "nearest": float(np.median(nearest_distances(found, trained))),
    }


main = script_main(build_parser, score)

if __name__ == "__main__":
    sys.exit(main())
