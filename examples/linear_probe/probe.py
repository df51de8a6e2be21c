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
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import torch
from heads import fit_attentive, fit_logistic

from fairseq_signals import ECGModel
from fairseq_signals.commands.model_arguments import add_input_options, input_arguments
from fairseq_signals.errors import ConfigError, FairseqSignalsError, ManifestError
from fairseq_signals.evaluation.classification import evaluate_classification, read_targets
from fairseq_signals.evaluation.identification import evaluate_identification
from fairseq_signals.evaluation.predict import parse_lead_sets, predict
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

HEADS = {"logistic": fit_logistic, "attentive": fit_attentive}
LeadSets = Dict[str, Tuple[int, ...]]


class Frozen:
    """A model's encoder applied to the segments of manifests.

    Args:
        layer: whose frames: a layer's number, "mix" for all layers, or None for what the model itself uses.
    """

    def __init__(self, model: ECGModel, batch_size: int, layer: int | str | None = None):
        self.model, self.batch_size = model, batch_size
        self.layer = layer if layer == MIX else layer_number(model.network, layer)

    def encode(self, source: torch.Tensor, lead_present: torch.Tensor | None = None) -> torch.Tensor:
        """The frames (B, F, D) of a batch of segments; of all layers (B, L + 1, F, D)."""
        encoder = self.model.network.encoder
        if self.layer == MIX:
            return torch.stack(list(encoder.each_layer(source, lead_present)), dim=1)
        return encoder(source, layer=self.layer, lead_present=lead_present).x

    def pooled(self, manifest: Manifest, lead_sets: LeadSets) -> np.ndarray:
        """Mean over frames under each lead set, (S, N, D)."""
        if self.layer == MIX:
            raise ConfigError(
                "--layer mix is learnt by the attentive head alone; choose a layer by its number"
            )

        def compute(
            source: torch.Tensor, padding_mask: None = None, lead_present: torch.Tensor | None = None
        ) -> torch.Tensor:
            return self.model.network.pool(self.encode(source, lead_present))

        device = str(self.model.device)
        return predict(compute, manifest, lead_sets, self.batch_size, device, self.model.form)

    def frames(self, manifest: Manifest, leads: tuple[int, ...], file: Path) -> np.ndarray:
        """The frames (N, ...), see `encode`, as float16 in a file that is mapped into memory."""
        if len(set(manifest.n_samples.tolist())) != 1:
            raise ManifestError(f"{manifest.path}: the attentive head wants segments of one length")
        shape: tuple[int, ...] = ()
        with file.open("wb") as stored:

            def store(
                source: torch.Tensor, padding_mask: None = None, lead_present: torch.Tensor | None = None
            ) -> torch.Tensor:
                nonlocal shape
                x = self.encode(source, lead_present)
                shape = tuple(x.shape[1:])
                stored.write(x.cpu().numpy().astype(np.float16).tobytes())
                return x.flatten(1)[:, :1]  # for `predict`, which calls this in the manifest's order

            device = str(self.model.device)
            predict(store, manifest, {"": leads}, self.batch_size, device, self.model.form)
        return np.memmap(file, np.float16, "r").reshape(len(manifest), *shape)


def probe_classification(
    frozen: Frozen, manifests: Path, lead_sets: LeadSets, head: str, train_leads: str, per: str, seed: int
) -> Evaluation:
    """Train a head a lead set and test it as `evaluate` tests fine-tuned models."""
    n_classes = len(read_labels(manifests / "labels.csv"))
    splits = {name: read_manifest(manifests / f"{name}.tsv") for name in ("train", "valid")}
    labels = {name: read_targets(manifest, n_classes) for name, manifest in splits.items()}

    def predict_all(manifest: Manifest) -> np.ndarray:
        found = []
        for leads in lead_sets.values():
            seen = leads if train_leads == "same" else next(iter(parse_lead_sets([train_leads]).values()))
            parts = ((splits["train"], seen), (splits["valid"], seen), (manifest, leads))
            with tempfile.TemporaryDirectory(prefix="frames-") as folder:
                if head == "attentive":
                    files = (Path(folder) / str(i) for i in range(len(parts)))
                    features = [frozen.frames(part, of, file) for (part, of), file in zip(parts, files)]
                else:
                    features = [frozen.pooled(part, {"": of})[0] for part, of in parts]
                train, valid, test = features
                fitted = HEADS[head](train, labels["train"], valid, labels["valid"], seed)
                found.append(fitted.logits(test))
        return np.stack(found)  # (S, N, C)

    return evaluate_classification(predict_all, manifests, list(lead_sets), "test", per, 0.5)


def probe_identification(frozen: Frozen, manifests: Path, lead_sets: LeadSets, per: str) -> Evaluation:
    """Compare probes with the gallery by the embeddings as they are."""
    return evaluate_identification(
        lambda manifest: frozen.pooled(manifest, lead_sets), manifests, list(lead_sets), "test", per
    )


def random_like(model: ECGModel, seed: int) -> ECGModel:
    """A model of the same shape whose weights are random: what the architecture alone is worth."""
    from fairseq_signals.modules.encoder import ECGEncoder
    from fairseq_signals.modules.heads import PooledEncoder

    torch.manual_seed(seed)
    encoder = ECGEncoder(replace(model.network.encoder.cfg, apply_mask=False))
    return ECGModel(PooledEncoder(encoder).to(model.device), "pretraining", model.form)


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
    parser.add_argument("--leads", action="append", metavar="SETS", help="lead sets (default: 12,6,3,2,1)")
    parser.add_argument(
        "--train-leads",
        default="same",
        help="lead set that heads are trained on: that of the test, or e.g. 12",
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
        frozen = Frozen(model, args.batch_size, args.layer)
        lead_sets = parse_lead_sets(args.leads or ["12,6,3,2,1"])
        name = args.method or args.checkpoint.stem + ("_random" if args.random_init else "")
        outcomes: dict[str, Evaluation] = {}
        if (args.manifest / "test_gallery.tsv").exists():
            outcomes[f"{name}, frozen"] = probe_identification(frozen, args.manifest, lead_sets, args.per)
        else:
            for head in args.heads or (["attentive"] if args.layer == MIX else HEADS):
                outcomes[f"{name}, {head}"] = probe_classification(
                    frozen, args.manifest, lead_sets, head, args.train_leads, args.per, args.seed
                )
    except FairseqSignalsError as error:
        print(f"{parser.prog}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    for method, outcome in outcomes.items():
        print(f"{method}: {outcome.task} of {outcome.n} {outcome.counted}")
        print(format_table(*table_cells(outcome.values)))
        for note in outcome.notes:
            print(f"note: {note}")
        if args.json:
            write_results(args.json, result_rows(outcome, method, args.seed), append=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
