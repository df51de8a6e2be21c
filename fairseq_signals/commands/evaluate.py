"""`fairseq-signals evaluate`: a fine-tuned checkpoint tested on lead sets. Needs PyTorch, not fairseq."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from fairseq_signals.commands.arguments import (
    add_as_norm,
    add_batch_size,
    add_device,
    integer_from,
    number,
    require_out,
    some_path,
)
from fairseq_signals.commands.lead_set_arguments import add_lead_sets, lead_sets_of
from fairseq_signals.commands.model_arguments import add_input_options, input_arguments
from fairseq_signals.evaluation.results import (
    format_table,
    group_cells,
    result_rows,
    table_cells,
    write_results,
)
from fairseq_signals.files import write_text
from fairseq_signals.safety.text import csv_lines, tell


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Test a fine-tuned checkpoint on lead sets: leads outside a set are zeros. The "
        "checkpoint decides the task: a classifier gets CinC 2021 score, macro AUROC and macro AUPRC, a "
        "regression MAE, RMSE, R2 and Pearson's correlation, an identification model the accuracy of naming "
        "each probe by its nearest gallery recording.",
    )
    parser.add_argument("checkpoint", type=some_path, metavar="CHECKPOINT", help="fine-tuned model (.pt)")
    parser.add_argument(
        "--manifest",
        type=some_path,
        required=True,
        metavar="DIR",
        help="manifest folder: SPLIT.tsv and labels.csv (or targets.csv), or SPLIT_gallery.tsv and "
        "SPLIT_probe.tsv",
    )
    add_lead_sets(parser)
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
    add_as_norm(parser, "with the training patients (train.tsv of the manifest folder)")
    parser.add_argument(
        "--intervals",
        type=integer_from(0),
        default=1000,
        metavar="N",
        help="95 %% interval of every metric by N resamples of the patients; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--by",
        type=_columns,
        default=(),
        metavar="COLUMNS",
        help="also test groups of records: sex, age_group, source, another column of the store or an "
        "attribute, of probes session_gap (the time since the patient's recording in the gallery), separated "
        "by commas",
    )
    parser.add_argument("--json", type=some_path, metavar="FILE", help="write the results as a JSON list")
    parser.add_argument(
        "--append",
        action="store_true",
        help="keep what FILE already holds; the same method, task, lead set and seed is replaced",
    )
    parser.add_argument("--method", help="name of the method in the results (default: CHECKPOINT's name)")
    parser.add_argument("--seed", type=integer_from(None), help="seed of the training, noted in the results")
    parser.add_argument(
        "--predictions", type=some_path, metavar="FILE", help="write what is predicted as CSV"
    )
    parser.add_argument(
        "--save",
        type=some_path,
        metavar="FILE.npz",
        help="write scores or embeddings of all records, for `fairseq-signals plot`",
    )
    add_batch_size(parser, 64)
    add_device(parser)
    add_input_options(parser, classes=True, cut_already=True)
    return parser


def _columns(text: str) -> list[str]:
    columns = [column.strip() for column in text.split(",")]
    if not all(columns):
        raise argparse.ArgumentTypeError(f"must be names separated by commas, but is {text!r}")
    return columns


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Evaluate, print the table, write the files that were asked for; the exit code is 0."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if args.append and not args.json:
        parser.error("--append needs --json FILE")
    for out in ("json", "predictions", "save"):
        require_out(parser, getattr(args, out), option=f"--{out}")
    lead_sets = lead_sets_of(args)
    from fairseq_signals.evaluation.evaluate import evaluate
    from fairseq_signals.evaluation.groups import read_groups
    from fairseq_signals.evaluation.intervals import add_intervals, group_by
    from fairseq_signals.evaluation.saved_results import write_evaluation

    groups = read_groups(args.manifest, args.split, args.by) if args.by else {}
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
        input_arguments(args),
        args.as_norm,
    )
    if args.intervals:
        add_intervals(outcome, args.intervals)
    for column, group_of in groups.items():
        outcome.groups[column] = group_by(column, group_of, outcome, args.intervals)
    method = args.method or args.checkpoint.stem
    what = f"{outcome.task} of {outcome.n} {outcome.counted} ({args.manifest}, {args.split})"
    tell(f"{method}: {what}", sys.stdout)
    print(format_table(*table_cells(outcome.values, outcome.intervals, outcome.families)))
    for column, found in outcome.groups.items():
        print(f"\n{format_table(*group_cells(column, found, outcome.counted, outcome.families))}")
    for note in outcome.remarks():
        tell(f"note: {note}", sys.stdout)
    rows = list(result_rows(outcome, method, args.seed))
    undefined = [
        f"{row['metric']} ({', '.join(filter(None, [row['leads'] + ' leads', row.get('group')]))})"
        for row in rows
        if math.isnan(row["value"])
    ]
    if undefined:
        print(f"warning: undefined, written as null: {', '.join(undefined)}", file=sys.stderr)
    if args.save:  # the largest first: where there is no room for it, the others stay as they are
        write_evaluation(args.save, outcome, method)
        print(f"wrote {args.save}")
    if args.predictions:
        write_text(args.predictions, csv_lines(outcome.predictions()))
        print(f"wrote {args.predictions}")
    if args.json:
        write_results(args.json, rows, args.append)
        print(f"wrote {args.json}")
    return 0
