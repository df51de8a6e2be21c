"""ECGs and their reports on a synthetic corpus: zero-shot classes, retrieval, written reports, questions.

    make demo-text

Writes a corpus of SYNTHETIC 12-lead ECG with a report each, then runs the commands that a user would type on
real data. Test patients are apart, and their reports, prompts and questions have wordings that training has
not seen.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from steps import CONFIGS, CORES, ROOT, Step, Steps, Task, program, python, training

from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.patient import plan_records
from fairseq_signals.synthetic.reports import split_of

TEXT = ROOT / "examples" / "text" / "config"
UPDATES = {"clip": 360, "classification": 240, "report_generation": 600, "questions": 900}
#: Seconds of an update on one core, and of loading what a training needs.
SECONDS = {"clip": 0.22, "classification": 0.25, "report_generation": 0.25, "questions": 0.14}
LOADING = 8
SESSIONS = (2, 3)
#: Of the tokens, and of the classifier beside them; tokens of twelve leads would be too many.
LEADS = "I,II,V1"
SEEN = {"both": "ECGs and questions", "text": "questions alone (blind)", "ecg": "ECGs alone (deaf)"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "text", help="default: outputs/text")
    parser.add_argument(
        "--patients", type=int, default=1200, help="synthetic patients (default: %(default)s)"
    )
    parser.add_argument("--updates", type=int, help="of each training (default: as in this file)")
    parser.add_argument("--seed", type=int, default=1, help="of the corpus")
    parser.add_argument("--seeds", type=int, default=1, help="of the trainings (default: %(default)s)")
    parser.add_argument("--no-questions", action="store_true", help="leave out the questions")
    args = parser.parse_args()
    steps, demo = Steps(args.out.resolve()), Demo(args)
    prepare(steps, args, demo)
    chains = [demo.classifier()]
    for seed in range(1, args.seeds + 1):
        chains += [demo.names(seed), demo.reports(seed)]
        chains += [] if args.no_questions else [demo.answers(seed, seen) for seen in SEEN]
    steps.add_chains(*chains)
    tables = python("examples/text/tables.py", str(demo.results), "--out", str(demo.out))
    steps.add("Make the tables", *tables)
    steps.run()
    print(f"\nThese figures are of synthetic ECG and reports from templates. Written: {demo.out}/results.md")


def prepare(steps: Steps, args: argparse.Namespace, demo: Demo) -> None:
    """The corpus, its store, and all manifests, with the same patients in the test."""
    raw, store, manifests = str(demo.raw), str(demo.out / "store"), demo.manifests
    table = str(demo.raw / "reports.csv")
    labels = ("--labels", str(demo.raw / "classes.csv"), "--split-table", table)
    steps.add(
        "Write a SYNTHETIC corpus with reports, as WFDB files",
        *python("examples/quickstart/make_corpus.py", "--dest", raw, "--workers", str(CORES)),
        *("--patients", str(args.patients), "--sessions", "{}..{}".format(*SESSIONS)),
        *("--seed", str(args.seed)),
        seconds=args.patients / 80,
    )
    steps.add(
        "Preprocess: WFDB files to a record store of 100 Hz",
        *python("preprocess/physionet2021.py", raw, "--dest", store, "--fs", "100", "--patients", table),
        seconds=args.patients / 100,
    )
    steps.add(
        "Manifests of reports: cleaned, made distinct, with a tokenizer of the training texts",
        *python("manifests/ecg_text.py", store, "--dest", str(manifests / "text")),
        *("--split-table", table, "--vocab-size", "200"),
    )
    steps.add(
        "Manifests of the 15 classes, for tests and for a classifier to compare with",
        *python("manifests/classification.py", store, "--dest", str(manifests / "dx"), *labels),
        *("--segment-seconds", "10"),
    )
    steps.add(
        "ECGs as tokens: samples on a grid of millivolts, joined to pieces",
        *python("manifests/ecg_tokens.py", str(manifests / "text"), "--dest", str(manifests / "tokens")),
        *("--leads", LEADS, "--limit-mv", "2.4", "--step-mv", "0.15"),
        seconds=9,
    )
    if not args.no_questions:
        steps.add(
            "Questions about one ECG or two, each split in words of its own",
            *python("manifests/ecg_qa.py", store, "--dest", str(manifests / "qa"), *labels),
        )
    made = ("text", "dx", "tokens") if args.no_questions else ("text", "dx", "tokens", "qa")
    steps.add(
        "Check that nothing leaks", *python("manifests/check.py", *(str(manifests / name) for name in made))
    )


class Demo:
    """What is trained and tested, as chains of steps.

    Args:
        args: of the command line.
    """

    def __init__(self, args: argparse.Namespace):
        self.out: Path = args.out.resolve()
        self.raw, self.manifests, self.runs = (self.out / name for name in ("raw", "manifests", "runs"))
        self.results, self.saved = self.out / "evaluations.json", self.out / "classifier.npz"
        self.corpus = CorpusConfig(args.patients, sessions=SESSIONS, seed=args.seed)
        self.updates: int | None = args.updates
        self.tested: Step | None = None
        self.models: dict[int, Step] = {}

    def _task(self, data: str, config: Path, *overrides: str) -> Task:
        number = self.updates or UPDATES[config.stem]
        every = [f"optimization.max_update={number}", *overrides]
        if "total_num_update" in config.read_text():
            every.append(f"lr_scheduler.total_num_update={number}")
        return Task(self.manifests / data, config, every, LOADING + number * SECONDS[config.stem], number)

    def _counted(self, seed: int) -> tuple[str, ...]:
        return ("--seed", str(seed), "--json", str(self.results), "--append")

    def classifier(self) -> list[Step]:
        """A classifier of labels on the leads that tokens are of, which written reports are compared with."""
        task = self._task("dx", CONFIGS / "demo" / "classification.yaml", "+task.sample_rate=100")
        run = self.runs / "classifier"
        command = (
            *(program("fairseq-signals"), "evaluate", str(run / "checkpoint_best.pt")),
            *("--manifest", str(task.data), "--leads", LEADS.replace(",", "+"), "--save", str(self.saved)),
        )
        self.tested = Step("Test the classifier on the leads that tokens are of", command)
        return [training("Train a classifier of labels, to compare with", task, run), self.tested]

    def names(self, seed: int) -> list[Step]:
        """ECGs and reports in one space, and what it tells: classes by their names, ECGs like this one."""
        task = self._task("text", TEXT / "clip.yaml", "+task.sample_rate=100")
        run = self.runs / f"clip-{seed}"
        model = str(run / "checkpoint_best.pt")
        title = f"ECGs and reports in one space, seed {seed}"
        self.models[seed] = training(title, task, run, f"common.seed={seed}")
        zeroshot = (
            *(program("fairseq-signals"), "zeroshot", model, "--manifest", str(self.manifests / "dx")),
            *("--prompts", str(self.raw / "prompts.csv"), "--texts", str(task.data)),
            *("--leads", "12,2,1", "--method", "clip", *self._counted(seed)),
        )
        chain = [
            self.models[seed],
            Step(f"Zero-shot: classes by their names, on 12, 2 and 1 leads, seed {seed}", zeroshot, 9),
        ]
        if seed == 1:
            retrieve = (
                *(program("fairseq-signals"), "retrieve", model, "--base", str(task.data / "train.tsv")),
                *("--query", str(self.raw / a_test_record(self.corpus)), "--k", "3"),
                *("--labels", str(self.raw / "classes.csv")),
            )
            title = "Retrieve: training recordings like one of a test patient, and their reports"
            chain.append(Step(title, retrieve, 9))
        return chain

    def reports(self, seed: int) -> list[Step]:
        """Stock fairseq learns to translate tokens, writes reports, and these are scored."""
        task = self._task("tokens", TEXT / "report_generation.yaml")
        run, tokens = self.runs / f"reports-{seed}", str(task.data)
        needed = ("model.encoder.layers=1",) if sys.version_info < (3, 11) else ()  # of its upstream fairseq
        train = (
            *(program("fairseq-hydra-train"), "--config-dir", str(task.config.parent)),
            *("--config-name", task.config.stem, f"task.data={tokens}", f"checkpoint.save_dir={run}"),
            *(f"hydra.run.dir={run}", f"common.seed={seed}", *task.overrides, *needed),
        )
        generate = (
            *(program("fairseq-generate"), tokens, "--path", str(run / "checkpoint_best.pt")),
            *("--task", "translation", "--source-lang", "ecg", "--target-lang", "text"),
            *("--dataset-impl", "raw", "--gen-subset", "test", "--beam", "1", "--max-len-b", "60"),
            *("--post-process", "sentencepiece", "--max-source-positions", "4096"),
            *("--required-batch-size-multiple", "1", "--cpu", "--results-path", str(run)),
        )
        score = (
            *python("examples/text/score_reports.py", str(run / "generate-test.txt"), "--manifest", tokens),
            *("--classifier", str(self.saved), *self._counted(seed)),
        )
        title = f"Reports from tokens, by stock fairseq alone, seed {seed}"
        return [
            Step(title, train, task.seconds, task.updates),
            Step(f"Write reports of the test ECGs, seed {seed}", generate, 20, quiet=True),
            Step(f"Score the reports by their findings, seed {seed}", score, 4, after=self.tested),
        ]

    def answers(self, seed: int, seen: str) -> list[Step]:
        """Questions, on the encoder of `names`; or a control that sees one side."""
        task = self._task("qa", TEXT / "questions.yaml", "+task.sample_rate=100")
        run, start = self.runs / f"questions-{seen}-{seed}", self.runs / f"clip-{seed}" / "checkpoint_best.pt"
        overrides = (f"model.model_path={start}", f"model.modality={seen}", f"common.seed={seed}")
        title = f"Questions, seeing {SEEN[seen]}, seed {seed}"
        train = replace(training(title, task, run, *overrides), after=self.models[seed])
        score = (
            *python("examples/text/score_questions.py", str(run / "checkpoint_best.pt")),
            *("--manifest", str(task.data), "--method", SEEN[seen], *self._counted(seed)),
        )
        return [train, Step(f"Score these answers, {SEEN[seen]}, seed {seed}", score, 12)]


def a_test_record(config: CorpusConfig) -> str:
    """The header of the first record of a patient that no training sees, below the folder of the corpus."""
    planned = next(each for each in plan_records(config) if split_of(config, each.patient) == "test")
    return f"{planned.subset.folder}/{planned.record_id}.hea"


if __name__ == "__main__":
    main()
