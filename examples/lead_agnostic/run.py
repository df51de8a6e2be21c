"""The experiment in one command: data, pre-training, probes, fine-tuning, tables.

    python examples/lead_agnostic/run.py --shared ../shared --out outputs/lead_agnostic --fold 9

README.md beside this file tells what is done. What has been done is not done again; a training that was
stopped goes on from its last checkpoint. Trials are for fold 9; the table is made on fold 10, once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from data import DX, FS, ROOT, data_jobs
from jobs import Job, Jobs
from settings import Method, Settings

HERE = Path(__file__).resolve().parent
SPLITS = {9: "valid", 10: "test"}
TRAIN = str(ROOT / "examples" / "paper" / "train.py")
LEADS = "12,6,3,2,1,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6"


class Experiment:
    """The steps of one run.

    Args:
        settings: what is compared.
        out: folder of everything.
        split: "valid" (fold 9) or "test" (fold 10).
    """

    def __init__(self, settings: Settings, out: Path, split: str):
        self.settings, self.out, self.split = settings, out, split

    def model(self, method: Method, seed: int) -> Path:
        """The pre-trained model; of random weights that of the method whose encoder they are of."""
        return self.out / "models" / f"{method.random_of or method.name}-{seed}.pt"

    def scores(self, name: str, seed: int) -> Path:
        """What `frozen.py` writes."""
        return self.out / "scores" / f"{name}-{seed}-{self.split}.npz"

    def tuned_scores(self, name: str, seed: int) -> Path:
        """What `evaluate` saves of the fine-tuned model."""
        return self.out / "scores" / f"{name}-{seed}-{self.split}-tuned.npz"

    def pretrain(self, method: Method, seed: int) -> Job:
        """Pre-train one method with one seed."""
        updates, name = self.settings.updates(method), f"{method.name}-{seed}"
        command = [
            sys.executable,
            TRAIN,
            "pretrain",
            "--config",
            method.path,
        ]
        command += [
            "--data",
            str(self.out / "manifests" / method.data),
            "--run",
            str(self.out / "runs" / name),
        ]
        command += ["--out", str(self.model(method, seed)), "--seed", str(seed), "--checkpoint", "last"]
        schedule = [f"optimization.max_update={updates}", f"lr_scheduler.total_num_update={updates}"]
        command += [f"task.sample_rate={FS}", *schedule, *method.overrides]
        after = ["manifests-check"]
        if method.start:
            start = self.settings.methods[method.start]
            command += [f"model.model_path={self.model(start, seed)}"]
            after += [f"pretrain-{start.name}-{seed}"]
        return Job(f"pretrain-{name}", command, after)

    def probe(self, method: Method, seed: int, noise: bool = False) -> Job:
        """Probes and identification with the frozen encoder."""
        name = "noise" if noise else method.name
        command = [sys.executable, str(HERE / "frozen.py"), str(self.model(method, seed))]
        command += ["--manifests", str(self.out / "manifests"), "--split", self.split]
        command += ["--features", *self.settings.features, "--out", str(self.scores(name, seed))]
        command += ["--random-init", str(seed)] if method.random_of else []
        command += ["--noise"] if noise else []
        command += self.settings.frozen
        return Job(f"frozen-{name}-{seed}-{self.split}", command, [self._pretraining(method, seed)])

    def finetune(self, method: Method, seed: int) -> Job:
        """Fine-tune for the superclasses."""
        name = f"{method.name}-{seed}"
        command = [sys.executable, TRAIN, "finetune", "--config", "lead_agnostic/config/finetune.yaml"]
        command += [
            "--data",
            str(self.out / "manifests" / DX),
            "--run",
            str(self.out / "runs" / f"tuned-{name}"),
        ]
        command += ["--out", str(self.out / "tuned" / name), "--seed", str(seed), "--leads", "12"]
        command += ["--model", str(self.model(method, seed))]
        command += [f"task.sample_rate={FS}"]
        command += ["model.no_pretrained_weights=true"] if method.random_of else []
        return Job(f"finetune-{name}", command, [self._pretraining(method, seed)])

    def evaluate(self, method: Method, seed: int) -> Job:
        """Test the fine-tuned model on all lead sets."""
        name = f"{method.name}-{seed}"
        command = [str(Path(sys.executable).with_name("fairseq-signals")), "evaluate"]
        command += [str(self.out / "tuned" / name / "12.pt"), "--manifest", str(self.out / "manifests" / DX)]
        command += ["--leads", LEADS, "--split", self.split, "--intervals", "0"]
        command += ["--save", str(self.tuned_scores(method.name, seed))]
        return Job(f"evaluate-{name}-{self.split}", command, [f"finetune-{name}"])

    def _pretraining(self, method: Method, seed: int) -> str:
        return f"pretrain-{method.random_of or method.name}-{seed}"

    def jobs(self, methods: Sequence[str], seeds: Sequence[int], tuned: bool) -> Iterator[Job]:
        """All steps after the data's, seed by seed, so that a run that is stopped has whole seeds."""
        chosen = [self.settings.methods[name] for name in methods]
        trained = dict.fromkeys((*(self.settings.methods[m.start] for m in chosen if m.start), *chosen))
        for seed in seeds:
            yield from (self.pretrain(m, seed) for m in trained if not m.random_of)
            yield from (self.probe(m, seed) for m in chosen)
            if self.settings.noise in methods:
                yield self.probe(self.settings.methods[self.settings.noise], seed, noise=True)
            if tuned:
                yield from (self.finetune(m, seed) for m in chosen)
                yield from (self.evaluate(m, seed) for m in chosen)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is not done, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = Path(os.environ.get("FAIRSEQ_SIGNALS_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=shared, help="folder with real_ecg and more_ecg")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "lead_agnostic")
    parser.add_argument("--experiment", default="experiment", help="a file of config/ (default: experiment)")
    parser.add_argument("--fold", type=int, choices=SPLITS, default=9, help="default: 9, for trials")
    parser.add_argument("--jobs", type=int, default=2, help="commands at a time (default: 2)")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="default: all, with the baseline")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: those of the experiment")
    parser.add_argument("--no-finetune", action="store_true", help="frozen encoders alone")
    parser.add_argument("--table", type=Path, help="default: OUT/PAGE-fold9.md or -fold10.md")
    args = parser.parse_args(argv)
    settings, out = Settings.read(args.experiment), args.out.resolve()
    methods = args.methods or [name for name, method in settings.methods.items() if method.row]
    if unknown := set(methods) - set(settings.methods):
        sys.exit(f"unknown methods {', '.join(sorted(unknown))}; there are {', '.join(settings.methods)}")
    methods = methods if settings.baseline in methods else [settings.baseline, *methods]
    seeds = args.seeds or settings.seeds
    experiment = Experiment(settings, out, SPLITS[args.fold])
    jobs = [*data_jobs(args.shared.resolve(), out), *experiment.jobs(methods, seeds, not args.no_finetune)]
    Jobs(out / "logs", args.jobs).run(jobs)
    from tables import write_tables

    write_tables(experiment, methods, seeds, args.table or out / f"{settings.page}-fold{args.fold}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
