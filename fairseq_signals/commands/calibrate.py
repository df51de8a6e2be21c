"""`fairseq-signals calibrate`: make a classifier as sure as it is right, by one temperature."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairseq_signals.commands.model_arguments import add_fitting, input_arguments
from fairseq_signals.safety.text import counted, tell

if TYPE_CHECKING:
    import numpy as np


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Find the temperature that makes a classifier's probabilities most likely on records "
        "that it was not trained on, and write the model with it to a folder. The temperature is in the "
        "weights of the last layer: `evaluate`, `predict` and exports of the folder apply it.",
    )
    add_fitting(parser, "fine-tuned classifier")
    parser.add_argument("--split", default="valid", help="which manifest (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Calibrate, tell what it changes, write the model; the exit code is 0."""
    args = build_parser(prog).parse_args(argv)
    from fairseq_signals.errors import CheckpointError
    from fairseq_signals.evaluation.lead_sets import parse_lead_sets
    from fairseq_signals.evaluation.predict import predict
    from fairseq_signals.evaluation.temperature import fit_temperature
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.temperature import fold_temperature
    from fairseq_signals.manifest.table import Manifest

    model = ECGModel.load(args.checkpoint, device=args.device, **input_arguments(args))
    if model.classes is None:
        raise CheckpointError(f"{args.checkpoint}: a {model.kind} model has no probabilities to calibrate")
    lead_sets = parse_lead_sets(args.leads or ["+".join(model.leads)], model.form)

    def predict_all(manifest: Manifest) -> np.ndarray:
        return predict(model.network, manifest, lead_sets, args.batch_size, args.device, model.form)

    found = fit_temperature(predict_all, args.manifest, args.split, model.aggregates, model.exclusive)
    fold_temperature(model, found.temperature, found.told(args.split, lead_sets))
    model.save(args.out)
    changes = ", ".join(
        f"{what} {before:.4f} -> {after:.4f}"
        for what, (before, after) in (("NLL", found.nll), ("expected calibration error", found.ece))
    )
    tell(
        f"temperature {found.temperature:.4f} from {counted(found.n, 'record')} ({args.manifest}, "
        f"{args.split}, leads {', '.join(lead_sets)}): {changes}",
        sys.stdout,
    )
    print(f"wrote {args.out}")
    return 0
