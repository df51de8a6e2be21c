"""`fairseq-signals clusters`: clusters of frames, whose numbers a model learns to tell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fairseq_signals.commands.arguments import add_device, integer_from, number, some_path
from fairseq_signals.safety.text import counted, tell

STRIDE, CLUSTERS, FRAMES = 16, 100, 500_000


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Cluster the frames of a manifest's segments by k-means, for model ecg_hubert "
        "(model.clusters=FILE): of their samples, or, for the next iteration, of a layer of a model.",
    )
    parser.add_argument("manifest", type=some_path, metavar="MANIFEST", help="such as pretrain/train.tsv")
    parser.add_argument(
        "--out", type=some_path, required=True, metavar="FILE.npz", help="where the clusters go"
    )
    parser.add_argument(
        "--clusters", type=integer_from(2), default=CLUSTERS, metavar="K", help="default: %(default)s"
    )
    parser.add_argument(
        "--stride",
        type=integer_from(1),
        metavar="N",
        help=f"samples of a frame, where they are not a model's (default: {STRIDE})",
    )
    parser.add_argument(
        "--model", type=some_path, metavar="CHECKPOINT", help="cluster its frames in their place"
    )
    parser.add_argument(
        "--layer", type=integer_from(0), help="which of its layers, from 0, the first one's input (default)"
    )
    parser.add_argument(
        "--fs",
        type=number(0, low_included=False),
        default=None,
        help="sampling rate, Hz (default: 500, or the model's)",
    )
    parser.add_argument(
        "--frames",
        type=integer_from(1),
        default=FRAMES,
        metavar="N",
        help="frames that are clustered (default: %(default)s)",
    )
    parser.add_argument("--seed", type=integer_from(0), default=1)
    add_device(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Cluster, tell, write the file; the exit code is 0."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if args.model and args.stride is not None:
        parser.error("--stride is of frames of samples, but --model has frames of its own: leave out one")
    if args.layer is not None and not args.model:
        parser.error("--layer is one of a model: add --model CHECKPOINT, or leave it out")
    stride, layer = args.stride or STRIDE, args.layer or 0
    from dataclasses import replace

    import numpy as np

    from fairseq_signals.checkpoints.clusters import STATISTICS
    from fairseq_signals.checkpoints.input_format import InputFormat
    from fairseq_signals.evaluation.clusters import (
        TOO_LARGE,
        fit_clusters,
        layer_of,
        sampled_frames,
        statistics_of,
    )
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.pipeline import layer_number
    from fairseq_signals.manifest.table import read_manifest

    form, compute, source = InputFormat(), statistics_of(stride), STATISTICS
    if args.model:
        model = ECGModel.load(args.model, device=args.device)
        layer_number(model.network, layer)
        encoder = model.network.encoder
        form, compute, stride = model.form, layer_of(encoder, layer), encoder.stride
        source = str(args.model.resolve())
    if args.fs:
        form = replace(form, fs=args.fs)
    frames = sampled_frames(read_manifest(args.manifest), form, compute, args.frames, args.seed, args.device)
    found, counts = fit_clusters(frames, args.clusters, args.seed, stride=stride, source=source, layer=layer)
    share = counts / counts.sum()
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
    tell(
        f"{counted(len(frames), 'frame')}, {counted(args.clusters, 'cluster')}; entropy {entropy:.3f} of at "
        f"most {np.log(args.clusters):.3f} nats, which is what guessing costs",
        sys.stdout,
    )
    if share.max() > TOO_LARGE:
        tell(f"warning: one cluster has {share.max():.0%} of all frames; are most of them flat?")
    found.write(args.out)
    print(f"wrote {args.out}")
    return 0
