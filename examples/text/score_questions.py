"""Score the answers of a model to the questions of `manifest ecg_qa`: exact match, over all and by type.

Example:
    python examples/text/score_questions.py outputs/questions/checkpoint_best.pt --manifest manifests/qa

Beside it belong the same trained with `model.modality=text`, which is blind, and with `ecg`, which is deaf:
what they answer right needs no ECG, or no question.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from fairseq_signals.commands.manifest_arguments import script_main, script_parser
from fairseq_signals.errors import CheckpointError
from fairseq_signals.evaluation.results import format_interval, format_table, write_results
from fairseq_signals.metrics.bootstrap import intervals
from fairseq_signals.metrics.questions import exact_match
from fairseq_signals.metrics.weighted import share

BATCH = 256
ALL = "exact_match"


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("model", type=Path, metavar="CKPT", help="of model ecg_question_answering")
    parser.add_argument(
        "--manifest", type=Path, required=True, metavar="DIR", help="what `manifest ecg_qa` wrote"
    )
    parser.add_argument("--split", default="test", help="of the questions (default: test)")
    parser.add_argument("--intervals", type=int, default=1000, metavar="N", help="resamples of the patients")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--append", action="store_true", help="keep what FILE already holds")
    parser.add_argument("--method", help="name of the method in the figures (default: its modality)")
    parser.add_argument("--seed", type=int, help="of the training, noted in the figures")
    return parser


def score(args: argparse.Namespace) -> None:
    """Print, and write, exact match."""
    right, types, patients, method = answered(args.model, args.manifest, args.split)
    method = args.method or method
    kinds = {ALL: np.ones(len(types), dtype=bool)} | {
        f"{ALL}_{kind}": types == kind for kind in sorted(set(types.tolist()))
    }
    rows = []
    for name, those in kinds.items():
        statistic = share(name, right[those], np.ones(those.sum()), patients[those])
        bounds = intervals([statistic], args.intervals)[name]
        rows.append((name, int(those.sum()), float(right[those].mean()), bounds))
    print(f"{method}: {len(right):,} questions of {args.split}")
    lines = [[name.removeprefix(f"{ALL}_"), f"{n:,}", format_interval(*found)] for name, n, *found in rows]
    print(format_table(["", "questions", "exact match"], lines))
    if args.json:
        about = {"method": method, "task": "questions", "leads": "12"}
        about |= {} if args.seed is None else {"seed": args.seed}
        measured = [
            {**about, "metric": name, "value": value, "n": n, "low": bounds.low, "high": bounds.high}
            for name, n, value, bounds in rows
        ]
        write_results(args.json, measured, args.append)


def answered(model: Path, manifest: Path, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Which questions are answered right, (Q,), their types, the patients of their ECGs, and what is seen.

    Of two ECGs the patient of the first counts.

    Raises:
        CheckpointError: the model answers no questions.
    """
    from fairseq.checkpoint_utils import load_model_ensemble_and_task

    import fairseq_signals  # noqa: F401  # makes its components known to fairseq

    (network,), cfg, task = load_model_ensemble_and_task([str(model)], {"data": str(manifest)})
    if cfg.model._name != "ecg_question_answering":
        raise CheckpointError(
            f"{model}: a {cfg.model._name} answers no questions; train ecg_question_answering"
        )
    task.load_dataset(split)
    dataset, right, network = task.dataset(split), [], network.eval()
    for start in range(0, len(dataset), BATCH):
        asked = dataset.questions[start : start + BATCH]
        batch = dataset.collater(range(start, start + len(asked)))
        with torch.inference_mode():
            scores = torch.sigmoid(network(**batch["net_input"])).numpy()
        valid = np.zeros(scores.shape, dtype=bool)
        for row, one in zip(valid, asked):
            row[list(one.valid)] = True
        right.append(exact_match(batch["label"].numpy() > 0, scores, valid))
    patient = dict(zip(task.manifest(split).record_ids, task.manifest(split).patient_ids))
    types, patients = zip(*((one.type, patient[one.ecgs[0]]) for one in dataset.questions))
    return np.concatenate(right), np.array(types), np.array(patients), cfg.model.modality


main = script_main(build_parser, score)

if __name__ == "__main__":
    sys.exit(main())
