"""`fairseq-signals predict`: the probability of each class, or the numbers, of each recording."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

from fairseq_signals.commands.arguments import (
    RECORDS,
    add_labels,
    add_model,
    read_arguments,
    require_out,
    some_path,
    some_place,
)
from fairseq_signals.commands.model_arguments import add_use, input_arguments
from fairseq_signals.errors import LabelError
from fairseq_signals.safety.text import counted, visible

if TYPE_CHECKING:
    import numpy as np

    from fairseq_signals.inference.encoded import Encoded
    from fairseq_signals.inference.model import ECGModel

SUFFIXES = (".csv", ".parquet")
FIRST_COLUMNS = ("record", "positive")
OUTLIER_COLUMNS = ("outlier", "outlier_distance")


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write the probability of each class of each recording: columns record, positive (the "
        "classes above their threshold, joined with ;, or the most probable one where they exclude each "
        "other), and one a class, named by its label. Of a regression: columns record, and one a target, in "
        "its unit. Of a model with an outlier score (`fairseq-signals outlier`) also outlier, the share of "
        "usual records that are less unlike the training data, and outlier_distance. A run that was stopped "
        "goes on with the same command. What cannot be used is listed with the reason in OUT.rejected.tsv.",
    )
    add_model(parser, "fine-tuned classifier or regression")
    parser.add_argument("records", nargs="+", type=some_place, metavar="RECORDS", help=RECORDS)
    parser.add_argument("--out", type=some_path, required=True, metavar="FILE", help=".csv or .parquet")
    parser.add_argument(
        "--embeddings",
        action="store_true",
        help="a last column, embedding, with the vector of each recording, as of `embed` (.parquet only)",
    )
    add_labels(parser)
    add_use(parser, classes=True)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Predict and write; the exit code is 1 if no recording could be used, or a library is missing."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if args.embeddings:
        require_out(parser, args.out, SUFFIXES[1:], "with --embeddings, --out")
    require_out(parser, args.out, SUFFIXES)
    import numpy as np
    import pyarrow as pa

    from fairseq_signals.inference.bulk import run_all, vector_column
    from fairseq_signals.inference.listing import list_recordings
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.resuming import only_run

    recordings = list_recordings(args.records)
    model = ECGModel.load(
        args.checkpoint,
        device=args.device,
        labels=args.labels,
        **input_arguments(args),
    )
    said = _of_classes(model) if model.targets is None else _of_targets(model)
    more, score = ("embedding",) if args.embeddings else (), model.outlier
    of_score = () if score is None else OUTLIER_COLUMNS
    for name in said.names:
        if name in (*FIRST_COLUMNS, *of_score, *more):
            raise LabelError(
                f"{args.checkpoint}: a {said.what} is called {name!r}, but so is another column of the "
                f"result; {said.advice}"
            )

    def value(done: Encoded) -> np.ndarray:
        distance = () if score is None else score.distance(done.middle[None])
        return np.concatenate([said.value(done), distance, *(done.embedding for _ in more)])

    def table(names: Sequence[str], rows: np.ndarray) -> pa.Table:
        n = len(said.names)
        values, distance, vectors = np.split(rows, [n, n + bool(of_score)], axis=1)
        first = {"record": names, **said.first(values)}
        unlike = [] if score is None else [score.quantile(distance[:, 0]), distance[:, 0]]
        plain = map(pa.array, [*first.values(), *values.T, *unlike])
        columns = [*plain, *(vector_column(vectors) for _ in more)]
        return pa.table(columns, names=[*first, *map(visible, said.names), *of_score, *more])

    with only_run(args.out):
        result = run_all(
            model,
            recordings,
            args.out,
            tuple(dict.fromkeys((*model.predicted_from, *more))),
            value,
            args.leads,
            args.batch_size,
            reading=read_arguments(args),
        )
        if result.names:
            result.write_table(table)
        code = result.finish()
    if result.names:
        print(f"wrote {args.out}: {counted(len(result.names), 'recording')}, {said.told}")
    return code


class _Said(NamedTuple):
    """What a model says of recordings: columns, and what they are made of."""

    what: str
    told: str
    names: tuple[str, ...]
    advice: str
    value: Callable[[Encoded], np.ndarray]
    first: Callable[[np.ndarray], dict[str, list[str]]] = lambda values: {}


def _of_classes(model: ECGModel) -> _Said:
    classes = model._require_classes()

    def positive(values: np.ndarray) -> dict[str, list[str]]:
        labels = (compress(model.labels, row) for row in classes.positive(values))
        return {"positive": [visible(";".join(each)) for each in labels]}

    return _Said(
        "class",
        f"{len(classes)} classes",
        model.labels,
        "pass --labels, a labels.csv with another name for it",
        lambda done: done.probabilities(model.aggregates),
        positive,
    )


def _of_targets(model: ECGModel) -> _Said:
    targets = model.targets
    assert targets is not None
    return _Said(
        "target",
        counted(len(targets), "target"),
        targets.names,
        "train it on manifests with another name for it",
        lambda done: targets.in_units(done.logit),
    )
