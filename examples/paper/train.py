"""Train as `fairseq-hydra-train` does, go on with what was stopped, keep the model without its optimizer.

    python train.py pretrain --config w2v/config/pretraining/w2v_demo.yaml --data DIR --run DIR --out MODEL.pt
    python train.py finetune --config ... --data DIR --run DIR --out DIR --model MODEL.pt --leads 12 6 3 2 1

A run keeps its checkpoints in its own folder (`--run`), and goes on from them when the same command is given
again. With other settings, data or another model to begin with it starts anew; what was there is put aside.
Several lead sets are trained one after the other, in processes forked from one that has fairseq loaded:
loading it takes longer than a small training.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from fairseq_signals.commands import store_arguments
from fairseq_signals.ecg.leads import LEAD_SETS
from fairseq_signals.errors import ConfigError
from fairseq_signals.training.run import Run, publish, train, with_overrides

EXAMPLES = Path(__file__).resolve().parents[1]
ALL_LEADS = "12"


def several_gpus(run: Run, n_gpus: int) -> list[str]:
    """Overrides that spread a batch over GPUs: each accumulates so many fewer."""
    if n_gpus < 2:
        return []
    accumulated = run.settings()["optimization"].get("update_freq", [1])[0]
    if accumulated % n_gpus:
        raise ConfigError(
            f"optimization.update_freq is {accumulated}, which {n_gpus} GPUs cannot share equally; "
            f"choose a number of GPUs that divides it (resources.pretrain.gpu)"
        )
    frequency = f"optimization.update_freq=[{accumulated // n_gpus}]"
    return [f"distributed_training.distributed_world_size={n_gpus}", frequency]


def lead_overrides(pretrained_on: str, leads: str) -> list[str]:
    """Overrides for a lead set: the others zeros where the model takes twelve, else an axis of just these."""
    if leads == ALL_LEADS:
        return []
    padded = [] if pretrained_on == ALL_LEADS else ["task.enable_padding_leads=false"]
    return [f"task.leads_to_load={leads}", *padded]


def width_override(leads: str) -> list[str]:
    """Overrides for a model that takes no more leads than these."""
    return [f"model.in_d={len(LEAD_SETS[leads])}"] if leads != ALL_LEADS else []


def shape_overrides(config: Path, changes: Sequence[str]) -> list[str]:
    """Overrides that give a model without checkpoint the encoder of a pre-training with these overrides."""
    from fairseq_signals.modules.encoder_config import ARCHITECTURE

    model = with_overrides(yaml.safe_load(config.read_text(encoding="utf-8")), changes)["model"]
    shape = {key: model[key] for key in ARCHITECTURE if key in model}
    return ["model.model_path=null", *(f"model.{key}={json.dumps(value)}" for key, value in shape.items())]


def pretrain(args: argparse.Namespace) -> None:
    """Pre-train one model."""
    overrides = [f"common.seed={args.seed}", *args.overrides, *lead_overrides(args.leads, args.leads)]
    overrides += width_override(args.leads)
    run = Run(args.run, EXAMPLES / args.config, args.data, overrides, checkpoint=args.checkpoint)
    run.overrides = [*overrides, *several_gpus(run, args.gpus)]
    train([run], args.keep_checkpoints)
    publish(run, args.out)


def finetune(args: argparse.Namespace) -> None:
    """Fine-tune one model a lead set."""
    start: list[str] = []
    if args.shape_of:
        start = shape_overrides(EXAMPLES / args.shape_of, args.shape_override)
        start += width_override(args.pretrained_on)
    runs = []
    for leads in args.leads:
        overrides = [f"common.seed={args.seed}", *start, *args.overrides]
        overrides += lead_overrides(args.pretrained_on, leads)
        run = Run(args.run / leads, EXAMPLES / args.config, args.data, overrides, args.model)
        settings = run.settings()
        if settings["lr_scheduler"]["_name"] == "tri_stage":  # which is spread over all updates
            epochs = settings["optimization"]["max_epoch"]
            run.overrides = [*overrides, f"optimization.max_update={run.n_updates(epochs)}"]
        runs.append(run)
    train(runs, args.keep_checkpoints)
    for run in runs:
        publish(run, args.out / f"{run.folder.name}.pt")


def main(argv: Sequence[str] | None = None) -> int:
    """Train; the exit code is 1 on bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(required=True, metavar="STEP")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", required=True, help="YAML file, relative to the folder of the examples")
    common.add_argument("--data", type=Path, required=True, help="folder of manifests")
    common.add_argument("--run", type=Path, required=True, help="folder of the checkpoints")
    common.add_argument("--out", type=Path, required=True, help="where the trained model goes")
    common.add_argument("--seed", type=int, required=True)
    common.add_argument("--keep-checkpoints", action="store_true", help="beside the final model")
    common.add_argument("overrides", nargs="*", metavar="GROUP.KEY=VALUE")
    step = steps.add_parser("pretrain", parents=[common], help=pretrain.__doc__)
    step.add_argument("--leads", choices=LEAD_SETS, default=ALL_LEADS, help="leads of the recordings")
    step.add_argument("--checkpoint", choices=("best", "last"), default="best", help="which to keep")
    step.add_argument("--gpus", type=int, default=0, help="number of GPUs that share a batch")
    step.set_defaults(function=pretrain)
    step = steps.add_parser("finetune", parents=[common], help=finetune.__doc__)
    step.add_argument("--pretrained-on", choices=LEAD_SETS, default=ALL_LEADS, help="leads the model takes")
    step.add_argument("--leads", choices=LEAD_SETS, nargs="+", required=True, help="one model for each")
    start = step.add_mutually_exclusive_group(required=True)
    start.add_argument("--model", type=Path, help="pre-trained model")
    start.add_argument("--shape-of", help="begin at random, with the encoder of this YAML file")
    step.add_argument(
        "--shape-override", action="append", default=[], metavar="KEY=VALUE", help="change of that encoder"
    )
    step.set_defaults(function=finetune)
    args = parser.parse_args(argv)
    return store_arguments.run(args.function, args)


if __name__ == "__main__":
    sys.exit(main())
