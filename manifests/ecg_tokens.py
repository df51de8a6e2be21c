"""ECGs and their texts as token files that stock fairseq's task translation reads as they are.

Example:
    python manifests/ecg_tokens.py manifests/text --dest manifests/tokens --leads I,II,V1,V6
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.commands.arguments import integer_from, positive, some_path
from fairseq_signals.commands.manifest_arguments import add_vocab_size, script_main, script_parser
from fairseq_signals.ecg.leads import parse_leads
from fairseq_signals.ecg.record import DEFAULT_FS
from fairseq_signals.ecg.symbols import VoltageGrid
from fairseq_signals.errors import ManifestError, SignalError
from fairseq_signals.files import open_file
from fairseq_signals.manifest.building import count_line
from fairseq_signals.manifest.folder import (
    ECG,
    ECG_TEXT,
    ECG_TOKENS,
    TEXT,
    TEXTS_FILE,
    TOKENIZER_FILE,
    ManifestSet,
    dictionary_file,
    read_set,
    token_file,
    write_set,
)
from fairseq_signals.manifest.table import Manifest, Row
from fairseq_signals.manifest.texts import read_texts, text_ids
from fairseq_signals.text.ecg_tokens import ECGTokenizer, Notation
from fairseq_signals.text.tokenizer import UNK, VERSION, Tokenizer


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "manifests",
        type=some_path,
        metavar="DIR",
        help="of ecg_text.py; of another script: ECGs without texts",
    )
    parser.add_argument("--dest", type=some_path, required=True, help="folder for the tokens")
    parser.add_argument(
        "--leads", default="12", help="in this order: a lead set, or names as I,II,V1 (default: 12)"
    )
    parser.add_argument(
        "--limit-mv", type=positive, default=2.5, help="what is beyond is clipped, and counted (default: 2.5)"
    )
    parser.add_argument("--step-mv", type=positive, default=0.05, help="of the grid (default: 0.05)")
    add_vocab_size(parser, "ECGs")
    parser.add_argument(
        "--learn-from",
        type=integer_from(1),
        default=500,
        metavar="N",
        help="training segments, drawn by the seed, that pieces are learnt from (default: 500)",
    )
    parser.add_argument("--seed", type=integer_from(0), default=1, help="default: 1")
    return parser


def build(args: argparse.Namespace) -> None:
    """Write token files and dictionaries, beside manifests whose rows are their lines."""
    source = read_set(args.manifests)
    if source.faults:
        raise ManifestError(source.faults[0])
    grid = VoltageGrid(args.limit_mv, args.step_mv)
    notation = Notation(parse_leads(args.leads), float(source.info.get("fs", DEFAULT_FS)), grid)
    splits = {name: Split(manifest, notation) for name, manifest in source.manifests.items()}
    tokenizer = learn(splits, notation, args)
    for split in splits.values():
        split.encode(tokenizer)
    files: dict[str, str | bytes | Iterable[str]] = {**tokenizer.files(), **dictionary(ECG, tokenizer.tokens)}
    for name, split in splits.items():
        files[token_file(name, ECG)] = token_lines(split.ids, tokenizer.tokens)
    if source.kind == ECG_TEXT:
        files |= text_files(source, splits)
    facts = {
        "seed": args.seed,
        "fs": notation.fs,
        "arguments": {name: value for name, value in vars(args).items() if name not in ("dest", "seed")},
        "counts": {name: split.counts() for name, split in splits.items()},
        "pieces": len(tokenizer.tokenizer),
        "sentencepiece": VERSION,
    }
    rows = {name: split.rows() for name, split in splits.items()}
    write_set(args.dest, ECG_TOKENS, source.manifests["train"].root, rows, files, facts)
    tell_counts(args, facts)


class Split:
    """The segments of a manifest as tokens.

    Attributes:
        kept: (S,) those whose record has one of the leads at least.
        ids: of each of them.
        n_samples, n_clipped: samples of the leads, of all of them.
    """

    def __init__(self, manifest: Manifest, notation: Notation):
        self.manifest, self.notation = manifest, notation
        self.reader = SegmentReader(manifest, notation.fs)
        self.present = self.reader.present(np.arange(len(manifest)))
        self.kept = np.flatnonzero(self.present[:, list(notation.leads)].any(axis=1))
        self.ids: list[np.ndarray] = []
        self.n_samples = self.n_clipped = 0

    def write(self, index: int) -> tuple[dict[str, str], int]:
        """The characters of a segment's leads, and how many of its samples were clipped."""
        try:
            return self.notation.write(self.reader.read(index, np.float64), self.present[index])
        except SignalError as error:
            raise SignalError(f"record {self.manifest.record_ids[index]}: {error}") from None

    def encode(self, tokenizer: ECGTokenizer) -> None:
        """Make tokens of all."""
        for index in self.kept.tolist():
            written, n_clipped = self.write(index)
            self.ids.append(np.array(tokenizer.encode(written), np.int32))
            self.n_clipped += n_clipped
        n_leads = self.present[self.kept][:, list(self.notation.leads)].sum(axis=1)
        self.n_samples = int((n_leads * self.manifest.n_samples[self.kept]).sum())

    def rows(self) -> Iterator[Row]:
        """The lines of the manifest whose tokens there are."""
        kept = set(self.kept.tolist())
        return (row for i, row in enumerate(self.manifest.rows()) if i in kept)

    def counts(self) -> dict[str, int]:
        """What `manifest.json` says; the end that fairseq puts behind each ECG counts as a token."""
        lengths = [len(ids) + 1 for ids in self.ids]
        return {
            "segments": len(self.ids),
            "without_leads": len(self.manifest) - len(self.ids),
            "samples": self.n_samples,
            "clipped_samples": self.n_clipped,
            "tokens": sum(lengths),
            "longest": max(lengths, default=0),
        }


def learn(splits: dict[str, Split], notation: Notation, args: argparse.Namespace) -> ECGTokenizer:
    """The tokenizer of some segments of training."""
    if "train" not in splits or not len(splits["train"].kept):
        names = ", ".join(notation.names)
        raise ManifestError(f"{args.manifests}: there is no segment for training that has one of {names}")
    train = splits["train"]
    chosen = np.random.default_rng(args.seed).permutation(train.kept)[: args.learn_from]
    leads = (lead for i in chosen.tolist() for lead in train.write(i)[0].values())
    return ECGTokenizer.train(leads, args.vocab_size, notation)


def text_files(source: ManifestSet, splits: dict[str, Split]) -> dict[str, str | bytes | Iterable[str]]:
    """Texts as tokens, a line for each of the ECGs, with their dictionary and their tokenizer."""
    with open_file(source.folder / TOKENIZER_FILE) as file:
        model = file.read()
    tokenizer = Tokenizer(model, str(source.folder / TOKENIZER_FILE))
    table = read_texts(source.folder / TEXTS_FILE)
    encoded, pieces = [tokenizer.encode(text) for text in table.texts], tokenizer.pieces
    files: dict[str, str | bytes | Iterable[str]] = {TOKENIZER_FILE: model, **dictionary(TEXT, pieces)}
    files[TEXTS_FILE] = table.lines()
    for name, split in splits.items():
        texts = text_ids(split.manifest, len(table), TEXTS_FILE)[split.kept]
        files[token_file(name, TEXT)] = token_lines((encoded[text] for text in texts), pieces)
    return files


def token_lines(rows: Iterable[Sequence[int] | np.ndarray], pieces: Sequence[str]) -> Iterator[str]:
    """Lines of pieces with a blank between them."""
    return (" ".join(pieces[i] for i in ids) + "\n" for ids in rows)


def dictionary(language: str, pieces: Sequence[str]) -> dict[str, str]:
    """fairseq's file of what has which id: all but the first four, which it knows; counts are not used."""
    return {dictionary_file(language): "".join(f"{piece} 1\n" for piece in pieces[UNK + 1 :])}


def tell_counts(args: argparse.Namespace, facts: dict[str, Any]) -> None:
    """Print what was written."""
    print(f"{ECG_TOKENS} manifests in {args.dest} (seed {args.seed}), {facts['pieces']:,} pieces")
    for name, n in facts["counts"].items():
        print(
            count_line(
                name, {what.replace("_", " "): n[what] for what in ("segments", "tokens", "without_leads")}
            )
        )
        if n["segments"]:
            print(
                f"    {n['tokens'] / n['segments']:,.0f} tokens an ECG, at most {n['longest']:,}; "
                f"{n['samples'] / n['tokens']:.1f} samples a token; "
                f"{n['clipped_samples'] / n['samples']:.3%} of samples beyond {args.limit_mv:g} mV"
            )


main = script_main(build_parser, build)

if __name__ == "__main__":
    sys.exit(main())
