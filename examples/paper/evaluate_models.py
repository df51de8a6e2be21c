"""Test fine-tuned models, each on the lead set it was trained for, and write what they reach as result rows.

    python evaluate_models.py MODELS --manifest DIR --leads 12 6 3 2 1 --method NAME --seed 1 --json FILE

MODELS is the folder that `train.py finetune` wrote: one `<lead set>.pt` each.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from fairseq_signals.commands.store_arguments import run
from fairseq_signals.evaluation.evaluate import evaluate
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.results import format_table, result_rows, table_cells, write_results


def evaluate_models(args: argparse.Namespace) -> None:
    """Evaluate all models of a folder and write their result rows."""
    rows: list[dict[str, Any]] = []
    for leads in args.leads:
        model = args.models / f"{leads}.pt"
        outcome = evaluate(model, args.manifest, parse_lead_sets([leads]), device=args.device)
        print(f"{args.method}: {outcome.task} of {outcome.n} {outcome.counted}, seed {args.seed}")
        print(format_table(*table_cells(outcome.values)), flush=True)
        about = {"pretrained_on": args.pretrained_on}
        rows += ({**row, **about} for row in result_rows(outcome, args.method, args.seed))
    write_results(args.json, rows)
    if args.then_remove:
        shutil.rmtree(args.then_remove, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, help="folder of the models")
    parser.add_argument("--manifest", type=Path, required=True, help="folder with the test split")
    parser.add_argument("--leads", nargs="+", required=True, help="lead sets, one model for each")
    parser.add_argument("--pretrained-on", default="12", help="leads of pre-training, noted in the results")
    parser.add_argument("--method", required=True)
    parser.add_argument("--seed", type=int, required=True, help="seed of fine-tuning")
    parser.add_argument("--device", default="cpu", help="PyTorch device (default: %(default)s)")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument("--then-remove", type=Path, metavar="DIR", help="the trainings' folder")
    sys.exit(run(evaluate_models, parser.parse_args()))
