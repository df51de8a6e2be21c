"""Tokens of `manifest ecg_tokens` with a code for each frame of an ECG in place of its pieces.

Example:
    python examples/text/segment_codes.py manifests/tokens --dest manifests/codes \\
        --model outputs/codes/checkpoint_last.pt

What a model that was trained with `config/segment_codes.yaml` makes of each segment; texts stay as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.commands.manifest_arguments import script_main, script_parser
from fairseq_signals.errors import ManifestError
from fairseq_signals.inference.codes import ECGCodes
from fairseq_signals.manifest.folder import (
    ECG,
    ECG_TOKENS,
    TEXT,
    TEXTS_FILE,
    TOKENIZER_FILE,
    dictionary_file,
    read_set,
    token_file,
    write_set,
)
from fairseq_signals.manifest.table import Manifest

BATCH = 32
CODE = "c{}"  # how the number of a code is written


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("tokens", type=Path, metavar="DIR", help="what `manifest ecg_tokens` wrote")
    parser.add_argument("--model", type=Path, required=True, metavar="CKPT", help="checkpoint of an ecg_vq")
    parser.add_argument("--dest", type=Path, required=True, metavar="DIR", help="folder for the codes")
    return parser


def code(args: argparse.Namespace) -> None:
    """Write the codes beside the manifests and texts that they are of."""
    source, model = read_set(args.tokens), ECGCodes.load(args.model)
    if source.kind != ECG_TOKENS or source.faults:
        raise ManifestError(f"{args.tokens}: no tokens; make them with `manifest ecg_tokens`")
    sides = [token_file(name, TEXT) for name in source.manifests]
    files: dict[str, str | bytes | Iterable[str]] = {
        name: (args.tokens / name).read_bytes()
        for name in (TEXTS_FILE, TOKENIZER_FILE, dictionary_file(TEXT), *sides)
    }
    files[dictionary_file(ECG)] = "".join(f"{CODE.format(i)} 1\n" for i in range(model.n_codes))
    for name, manifest in source.manifests.items():
        files[token_file(name, ECG)] = (
            " ".join(map(CODE.format, row)) + "\n"
            for batch, present in segments(manifest, model.form.fs)
            for row in model.encode(batch, present).tolist()
        )
    rows = {name: manifest.rows() for name, manifest in source.manifests.items()}
    arguments = {name: value for name, value in vars(args).items() if name != "dest"}
    facts = {"fs": model.form.fs, "arguments": arguments, "codes": model.n_codes}
    write_set(args.dest, ECG_TOKENS, source.manifests["train"].root, rows, files, facts)
    counts = ", ".join(f"{name} {len(manifest):,}" for name, manifest in source.manifests.items())
    print(f"codes of {counts} segments in {args.dest}, of {model.n_codes} there may be")


def segments(manifest: Manifest, fs: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Those of a manifest, in order and in batches of one length: (B, 12, T) in mV, and their leads."""
    reader = SegmentReader(manifest, fs)
    for _, same in groupby(range(len(manifest)), key=manifest.n_samples.__getitem__):
        rows = list(same)
        for batch in (np.array(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)):
            yield np.stack([reader.read(i) for i in batch.tolist()]), reader.present(batch)


main = script_main(build_parser, code)

if __name__ == "__main__":
    sys.exit(main())
