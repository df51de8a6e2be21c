"""The steps of a benchmark, as its Snakefile runs them, each in a process of its own.

    python -m fairseq_signals.benchmark.steps OUT store NAME
    python -m fairseq_signals.benchmark.steps OUT manifests
    python -m fairseq_signals.benchmark.steps OUT labels TASK FRACTION SEED
    python -m fairseq_signals.benchmark.steps OUT pretrain METHOD SEED
    python -m fairseq_signals.benchmark.steps OUT frozen METHOD SEED
    python -m fairseq_signals.benchmark.steps OUT finetune METHOD SEED

OUT is the folder of the run, with its settings.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.benchmark.settings import Settings
from fairseq_signals.errors import FairseqSignalsError


def store(settings: Settings, name: str) -> None:
    """Make a record store."""
    from fairseq_signals.benchmark.corpora import build

    build(settings, name)


def manifests(settings: Settings) -> None:
    """Make the manifests of tasks and of pre-training."""
    from fairseq_signals.benchmark.tasks import make_manifests

    make_manifests(settings)


def labels(settings: Settings, task: str, fraction: str, seed: str) -> None:
    """Make the manifests with a part of the labels."""
    from fairseq_signals.benchmark.tasks import write_fraction

    write_fraction(settings, settings.tasks[task], int(seed), int(fraction))


def pretrain(settings: Settings, name: str, seed: str) -> None:
    """Pre-train a method."""
    from fairseq_signals.benchmark import trainings

    trainings.pretrain(settings, name, int(seed))


def finetune(settings: Settings, name: str, seed: str) -> None:
    """Fine-tune a row, and test it."""
    from fairseq_signals.benchmark import trainings

    trainings.finetune(settings, name, int(seed))


def frozen(settings: Settings, name: str, seed: str) -> None:
    """Test the frozen encoder of a row in all tasks."""
    import torch

    from fairseq_signals.benchmark.encoders import load_encoder
    from fairseq_signals.benchmark.frozen import write_frozen
    from fairseq_signals.benchmark.protocols import FrozenTask
    from fairseq_signals.evaluation.lead_sets import parse_lead_sets

    torch.set_num_threads(1)
    method = settings.methods[name]
    tasks = [
        FrozenTask(
            task.name,
            settings.manifests(task.name),
            parse_lead_sets([",".join(task.lead_sets)]),
            task.protocols,
            task.fractions,
        )
        for task in settings.tasks.values()
    ]
    encoder = load_encoder(
        method.onnx or method.object or str(settings.pretrained(name, int(seed))),
        settings.features_of(name),
        method.fs,
        random_init=int(seed) if method.random_of else None,
    )
    out = settings.results(name, int(seed))
    write_frozen(encoder, tasks, out, method.title, int(seed), settings.split)


STEPS = {each.__name__: each for each in (store, manifests, labels, pretrain, frozen, finetune)}


def main(argv: Sequence[str]) -> int:
    """Run one; the exit code is 1 where that cannot be."""
    out, step, *arguments = argv
    try:
        STEPS[step](Settings.read(Path(out)), *arguments)
    except FairseqSignalsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
