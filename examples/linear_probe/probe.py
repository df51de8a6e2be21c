"""Frozen evaluation of a checkpoint: its encoder as it is, and a small head trained on what it gives.

    python examples/linear_probe/probe.py CHECKPOINT --manifest /data/manifests/dx --json probe.json

On classification manifests: logistic regression on the mean over frames (`logistic`), and learnt attention
over frames before a linear layer (`attentive`). Both are trained on the train split, choose their strength of
regularisation or number of epochs on the valid split, and are counted like `fairseq-signals evaluate` counts
fine-tuned models. On identification manifests nothing is trained: embeddings are compared as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import torch

from fairseq_signals import ECGModel
from fairseq_signals.benchmark.encoders import random_like
from fairseq_signals.benchmark.features import stored_frames
from fairseq_signals.benchmark.heads import fit_attentive, fit_logistic
from fairseq_signals.commands.lead_set_arguments import add_lead_sets, lead_sets_of
from fairseq_signals.commands.model_arguments import add_input_options, input_arguments
from fairseq_signals.errors import ConfigError, FairseqSignalsError, LeadError
from fairseq_signals.evaluation.classification import evaluate_classification, read_targets
from fairseq_signals.evaluation.identification import evaluate_identification
from fairseq_signals.evaluation.intervals import add_intervals
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.predict import predict
from fairseq_signals.evaluation.results import (
    Evaluation,
    format_table,
    result_rows,
    table_cells,
    write_results,
)
from fairseq_signals.inference.pipeline import MIX, layer_number
from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.table import Manifest, read_manifest

LOGISTIC, ATTENTIVE = "logistic", "attentive"
HEADS = {LOGISTIC: fit_logistic, ATTENTIVE: fit_attentive}
MEAN, MEAN_STD = "mean", "mean_std"
LeadSets = Dict[str, Tuple[int, ...]]


class Frozen:
    """A model's encoder applied to the segments of manifests.

    Args:
        layer: whose frames: a layer's number, "mix" for all layers, or None for what the model itself uses.
        pooling: of the frames: "mean", or "mean_std" for their mean and standard deviation (divisor n).
    """

    def __init__(self, model: ECGModel, batch_size: int, layer: int | str | None = None, pooling: str = MEAN):
        self.model, self.batch_size, self.pooling = model, batch_size, pooling
        self.layer = layer if layer == MIX else layer_number(model.network, layer)

    def encode(self, source: torch.Tensor, lead_present: torch.Tensor | None = None) -> torch.Tensor:
        """The frames (B, F, D) of a batch of segments; of all layers (B, L + 1, F, D)."""
        encoder = self.model.network.encoder
        if self.layer == MIX:
            return torch.stack(list(encoder.each_layer(source, lead_present)), dim=1)
        return encoder(source, layer=self.layer, lead_present=lead_present).x

    def pooled(self, manifest: Manifest, lead_sets: LeadSets) -> np.ndarray:
        """What is pooled over frames under each lead set, (S, N, D) or (S, N, 2 D)."""
        if self.layer == MIX:
            raise ConfigError(
                "--layer mix is learnt by the attentive head alone; choose a layer by its number"
            )

        def compute(
            source: torch.Tensor, padding_mask: None = None, lead_present: torch.Tensor | None = None
        ) -> torch.Tensor:
            frames = self.encode(source, lead_present)
            mean = self.model.network.pool(frames)
            if self.pooling == MEAN:
                return mean
            return torch.cat([mean, frames.std(dim=1, unbiased=False)], dim=1)

        device = str(self.model.device)
        return predict(compute, manifest, lead_sets, self.batch_size, device, self.model.form)

    def features(
        self, head: str, manifest: Manifest, lead_sets: LeadSets
    ) -> Iterator[Tuple[str, np.ndarray]]:
        """What a head is given under each lead set, by its label."""
        if head == LOGISTIC:
            yield from zip(lead_sets, self.pooled(manifest, lead_sets))
        else:
            yield from ((label, self.frames(manifest, {label: lead_sets[label]})) for label in lead_sets)

    def frames(self, manifest: Manifest, lead_set: LeadSets) -> np.ndarray:
        """The frames (N, ...) under a lead set, see `encode`: float16, mapped from a file without a name."""
        device = str(self.model.device)
        return stored_frames(self.encode, manifest, lead_set, self.batch_size, device, self.model.form)


def probe_classification(
    frozen: Frozen,
    manifests: Path,
    lead_sets: LeadSets,
    head: str,
    train_leads: Tuple[int, ...] | None,
    per: str,
    seed: int,
) -> Evaluation:
    """Train heads and test them as `evaluate` tests fine-tuned models.

    Args:
        train_leads: those that one head for all lead sets is trained on; None: each has a head of its own.
    """
    n_classes = len(read_labels(manifests / "labels.csv"))
    splits = {name: read_manifest(manifests / f"{name}.tsv") for name in ("train", "valid")}
    labels = {name: read_targets(manifest, n_classes) for name, manifest in splits.items()}
    tested: Dict[Tuple[int, ...], List[str]] = {}  # by the leads that a head is trained on
    for label, leads in lead_sets.items():
        tested.setdefault(train_leads or leads, []).append(label)

    def predict_all(manifest: Manifest) -> np.ndarray:
        found = {}
        for seen, names in tested.items():
            given = {name: dict(frozen.features(head, part, {"": seen}))[""] for name, part in splits.items()}
            fitted = HEADS[head](given["train"], labels["train"], given["valid"], labels["valid"], seed)
            for name, test in frozen.features(head, manifest, {name: lead_sets[name] for name in names}):
                found[name] = fitted.outputs(test)
        return np.stack([found[name] for name in lead_sets])  # (S, N, C)

    return evaluate_classification(predict_all, manifests, list(lead_sets), "test", per, 0.5)


def probe_identification(frozen: Frozen, manifests: Path, lead_sets: LeadSets, per: str) -> Evaluation:
    """Compare probes with the gallery by the embeddings as they are."""
    return evaluate_identification(
        lambda manifest: frozen.pooled(manifest, lead_sets), manifests, list(lead_sets), "test", per
    )


def one_lead_set(spec: str) -> Tuple[int, ...]:
    """The leads of one lead set, such as "12".

    Raises:
        LeadError: there is no such one, or it is several.
    """
    found = parse_lead_sets([spec])
    if len(found) > 1:
        raise LeadError(
            f"--train-leads {spec}: heads are trained on one lead set, but these are {len(found)}"
        )
    return next(iter(found.values()))


def main(argv: Sequence[str] | None = None) -> int:
    """Probe, print a table a head, write the results; the exit code is 0, or 1 for a mistake in the input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint or saved model, pre-trained or fine-tuned")
    parser.add_argument("--manifest", type=Path, required=True, metavar="DIR", help="manifest folder")
    parser.add_argument(
        "--heads", nargs="+", choices=HEADS, help="default: both; with --layer mix, attentive"
    )
    parser.add_argument(
        "--layer",
        type=lambda given: int(given) if given.isdecimal() else given,
        metavar="N",
        help="layer that is probed, from 0, the Transformer's input, to its last; or mix: all of them, with "
        "weights that the attentive head learns (default: what the model itself uses)",
    )
    add_lead_sets(parser)
    parser.add_argument(
        "--train-leads",
        default="same",
        help="lead set that heads are trained on: that of the test, or e.g. 12: one head for all lead sets",
    )
    parser.add_argument(
        "--pooling",
        choices=(MEAN, MEAN_STD),
        default=MEAN,
        help="what the logistic head and identification get of the frames: their mean, or their standard "
        "deviation too (default: %(default)s)",
    )
    parser.add_argument(
        "--intervals",
        type=int,
        default=0,
        metavar="N",
        help="95 %% intervals by N resamples of the patients (default: none)",
    )
    parser.add_argument("--random-init", action="store_true", help="the same encoder with random weights")
    parser.add_argument("--per", choices=("record", "segment"), default="record")
    parser.add_argument("--method", help="name in the results (default: CHECKPOINT's name)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write or complete a JSON list of results")
    parser.add_argument("--batch-size", type=int, default=32, help="segments a batch (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="of the encoder (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the attentive head (default: %(default)s)")
    add_input_options(parser)
    args = parser.parse_args(argv)
    try:
        model = ECGModel.load(args.checkpoint, device=args.device, **input_arguments(args))
        model = random_like(model, args.seed) if args.random_init else model
        frozen = Frozen(model, args.batch_size, args.layer, args.pooling)
        lead_sets = lead_sets_of(args).of_model(model.form)
        seen = None if args.train_leads == "same" else one_lead_set(args.train_leads)
        name = args.method or args.checkpoint.stem + ("_random" if args.random_init else "")
        outcomes: dict[str, Evaluation] = {}
        if (args.manifest / "test_gallery.tsv").exists():
            outcomes[f"{name}, frozen"] = probe_identification(frozen, args.manifest, lead_sets, args.per)
        else:
            for head in args.heads or (["attentive"] if args.layer == MIX else HEADS):
                outcomes[f"{name}, {head}"] = probe_classification(
                    frozen, args.manifest, lead_sets, head, seen, args.per, args.seed
                )
        for outcome in outcomes.values():
            outcome.families = lead_sets.families
            if args.intervals:
                add_intervals(outcome, args.intervals)
    except FairseqSignalsError as error:
        print(f"{parser.prog}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    for method, outcome in outcomes.items():
        print(f"{method}: {outcome.task} of {outcome.n} {outcome.counted}")
        print(format_table(*table_cells(outcome.values, outcome.intervals, outcome.families)))
        for note in outcome.notes:
            print(f"note: {note}")
        if args.json:
            write_results(args.json, result_rows(outcome, method, args.seed), append=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
