"""Manifests of recordings with their reports: cleaned distinct texts and a tokenizer, split by patient.

Example:
    python manifests/ecg_text.py STORE --dest manifests/text
    python manifests/ecg_text.py STORE --dest manifests/text --text-from labels --labels cinc2021
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from fairseq_signals.commands.arguments import integer_from, some_path
from fairseq_signals.commands.manifest_arguments import (
    add_split,
    add_vocab_size,
    script_main,
    split_patients,
    stores_parser,
)
from fairseq_signals.errors import ConfigError, LabelError, ManifestError
from fairseq_signals.manifest.building import finish, load_corpus, tail_note
from fairseq_signals.manifest.corpus import Corpus
from fairseq_signals.manifest.exclusion import exclude_held_out
from fairseq_signals.manifest.folder import CLEANED_FILE, ECG_TEXT, TEXTS_FILE, TOKENIZER_FILE
from fairseq_signals.manifest.labels import LabelTable, find_table, read_labels
from fairseq_signals.manifest.split_table import SPLITS
from fairseq_signals.manifest.texts import TextTable, require_vectors_of
from fairseq_signals.safety.text import csv_lines, visible
from fairseq_signals.store.csv_table import read_table
from fairseq_signals.text.cleaning import BETWEEN_LINES, Cleaner
from fairseq_signals.text.tokenizer import UNK, VERSION, Tokenizer, normalise, train_tokenizer

REPORT, LABELS = "report", "labels"
N_SHOWN = 3  # of what a rule found
TABLES = Path(__file__).resolve().parent / "labels"


def build_parser() -> argparse.ArgumentParser:
    parser = stores_parser(__doc__)
    parser.set_defaults(segment_seconds=10.0)  # a report is about the whole recording
    parser.add_argument(
        "--text-from",
        choices=(REPORT, LABELS),
        default=REPORT,
        help="the report of each record, or the names of its classes (default: report)",
    )
    parser.add_argument("--labels", metavar="TABLE", help="of --text-from labels: as of classification.py")
    parser.add_argument(
        "--min-words",
        type=integer_from(1),
        metavar="N",
        help="leave out texts of fewer words (default: 2 of reports, 1 of labels)",
    )
    parser.add_argument(
        "--glossary",
        type=some_path,
        metavar="CSV",
        help="columns phrase and replacement, such as translations and abbreviations",
    )
    add_vocab_size(parser)
    parser.add_argument(
        "--exclude",
        nargs="+",
        type=some_path,
        default=[],
        metavar="DIR",
        help="downstream manifest folders whose validation and test people are left out",
    )
    add_split(parser)
    return parser


def build(args: argparse.Namespace) -> None:
    """Write the three splits, with the texts, their tokenizer and what was cleaned beside them."""
    if (args.text_from == LABELS) != bool(args.labels):
        raise ConfigError("--labels names the table of --text-from labels; give both or neither")
    attributes = [args.split_by] if args.split_by else []
    if args.text_from == REPORT:
        attributes.append(REPORT)
    corpus = load_corpus(args, ["codes"], attributes)
    notes = exclude_held_out(corpus, args.exclude)
    corpus.name_patients()  # downstream manifests may know patients that the stores do not
    # before records without a text are left out, so that these splits are those of other manifests
    split_of_patient = split_patients(corpus, args)
    labels = read_labels(find_table(args.labels, TABLES)) if args.labels else None
    raw = corpus.attributes[REPORT] if labels is None else texts_of_labels(corpus, labels)
    cleaned = CleanedTexts(corpus, raw, args.glossary)
    leave_out(corpus, cleaned.text_of, args.text_from, args.min_words)
    split_of = {record.record_id: split_of_patient[record.patient_id] for record in corpus.records}
    table = TextTable.of_records({record: cleaned.text_of[record] for record in split_of}, split_of)
    require_vectors_of(table.texts, Path(args.dest))
    tokenizer = Tokenizer(train_tokenizer(require_training(table, corpus), args.vocab_size))
    text_id = {text: str(i) for i, text in enumerate(table.texts)}
    splits = {name: corpus.listing() for name in SPLITS if name in split_of.values()}
    for record in corpus.records:
        splits[split_of[record.record_id]].add(record, text_id[cleaned.text_of[record.record_id]])
    facts = text_facts(table, tokenizer, [name for name in splits if name != "train"])
    notes += [tail_note(corpus), *text_notes(facts), *cleaned.notes()]
    facts["cleaned"] = dict(cleaned.n_records)
    files: dict[str, str | bytes] = {
        TEXTS_FILE: "".join(table.lines()),
        TOKENIZER_FILE: tokenizer.model,
        CLEANED_FILE: "".join(csv_lines([("rule", "found", "records"), *cleaned.rows()])),
    }
    finish(corpus, ECG_TEXT, args, splits, notes, files, facts)


def texts_of_labels(corpus: Corpus, labels: LabelTable) -> dict[str, str]:
    """By record the names of its classes; of several names of a class the first. None of no class."""
    names = [name.split("|")[0] for name in labels.names]
    classes = {record.record_id: labels.targets(record.codes) for record in corpus.records}
    return {name: BETWEEN_LINES.join(names[c] for c in found) for name, found in classes.items() if found}


class CleanedTexts:
    """What cleaning makes of the texts of a corpus.

    Attributes:
        text_of: by record, as tokenizers see it; may be empty.
        n_records: by rule, in how many records it replaced something.
        n_found: likewise by rule and what it found.
    """

    def __init__(self, corpus: Corpus, raw: Mapping[str, str], glossary: Path | None):
        codes = {code for record in corpus.records for code in record.codes}
        cleaner = Cleaner(codes, read_glossary(glossary) if glossary else None)
        once = lru_cache(maxsize=None)(cleaner.clean)  # many records have the same report
        self.text_of: dict[str, str] = {}
        self.n_records: Counter[str] = Counter({rule.name: 0 for rule in cleaner.rules})
        self.n_found: Counter[tuple[str, str]] = Counter()
        for record in corpus.records:
            if record.record_id in raw:
                text, found = once(raw[record.record_id])
                self.text_of[record.record_id] = visible(normalise(text))
                self.n_found.update(set(found))
                self.n_records.update({rule for rule, _ in found})

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """What each rule found and in how many records, rule by rule; what is in most records first."""
        order = list(self.n_records)
        keys = sorted(self.n_found, key=lambda key: (order.index(key[0]), -self.n_found[key], key))
        yield from ((rule, found, self.n_found[rule, found]) for rule, found in keys)

    def notes(self) -> list[str]:
        """Lines that show what was cleaned."""
        lines = [f"cleaned, in records of {len(self.text_of):,} with a text ({CLEANED_FILE} has all of it):"]
        for rule, n in self.n_records.items():
            found = [repr(shown) for name, shown, _ in self.rows() if name == rule]
            shown = ", ".join((*found[:N_SHOWN], *(["..."] if len(found) > N_SHOWN else [])))
            lines.append(f"  {rule:24}{n:>8,}  {shown}".rstrip())
        return lines


def read_glossary(path: Path) -> dict[str, str]:
    """What takes the place of phrases, from a CSV file with the columns phrase and replacement."""
    _, rows = read_table(path, ("phrase", "replacement"), LabelError)
    return {" ".join(row.text("phrase").split()): row.cells["replacement"] for row in rows}


def leave_out(corpus: Corpus, text_of: Mapping[str, str], text_from: str, min_words: int | None) -> None:
    """Leave out the records without a text that is long enough, and count them by reason."""
    least = min_words or (2 if text_from == REPORT else 1)
    without = "without a report" if text_from == REPORT else "of none of the classes"
    corpus.leave_out(lambda r: r.record_id not in text_of, without)
    corpus.leave_out(lambda r: not text_of[r.record_id], "whose report says nothing about the heart")
    corpus.leave_out(
        lambda r: len(text_of[r.record_id].split()) < least, f"with a text of fewer than {least} words"
    )


def require_training(table: TextTable, corpus: Corpus) -> list[str]:
    """The texts of training; an error where there is none."""
    train = table.of_split("train")
    if not train:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in corpus.left_out.items()) or "none"
        raise ManifestError(
            f"no training record has a text that can be used, of {len(table):,} texts in all. "
            f"Records left out: {reasons}"
        )
    return train


def text_facts(table: TextTable, tokenizer: Tokenizer, held_out: Sequence[str]) -> dict[str, Any]:
    """What `manifest.json` says of the texts and the tokenizer."""
    train = set(table.of_split("train"))
    unseen, unknown = {}, {}
    for name in held_out:
        texts = table.of_split(name)
        pieces = [piece for text in texts for piece in tokenizer.encode(text)]
        unseen[name] = sum(text not in train for text in texts) / len(texts)
        unknown[name] = pieces.count(UNK) / len(pieces)
    return {
        "texts": len(table),
        "pieces": len(tokenizer),
        "sentencepiece": VERSION,
        "longest_text": max(len(tokenizer.encode(text)) for text in table.texts),
        "unseen_texts": unseen,
        "unknown_pieces": unknown,
    }


def text_notes(facts: Mapping[str, Any]) -> list[str]:
    """Lines that show `text_facts`."""
    return [
        f"{facts['texts']:,} texts, of up to {facts['longest_text']:,} of {facts['pieces']:,} pieces",
        *(
            f"  {name}: {unseen:.1%} of its texts are not in train, {facts['unknown_pieces'][name]:.2%} of "
            "their pieces are unknown"
            for name, unseen in facts["unseen_texts"].items()
        ),
    ]


main = script_main(build_parser, build)

if __name__ == "__main__":
    sys.exit(main())
