"""Manifests of questions about ECGs: those of ECG-QA as it is published, or made of known classes.

Example:
    python manifests/ecg_qa.py STORE --dest manifests/qa --questions ecg-qa/ecgqa/ptbxl/paraphrased
    python manifests/ecg_qa.py STORE --dest manifests/qa --labels cinc2021
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.commands.arguments import integer_from, some_path
from fairseq_signals.commands.manifest_arguments import (
    add_split,
    add_vocab_size,
    script_main,
    split_patients,
    stores_parser,
)
from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.building import finish, load_corpus
from fairseq_signals.manifest.corpus import Corpus
from fairseq_signals.manifest.folder import ANSWERS_FILE, ECG_QA, TOKENIZER_FILE
from fairseq_signals.manifest.labels import LabelTable, find_table, read_labels
from fairseq_signals.manifest.people import acquisition
from fairseq_signals.manifest.published_questions import read_answers, read_published
from fairseq_signals.manifest.questions import Question, question_lines, questions_file
from fairseq_signals.manifest.record_labels import format_labels
from fairseq_signals.manifest.split_table import SPLITS
from fairseq_signals.text.questions import NO, YES, Drawn, KnownECG, QuestionDrawing
from fairseq_signals.text.tokenizer import UNK, VERSION, Tokenizer, normalise, train_tokenizer

TABLES = Path(__file__).resolve().parent / "labels"
Questions = dict[str, list[Question]]


def build_parser() -> argparse.ArgumentParser:
    parser = stores_parser(__doc__)
    parser.set_defaults(segment_seconds=10.0)  # a question is about the whole recording
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--questions",
        type=some_path,
        metavar="DIR",
        help="folder paraphrased or template of ECG-QA; splits are as published",
    )
    source.add_argument(
        "--labels", metavar="TABLE", help="make questions of the classes of a table, as of classification.py"
    )
    parser.add_argument(
        "--per-ecg",
        type=integer_from(1),
        default=2,
        metavar="N",
        help="of --labels: questions of each type about an ECG (default: 2)",
    )
    add_vocab_size(parser)
    parser.add_argument(
        "--tokenizer",
        type=some_path,
        metavar="FILE",
        help="text.model of the manifests that a model was pre-trained on, which is to go on with these",
    )
    add_split(parser)
    return parser


def build(args: argparse.Namespace) -> None:
    """Write the ECGs and the questions of the three splits, with the answers and a tokenizer."""
    columns = [] if args.questions else ["codes"]
    corpus = load_corpus(args, columns, [args.split_by] if args.split_by else [])
    if args.questions:
        answers = read_answers(args.questions)
        questions, notes = of_store(read_published(args.questions, answers), corpus)
    else:
        labels = read_labels(find_table(args.labels, TABLES))
        answers = [*(name.split("|")[0] for name in labels.names), YES, NO]
        questions, notes = drawn_questions(corpus, labels, answers[:-2], args), []
    questions = {split: found for split, found in questions.items() if found}
    if not questions.get("train"):
        raise ManifestError(f"no question for training is left. {'; '.join(notes)}")
    model = args.tokenizer.read_bytes() if args.tokenizer else None
    texts = (normalise(one.text) for one in questions["train"])
    tokenizer = Tokenizer(model or train_tokenizer(texts, args.vocab_size), str(args.tokenizer))
    asked = {record for found in questions.values() for one in found for record in one.ecgs}
    corpus.leave_out(lambda record: record.record_id not in asked, "that no question asks about")
    splits = {name: corpus.listing() for name in questions}
    for name, found in questions.items():
        of_split = {record for one in found for record in one.ecgs}
        for record in corpus.records:
            if record.record_id in of_split:
                splits[name].add(record, segments=[0])
    table = LabelTable(tuple(answers), tuple(answers), tuple((name,) for name in answers))
    files: dict[str, str | bytes] = {ANSWERS_FILE: format_labels(table), TOKENIZER_FILE: tokenizer.model}
    files |= {questions_file(name): "".join(question_lines(found)) for name, found in questions.items()}
    facts = question_facts(questions, tokenizer)
    finish(corpus, ECG_QA, args, splits, [*notes, *question_notes(facts)], files, facts)


def of_store(published: Questions, corpus: Corpus) -> tuple[Questions, list[str]]:
    """The published questions about records of the store, and lines that say which are not.

    Questions of training about a patient of validation or test are left out, and of validation likewise.
    """
    records = {_number(record.record_id): record for record in corpus.records}
    found: Questions = {}
    left: Counter[str] = Counter()
    taken: set[str] = set()
    for split in reversed(SPLITS):  # test first: it stays as it is
        found[split], own = [], set()
        for one in published[split]:
            ecgs = [records.get(name) for name in one.ecgs]
            there = [ecg for ecg in ecgs if ecg is not None]
            patients = {ecg.patient_id for ecg in there}
            if len(there) < len(ecgs):
                left[f"{split}: about an ECG that the store does not have"] += 1
            elif patients & taken:
                left[f"{split}: about a patient of a split that is tested"] += 1
            else:
                own |= patients
                found[split].append(one._replace(ecgs=tuple(ecg.record_id for ecg in there)))
        taken |= own
    return found, [f"questions left out, {reason}: {n:,}" for reason, n in sorted(left.items())]


def _number(record_id: str) -> str:
    """What ECG-QA calls a record: its number in PTB-XL, its study in MIMIC-IV-ECG."""
    return acquisition(record_id).rsplit("/", 1)[-1].lstrip("0")


def drawn_questions(
    corpus: Corpus, labels: LabelTable, names: list[str], args: argparse.Namespace
) -> Questions:
    """Questions about the classes of records, by split of their patients; held-out ones in other words."""
    split_of_patient = split_patients(corpus, args)
    corpus.leave_out(lambda record: not labels.targets(record.codes), "of none of the classes")
    ecgs: dict[str, list[KnownECG]] = {split: [] for split in SPLITS}
    for record in corpus.records:
        known = KnownECG(record.record_id, record.patient_id, frozenset(labels.targets(record.codes)))
        ecgs[split_of_patient[record.patient_id]].append(known)

    def drawn(split: str) -> list[Question]:
        number = SPLITS.index(split)
        drawing = QuestionDrawing(ecgs[split], names, number, np.random.default_rng([args.seed, number]))
        return [_question(one) for one in drawing.draw(args.per_ecg)]

    return {split: drawn(split) for split in SPLITS}


def _question(one: Drawn) -> Question:
    return Question(one.type, "class", one.text, one.ecgs, one.answers, one.valid)


def question_facts(questions: Questions, tokenizer: Tokenizer) -> dict[str, Any]:
    """What `manifest.json` says of the questions and the tokenizer."""
    train = {one.text for one in questions["train"]}
    unseen, unknown = {}, {}
    for name in questions.keys() - {"train"}:
        texts = {one.text for one in questions[name]}
        pieces = [piece for text in texts for piece in tokenizer.encode(text)]
        unseen[name] = len(texts - train) / len(texts)
        unknown[name] = pieces.count(UNK) / len(pieces)
    return {
        "questions": {name: dict(Counter(one.type for one in found)) for name, found in questions.items()},
        "pieces": len(tokenizer),
        "sentencepiece": VERSION,
        "unseen_texts": unseen,
        "unknown_pieces": unknown,
    }


def question_notes(facts: Mapping[str, Any]) -> list[str]:
    """Lines that show `question_facts`."""
    lines = []
    for name, by_type in facts["questions"].items():
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(by_type.items()))
        lines.append(f"questions of {name}: {sum(by_type.values()):,}: {kinds}")
        if name in facts["unseen_texts"]:
            lines.append(
                f"  {facts['unseen_texts'][name]:.1%} of their texts are not in train, "
                f"{facts['unknown_pieces'][name]:.2%} of the pieces are unknown"
            )
    return lines


main = script_main(build_parser, build)

if __name__ == "__main__":
    sys.exit(main())
