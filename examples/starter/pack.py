"""A pre-trained encoder as a folder to ship: float16, heads on its frozen statistics, a card with figures.

    python examples/starter/pack.py CHECKPOINT --manifests DIR --out FOLDER

DIR has the folders of manifests that the recipe names. Nothing else than what it says is in the folder: the
encoder without what only pre-training needs, the head, and in `config.json` how they were made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from card import card_of
from figures import figures
from heads import Features, Fitted, Recipe, fit, read_recipe

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.saved_model import CARD, as_numbers
from fairseq_signals.files import write_text
from fairseq_signals.inference.classes import classes_of
from fairseq_signals.modules.heads import ECGClassifier, PooledEncoder

HERE = Path(__file__).resolve().parent


def packed(model: ECGModel, recipe: Recipe, manifests: Path) -> ECGModel:
    """The model with the recipe's representation and heads, and parameters that float16 can hold."""
    encoder = model.network.encoder
    encoder.load_state_dict({key: value.float() for key, value in _half(encoder).items()})
    network = PooledEncoder(encoder, pooling=recipe.pooling)
    features = Features(ECGModel(network, "pretraining", model.form), manifests)
    features.standardise([source for head in recipe.heads for source in head.of], recipe.identification)
    heads: list[Fitted] = [fit(features, head) for head in recipe.heads]
    labels = [label for head in recipe.heads for label in head.labels]
    found = ECGClassifier(encoder, len(labels), pooling=recipe.pooling)
    found.statistics = network.statistics
    found.proj.weight.data.copy_(torch.from_numpy(np.concatenate([head.weight for head in heads])))
    found.proj.bias.data.copy_(torch.from_numpy(np.concatenate([head.bias for head in heads])))
    classes = classes_of(labels, [round(float(t), 3) for head in heads for t in head.thresholds])
    told = {**model.provenance, "heads": [asdict(head) for head in recipe.heads]}
    return ECGModel(found, "classification", model.form, classes, told)


def _half(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    state = as_numbers({f"encoder.{key}": value for key, value in encoder.state_dict().items()}, "float16")
    return {key.removeprefix("encoder."): value for key, value in state.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Pack, test, write the card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--manifests", type=Path, required=True, help="folder of the tasks' manifests")
    parser.add_argument("--out", type=Path, required=True, help="folder of the packed model; replaced")
    parser.add_argument("--recipe", type=Path, default=HERE / "heads.yaml")
    parser.add_argument("--pretrain", default="pretrain", help="its manifests of pre-training, by name")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    recipe = read_recipe(args.recipe)
    packed(ECGModel.load(args.checkpoint), recipe, args.manifests).save(
        args.out, overwrite=True, dtype="float16"
    )
    found = []
    for figure in figures(args.out, args.manifests, recipe):
        print(
            f"{figure.what}, {figure.corpus}, leads {figure.leads}: {figure.metric} {figure.value:.3f}",
            flush=True,
        )
        found.append(figure)
    write_text(args.out / CARD, [card_of(args.out, args.manifests / args.pretrain, recipe, found)])
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
