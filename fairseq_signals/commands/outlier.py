"""`fairseq-signals outlier`: let a model say how unlike its training data a recording is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fairseq_signals.commands.model_arguments import add_fitting, input_arguments
from fairseq_signals.safety.text import counted, tell


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Note what a model's training data look like in the middle of its encoder, and write the "
        "model with it to a folder. `predict` then says how unlike them a recording is, and `evaluate` how "
        "well that tells records of unseen classes apart (manifests made with --leave-class-out).",
    )
    add_fitting(parser, "fine-tuned classifier or regression")
    parser.add_argument("--split", default="train", help="manifest of the training (default: %(default)s)")
    parser.add_argument(
        "--usual",
        default="valid",
        metavar="SPLIT",
        help="manifest of records like those, on which the model was not trained: how far from the training "
        "data is usual (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Measure, tell, write the model; the exit code is 0."""
    args = build_parser(prog).parse_args(argv)
    from functools import partial

    import numpy as np

    from fairseq_signals.errors import CheckpointError
    from fairseq_signals.evaluation.lead_sets import parse_lead_sets
    from fairseq_signals.evaluation.outlier import fit_outlier
    from fairseq_signals.evaluation.predict import predict
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.manifest.table import Manifest
    from fairseq_signals.modules.middle import middle_pooled

    model = ECGModel.load(args.checkpoint, device=args.device, **input_arguments(args))
    if model.classes is None and model.targets is None:
        raise CheckpointError(
            f"{args.checkpoint}: a model of {model.kind} predicts nothing that could be doubted; "
            "fine-tune it for classes or numbers"
        )
    lead_sets = parse_lead_sets(args.leads or ["+".join(model.leads)], model.form)

    def embed_all(manifest: Manifest) -> np.ndarray:
        compute = partial(middle_pooled, model.network)
        return predict(compute, manifest, lead_sets, args.batch_size, args.device, model.form)

    splits = (args.split, args.usual)
    found = fit_outlier(embed_all, args.manifest, model.kind, splits)
    model.set_outlier(found.score, found.told(splits, list(lead_sets)))
    model.save(args.out)
    (n_train, n_usual), usual = found.records, found.score.usual
    tell(
        f"outlier score from {counted(n_train, 'record')} ({args.manifest}, {args.split}, leads "
        f"{', '.join(lead_sets)}); of {n_usual:,} of {args.usual} half are within {np.median(usual):.4g}, "
        f"{np.mean(usual > found.score.radius):.1%} beyond the radius of {found.score.radius:.4g}",
        sys.stdout,
    )
    print(f"wrote {args.out}")
    return 0
