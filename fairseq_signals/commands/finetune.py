"""`fairseq-signals finetune`: train a pre-trained encoder for a task."""

from __future__ import annotations

from collections.abc import Sequence

from fairseq_signals.commands.training_arguments import run_training, training_parser

DESCRIPTION = (
    "Fine-tune a model for what the manifests are of: classification, identification or regression. The "
    "best checkpoint by validation is kept: of the largest auroc, the largest accuracy, the smallest mae."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Train; the exit code is 0."""
    return run_training("finetune", training_parser(prog, DESCRIPTION, needs_start=True), argv)
