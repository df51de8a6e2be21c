"""What the command lines in preprocess/ share: options of the store, and what became of the records."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from fairseq_signals.commands.arguments import (
    add_read_options,
    integer_from,
    positive,
    read_arguments,
    some_path,
)
from fairseq_signals.commands.outcome import exit_code
from fairseq_signals.ecg.record import DEFAULT_FS
from fairseq_signals.ecg.resample import POLYPHASE, RESAMPLERS
from fairseq_signals.errors import StoreError
from fairseq_signals.safety.text import tell
from fairseq_signals.store.building import REJECTED_FILE, BuildSummary, build_store
from fairseq_signals.store.codecs import CODECS, INT16
from fairseq_signals.store.conversion import (
    CHECKSUMS,
    ODD_AMPLITUDE,
    RECORDS_PER_SHARD,
    BuildOptions,
    Item,
)
from fairseq_signals.store.reading import FAULTS_FILE


def add_store_arguments(parser: argparse.ArgumentParser, rate: str | None = None) -> None:
    """The options of every preprocessing script.

    Args:
        rate: as of `add_read_options`.
    """
    parser.add_argument("--dest", type=some_path, required=True, help="folder of the record store to write")
    parser.add_argument(
        "--fs", type=positive, default=DEFAULT_FS, help="sampling rate of the store in Hz (default: 500)"
    )
    parser.add_argument(
        "--resampler",
        choices=RESAMPLERS,
        default=POLYPHASE,
        help="of records at other rates: by a low-pass, or by straight lines between samples, the first and "
        "the last kept, as ECG-FM expects (default: polyphase)",
    )
    parser.add_argument(
        "--min-seconds",
        type=positive,
        default=5.0,
        help="reject records shorter than this (default: 5, one segment)",
    )
    parser.add_argument(
        "--workers",
        type=integer_from(1),
        default=None,
        help="processes on this machine (default: one for each CPU)",
    )
    parser.add_argument(
        "--records-per-shard",
        type=integer_from(1),
        default=RECORDS_PER_SHARD,
        help=f"records that share a file (default: {RECORDS_PER_SHARD})",
    )
    parser.add_argument(
        "--codec",
        choices=CODECS,
        default=INT16,
        help="samples as they are, or as FLAC: lossless too, about a third of the size, slower to read",
    )
    parser.add_argument(
        "--checksums",
        choices=CHECKSUMS,
        default=CHECKSUMS[0],
        help="reject records whose samples disagree with the checksums in their header, or keep them",
    )
    add_read_options(parser, rate)
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="let the workers of this Dask scheduler, such as tcp://host:8786, make the store",
    )
    allowed = parser.add_mutually_exclusive_group()
    allowed.add_argument(
        "--max-rejected",
        type=integer_from(0),
        metavar="N",
        help="exit with 1 where more records than this are rejected; the others are stored in any case",
    )
    allowed.add_argument(
        "--strict",
        action="store_const",
        const=0,
        dest="max_rejected",
        help="exit with 1 where any record is rejected: --max-rejected 0",
    )
    parser.add_argument("--overwrite", action="store_true", help="build anew where DEST holds another store")


def build_from_arguments(items: Iterable[Item], args: argparse.Namespace) -> None:
    """Build the store that the arguments describe and print what became of the records.

    Args:
        items: the records; may be a generator, which is read once.
        args: of a parser that `add_store_arguments` was given.

    Raises:
        StoreError: see `build_store`; also where more records are rejected than `--max-rejected` says.
    """
    if args.scheduler is not None and args.workers is not None:
        raise StoreError("--workers is for this machine: leave it out with --scheduler, which has its own")
    reading = read_arguments(args)
    options = BuildOptions(
        args.fs,
        args.min_seconds,
        args.records_per_shard,
        args.codec,
        args.checksums,
        reading,
        args.resampler,
    )
    summary = build_store(items, args.dest, options, args.workers, args.overwrite, scheduler=args.scheduler)
    tell(summary, sys.stdout)
    for key, n in summary.counts.items():
        if key.startswith(ODD_AMPLITUDE):
            option = " (--amplitude-scale)" if "multiply by" in key else ""
            warn(f"{n:,} {key}{option}; see {FAULTS_FILE}")
    if summary.rejections:
        n, file = len(summary.rejections), args.dest / REJECTED_FILE
        told = f"rejected {n:,} of {summary.n_items:,} records: {summary.rejections}"
        print(f"{told}\nthe reason of each is in {file}", file=sys.stderr)
        _require_available(summary, args.dest)
        if args.max_rejected is not None and n > args.max_rejected:
            raise StoreError(
                f"{args.dest}: {n:,} records are rejected, but at most {args.max_rejected:,} may be "
                f"(--max-rejected, --strict). The others are stored; see {file}."
            )


def _require_available(summary: BuildSummary, dest: Path) -> None:
    """Say what was not available; an error where that is most of the records."""
    n = summary.n_unavailable
    told = f"{dest} is not complete: {n:,} of {summary.n_items:,} records were not available"
    if n > summary.n_items / 2:
        raise StoreError(f"{told}. The others are stored; run the same command again when those are.")
    if n:
        warn(f"{told}; run the same command again to try them once more")


def run(command: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    """Run a command; gives its exit code."""

    def work() -> int:
        command(args)
        return 0

    return exit_code(work, interrupted="interrupted; run the same command again to go on")


def warn(*messages: str) -> None:
    """A line each for the user about something that was not as expected."""
    for message in messages:
        tell(f"warning: {message}")
