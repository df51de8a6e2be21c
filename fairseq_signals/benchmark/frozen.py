"""Frozen evaluation of an encoder, in results files.

    python -m fairseq_signals.benchmark.frozen ENCODER --task superclass=manifests/dx --out results/mine

ENCODER is a checkpoint or saved folder, an ONNX file, or `module:attribute`, an object with
`embed(x, fs, leads)`. Each file, `TASK-PROTOCOL-FRACTION.npz`, is what `fairseq-signals evaluate --save`
writes, so that `fairseq-signals compare` takes any two of a task. Heads are trained on the train split and
choose their regularisation on the valid split.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from fairseq_signals.benchmark.encoders import Encoder, load_encoder
from fairseq_signals.benchmark.features import BATCH_SIZE, Features
from fairseq_signals.benchmark.protocols import ALL_PROTOCOLS, WHOLE, FrozenTask, evaluate_frozen
from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.evaluation.lead_sets import DEFAULT_LEAD_SETS, parse_lead_sets
from fairseq_signals.evaluation.saved_results import write_evaluation


def write_frozen(
    encoder: Encoder,
    tasks: Iterable[FrozenTask],
    out: Path,
    method: str,
    seed: int,
    split: str,
    batch_size: int = BATCH_SIZE,
) -> None:
    """Evaluate an encoder on tasks and write `TASK-PROTOCOL-FRACTION.npz` of each; says what it found.

    Args:
        encoder: which is asked once for each record and lead set, whatever the tasks.
        out: the folder of the files.
        method: what the encoder is called in them.
        seed: of the label fractions, and of the attentive head.
        split: "valid" or "test".

    Raises:
        FairseqSignalsError: manifests or records that cannot be used, or features that are not finite.
    """
    features = Features(encoder, batch_size)
    out.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        for name, outcome in evaluate_frozen(features, task, split, seed):
            if encoder.n_parameters is not None:
                outcome.arrays["parameters"] = encoder.n_parameters
            path = out / f"{task.name}-{name}.npz"
            write_evaluation(path, outcome, method)
            metric = next(iter(next(iter(outcome.values.values()))))
            found = ", ".join(f"{leads}: {of[metric]:.3f}" for leads, of in outcome.values.items())
            print(f"wrote {path}: {metric} {found}", flush=True)


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("encoder", metavar="ENCODER", help="a path, or module:attribute")
    parser.add_argument(
        "--task",
        nargs="+",
        required=True,
        metavar="NAME=FOLDER",
        help="manifests of a classification, a regression or an identification",
    )
    parser.add_argument(
        "--leads",
        default=DEFAULT_LEAD_SETS,
        metavar="SETS",
        help="lead sets; the first is the one of the probe that is trained once (default: %(default)s)",
    )
    parser.add_argument(
        "--protocols", nargs="+", default=ALL_PROTOCOLS, choices=ALL_PROTOCOLS, help="default: all"
    )
    parser.add_argument(
        "--fractions",
        nargs="+",
        type=int,
        default=[WHOLE],
        metavar="PERCENT",
        help="of the training patients whose labels are used (default: 100)",
    )
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results files")
    parser.add_argument("--method", help="what the encoder is called (default: ENCODER)")
    parser.add_argument("--seed", type=int, default=1, help="of label fractions and heads (default: 1)")
    parser.add_argument(
        "--features",
        nargs="+",
        default=(),
        metavar="STATISTIC:LAYER",
        help="of a model of ours: mean or std over the frames of a layer, from 0, the Transformer's input, "
        "or -1, the last (default: its own representation)",
    )
    parser.add_argument(
        "--fs",
        type=float,
        metavar="HZ",
        help="of an ONNX file that does not say it; an object is given recordings of this rate (default: as "
        "they are)",
    )
    parser.add_argument("--random-init", type=int, metavar="SEED", help="the same with random weights")
    parser.add_argument("--device", default="cpu", help="of a model of ours (default: cpu)")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, metavar="N", help="(default: 32)")
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Evaluate and write; the exit code is 0, or 1 for a mistake in the input."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    places = [each.partition("=") for each in args.task]
    if not all(name and folder for name, _, folder in places):
        parser.error("--task takes NAME=FOLDER")
    try:
        lead_sets = parse_lead_sets([args.leads])
        tasks = [
            FrozenTask(name, Path(folder), lead_sets, args.protocols, args.fractions)
            for name, _, folder in places
        ]
        encoder = load_encoder(args.encoder, args.features, args.fs, args.device, args.random_init)
        method = args.method or args.encoder
        write_frozen(encoder, tasks, args.out, method, args.seed, args.split, args.batch_size)
    except FairseqSignalsError as error:
        print(f"{parser.prog}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
