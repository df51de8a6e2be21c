"""Arguments of commands that use a model: what it takes, and how recordings are read for it."""

from __future__ import annotations

import argparse
from typing import Any

from fairseq_signals.checkpoints.input_format import AGGREGATES, LAST_SEGMENT, ZERO_FRAMES
from fairseq_signals.commands.arguments import (
    add_batch_size,
    add_device,
    add_model,
    add_read_options,
    positive,
    some_path,
)
from fairseq_signals.ecg.normalize import NORMALIZE
from fairseq_signals.ecg.resample import RESAMPLERS


def add_use(parser: argparse.ArgumentParser, classes: bool = False) -> None:
    """`--leads`, `--batch-size`, `--device`, how files are read, and what the model takes."""
    parser.add_argument(
        "--leads", metavar="LEADS", help="use these leads only, such as I,II or a lead set, such as 3"
    )
    add_batch_size(parser, 16)
    add_device(parser)
    add_read_options(parser)
    add_input_options(parser, classes)


def add_fitting(parser: argparse.ArgumentParser, what: str) -> None:
    """CHECKPOINT, `--manifest`, `--leads`, `--out`: what is measured on manifests and saved with a model.

    Args:
        what: CHECKPOINT must be.
    """
    add_model(parser, what)
    parser.add_argument("--manifest", type=some_path, required=True, metavar="DIR", help="manifest folder")
    parser.add_argument(
        "--leads",
        action="append",
        metavar="SETS",
        help="lead sets on which it will be used, as for `evaluate` (default: all leads of the model)",
    )
    parser.add_argument("--out", type=some_path, required=True, metavar="FOLDER", help="where the model goes")
    add_batch_size(parser, 64)
    add_device(parser)
    add_input_options(parser, classes=True)


def add_input_options(
    parser: argparse.ArgumentParser, classes: bool = False, cut_already: bool = False
) -> None:
    """What a model takes, and of a classifier how segments are put together: a preset, or single fields.

    Args:
        cut_already: recordings come as segments, so that there is nothing left at their end.
    """
    parser.set_defaults(last_segment=None, aggregate=None, aggregate_max=None)
    group = parser.add_argument_group(
        "input", "what the model takes; each in place of what the checkpoint or the preset says"
    )
    group.add_argument(
        "--preset",
        metavar="NAME",
        help="public weights whose input is known: ecg-fm, deepecg-ssl; none: what the checkpoint says "
        "(default: published files are known by name and configuration)",
    )
    group.add_argument("--model-fs", type=positive, metavar="HZ", help="sampling rate of the model")
    group.add_argument(
        "--normalize",
        choices=NORMALIZE,
        help="over what each lead gets mean 0 and standard deviation 1: nothing, a segment, or the record",
    )
    group.add_argument("--scale", type=positive, metavar="FACTOR", help="the model's units in a mV")
    group.add_argument("--resampler", choices=RESAMPLERS, help="of recordings of another rate")
    group.add_argument("--segment-seconds", type=positive, metavar="S", help="length of segments")
    if not cut_already:
        group.add_argument(
            "--last-segment",
            choices=LAST_SEGMENT,
            help="what is left at the end of a recording: a segment that overlaps the one before, or dropped",
        )
    group.add_argument(
        "--zero-frames",
        choices=ZERO_FRAMES,
        help="whether frames that are zero in all channels count in the mean over frames",
    )
    if classes:
        group.add_argument(
            "--aggregate",
            choices=AGGREGATES,
            help="of the probabilities of a recording's segments, for all classes",
        )
        group.add_argument(
            "--aggregate-max",
            action="append",
            metavar="LABEL",
            help="a class of which it is the maximum all the same; may be repeated",
        )


def input_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What the options of `add_input_options` give, as `LoadedModel.load` takes it."""
    return {
        "preset": args.preset,
        "fs": args.model_fs,
        "normalize": args.normalize,
        "scale": args.scale,
        "resampler": args.resampler,
        "segment_s": args.segment_seconds,
        "last_segment": args.last_segment,
        "zero_frames": args.zero_frames,
        "aggregate": args.aggregate,
        "aggregate_max": args.aggregate_max or (None if args.aggregate is None else []),
    }
