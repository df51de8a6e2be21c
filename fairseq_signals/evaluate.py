"""`fairseq-signals evaluate`: a fine-tuned checkpoint tested on lead sets. Needs PyTorch, not fairseq."""

from __future__ import annotations

import argparse
import csv
import io
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.arguments import number
from fairseq_signals.data.manifest import Manifest
from fairseq_signals.data.people import unknown_patients
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.evaluation.predict import parse_lead_sets, predict
from fairseq_signals.evaluation.results import (
    Evaluation,
    format_table,
    format_value,
    write_atomically,
    write_results,
)
from fairseq_signals.model_arguments import add_batch_size, add_device
from fairseq_signals.modules.device import check_device

METRIC_TITLES = {
    "cinc_score": "CinC score",
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "accuracy": "accuracy",
    "chance": "chance level",
}


def evaluate(
    checkpoint: Path,
    manifests: Path,
    lead_sets: dict[str, tuple[int, ...]],
    split: str = "test",
    per: str = "record",
    batch_size: int = 64,
    device: str = "cpu",
    threshold: float = 0.5,
    features: str = "embedding",
) -> Evaluation:
    """Test a checkpoint on one split of a manifest folder; its kind decides which task.

    Args:
        checkpoint: a fine-tuned model, of ours or of the authors' code.
        manifests: folder with `<split>.tsv` and `labels.csv`, or with `<split>_gallery.tsv` and
            `<split>_probe.tsv`.
        lead_sets: from `parse_lead_sets`.
        split: which manifest.
        per: "record" averages the segments of a record, "segment" takes each by itself.
        batch_size: segments a forward pass.
        device: a PyTorch device.
        threshold: probability above which a class is predicted, for the CinC score.
        features: what identification compares: "embedding", L2-normalised (the paper), or "class_cosine",
            the cosines with the training patients' directions, as they are (the authors' code).
    """
    from fairseq_signals.evaluation.classification import evaluate_classification
    from fairseq_signals.evaluation.identification import evaluate_identification
    from fairseq_signals.modules.checkpoint import load_model
    from fairseq_signals.modules.heads import ECGIdentifier
    from fairseq_signals.modules.input_format import input_format

    check_device(device)
    model, info = load_model(checkpoint, device=device)
    form = input_format(info)

    if info.kind == "classification" and features != "embedding":
        raise ConfigError(f"--features {features} is for identification, but {checkpoint} is a classifier")
    compute: Callable[..., Any] = model
    if isinstance(model, ECGIdentifier) and features == "class_cosine":
        identifier = model

        def compute(source: Any, padding_mask: Any = None) -> Any:
            return identifier.cosine_logits(identifier(source, padding_mask))

    def predict_all(manifest: Manifest) -> np.ndarray:
        return predict(compute, manifest, lead_sets, batch_size, device, form)

    if info.kind == "classification":
        return evaluate_classification(predict_all, manifests, list(lead_sets), split, per, threshold)
    if info.kind == "identification":
        normalize = features == "embedding"
        return evaluate_identification(predict_all, manifests, list(lead_sets), split, per, normalize)
    raise CheckpointError(
        f"{checkpoint}: a {info.kind} checkpoint has no classes or identities to test; fine-tune it first"
    )


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Test a fine-tuned checkpoint on lead sets: leads outside a set are zeros. The "
        "checkpoint decides the task: a classifier gets CinC 2021 score, macro AUROC and macro AUPRC, an "
        "identification model the accuracy of naming each probe by its nearest gallery recording.",
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="fine-tuned model (.pt)")
    parser.add_argument(
        "--manifest",
        type=Path,
        required=True,
        metavar="DIR",
        help="manifest folder: SPLIT.tsv and labels.csv, or SPLIT_gallery.tsv and SPLIT_probe.tsv",
    )
    parser.add_argument(
        "--leads",
        action="append",
        metavar="SETS",
        help="lead sets, separated by commas: 12, 6 (limb), 3 (I, II, V2), 2 (I, II), 1 (I), or leads joined "
        "with + (I+II+V5); names alone separated by commas are one set; may be repeated "
        "(default: 12,6,3,2,1)",
    )
    parser.add_argument("--split", default="test", help="which manifest (default: %(default)s)")
    parser.add_argument(
        "--per",
        choices=("record", "segment"),
        default="record",
        help="average the segments of a record, or count each (default: %(default)s)",
    )
    parser.add_argument(
        "--threshold",
        type=number(0, 1),
        default=0.5,
        help="probability above which a class counts as predicted, for the CinC score (default: %(default)s)",
    )
    parser.add_argument(
        "--features",
        choices=("embedding", "class_cosine"),
        default="embedding",
        help="what identification compares: L2-normalised embeddings (the paper), or cosines with the "
        "training patients, unnormalised (the authors' code) (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as a JSON list")
    parser.add_argument(
        "--append",
        action="store_true",
        help="keep what FILE already holds; the same method, task, lead set and seed is replaced",
    )
    parser.add_argument("--method", help="name of the method in the results (default: CHECKPOINT's name)")
    parser.add_argument("--seed", type=int, help="seed of the training, noted in the results")
    parser.add_argument("--predictions", type=Path, metavar="FILE", help="write what is predicted as CSV")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE.npz",
        help="write scores or embeddings of all records, for `fairseq-signals plot`",
    )
    add_batch_size(parser, 64)
    add_device(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Evaluate, print the table, write the files that were asked for; the exit code is 0."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if args.append and not args.json:
        parser.error("--append needs --json FILE")
    lead_sets = parse_lead_sets(args.leads or ["12,6,3,2,1"])
    outcome = evaluate(
        args.checkpoint,
        args.manifest,
        lead_sets,
        args.split,
        args.per,
        args.batch_size,
        args.device,
        args.threshold,
        args.features,
    )
    method = args.method or args.checkpoint.stem
    print(f"{method}: {outcome.task} of {outcome.n} {outcome.counted} ({args.manifest}, {args.split})")
    print(table(outcome))
    for note in filter(None, (*outcome.notes, unknown_patients(outcome.patients)[1])):
        print(f"note: {note}")
    rows = list(result_rows(outcome, method, args.seed))
    undefined = [f"{row['metric']} ({row['leads']} leads)" for row in rows if math.isnan(row["value"])]
    if undefined:
        print(f"warning: undefined, written as null: {', '.join(undefined)}", file=sys.stderr)
    if args.json:
        write_results(args.json, rows, args.append)
        print(f"wrote {args.json}")
    if args.predictions:
        write_atomically(args.predictions, _csv_lines(outcome))
        print(f"wrote {args.predictions}")
    if args.save:
        from fairseq_signals.evaluation.saved import write_evaluation

        write_evaluation(args.save, outcome, method)
        print(f"wrote {args.save}")
    return 0


def table(outcome: Evaluation) -> str:
    """One line a lead set, one column a metric, and the mean over lead sets where there are several."""
    return format_table(*table_cells(outcome.values))


def table_cells(measured: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of that table; `measured` is the metrics by lead set."""
    metrics = list(dict.fromkeys(name for values in measured.values() for name in values))
    columns = [[values[name] for values in measured.values()] for name in metrics]
    leads = list(measured)
    if len(leads) > 1:
        leads, columns = [*leads, "mean"], [[*column, float(np.mean(column))] for column in columns]
    cells = [[name, *map(format_value, line)] for name, line in zip(leads, zip(*columns))]
    return ["leads", *(METRIC_TITLES.get(name, name) for name in metrics)], cells


def result_rows(outcome: Evaluation, method: str, seed: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a results file: method, task, leads, metric, value, n; seed if it is given.

    Where patients are not known, `records_without_patient` tells for how many records.
    """
    n_unknown, _ = unknown_patients(outcome.patients)
    more = {"records_without_patient": n_unknown or None, "seed": seed}
    for leads, values in outcome.values.items():
        for metric, value in values.items():
            row = {"method": method, "task": outcome.task, "leads": leads, "metric": metric, "value": value}
            yield {**row, "n": outcome.n, **{key: n for key, n in more.items() if n is not None}}


def _csv_lines(outcome: Evaluation) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for line in outcome.predictions():
        writer.writerow(line)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


if __name__ == "__main__":
    sys.exit(main())
