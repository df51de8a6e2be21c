"""`fairseq-signals pretrain`: train an encoder on recordings, without labels."""

from __future__ import annotations

from collections.abc import Sequence

from fairseq_signals.commands.training_arguments import run_training, training_parser

DESCRIPTION = (
    "Pre-train an encoder on the training manifest of a folder; those of classification and other tasks do, "
    "as labels are not read and nobody is seen whom they hold out."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Train; the exit code is 0."""
    return run_training("pretrain", training_parser(prog, DESCRIPTION, needs_start=False), argv)
