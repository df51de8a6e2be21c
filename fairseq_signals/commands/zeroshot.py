"""`fairseq-signals zeroshot`: classes told by what is written of them. Needs PyTorch, not fairseq."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fairseq_signals.commands.arguments import (
    add_batch_size,
    add_device,
    add_model,
    integer_from,
    require_out,
    some_path,
)
from fairseq_signals.commands.lead_set_arguments import add_lead_sets, lead_sets_of
from fairseq_signals.commands.model_arguments import add_input_options, input_arguments


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Score each record by the cosine of its ECG with a text of each class, without any label "
        "in training: AUROC of each class, and their mean. Beside it: the same model with random weights, "
        "the scores given to other records (shuffled pairs), and with --texts the scores of the records' own "
        "reports (text only), and how often an ECG finds its own report.",
    )
    add_model(parser, "model of ECGs and texts")
    parser.add_argument(
        "--manifest", type=some_path, required=True, metavar="DIR", help="folder: SPLIT.tsv and labels.csv"
    )
    parser.add_argument("--split", default="test", help="which manifest (default: %(default)s)")
    parser.add_argument(
        "--prompts",
        type=some_path,
        metavar="FILE.csv",
        help="columns class, prompt: what is written of each class, one or several texts, whose vectors are "
        "averaged (default: the names in labels.csv)",
    )
    parser.add_argument(
        "--prompt-vectors",
        type=some_path,
        metavar="FILE.npy",
        help="vectors of the prompts, in their order, for a model that was trained with vectors of texts",
    )
    parser.add_argument(
        "--texts",
        type=some_path,
        metavar="DIR",
        help="manifests of the records' reports, made with `fairseq-signals manifest ecg_text`, same split",
    )
    add_lead_sets(parser)
    parser.add_argument(
        "--intervals",
        type=integer_from(0),
        default=1000,
        metavar="N",
        help="95 %% intervals by N resamples of the patients; 0: none (default: %(default)s)",
    )
    parser.add_argument("--json", type=some_path, metavar="FILE", help="write the results as a JSON list")
    parser.add_argument("--append", action="store_true", help="keep what FILE already holds")
    parser.add_argument("--method", help="name of the method in the results (default: CHECKPOINT's name)")
    parser.add_argument("--seed", type=integer_from(None), help="seed of the training, noted in the results")
    add_batch_size(parser, 64)
    add_device(parser)
    add_input_options(parser, cut_already=True)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Score, print the tables, write the file that was asked for; the exit code is 0."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if args.append and not args.json:
        parser.error("--append needs --json FILE")
    require_out(parser, args.json, option="--json")
    lead_sets = lead_sets_of(args)
    from fairseq_signals.evaluation.results import format_table, result_rows, write_results
    from fairseq_signals.evaluation.zeroshot import zero_shot
    from fairseq_signals.evaluation.zeroshot_scores import TRAINED, class_table, evaluation_of, table_of
    from fairseq_signals.safety.text import tell

    found = zero_shot(
        args.checkpoint,
        args.manifest,
        lead_sets,
        args.split,
        args.prompts,
        args.prompt_vectors,
        args.texts,
        args.batch_size,
        args.device,
        input_arguments(args),
    )
    outcomes = {row: evaluation_of(found, row, args.intervals) for row in found.rows}
    method, labels = args.method or args.checkpoint.stem, found.rows[TRAINED].labels
    of = f"zero-shot classification of {len(labels):,} records ({args.manifest}, {args.split})"
    tell(f"{method}: {of}", sys.stdout)
    print(format_table(*table_of(outcomes), n_left=2))
    print(f"\n{format_table(*class_table(outcomes[TRAINED], found.names, labels.sum(axis=0)))}")
    for note in [*found.notes, *outcomes[TRAINED].remarks()]:
        tell(f"note: {note}", sys.stdout)
    if args.json:
        rows = [
            row
            for title, outcome in outcomes.items()
            for row in result_rows(outcome, method if title == TRAINED else f"{method}, {title}", args.seed)
        ]
        write_results(args.json, rows, args.append)
        print(f"wrote {args.json}")
    return 0
