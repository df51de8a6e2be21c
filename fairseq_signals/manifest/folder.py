"""Folders of manifests: what kind they are, and writing and reading them as one."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_signals.errors import ManifestError
from fairseq_signals.files import whole_files, write_text
from fairseq_signals.manifest.info import INFO_FILE, UNFINISHED, read_info, require_complete
from fairseq_signals.manifest.table import MAT_CMSC, Manifest, Row, format_manifest, read_manifest
from fairseq_signals.safety.locks import one_process

PRETRAIN, CLASSIFICATION, IDENTIFICATION = "pretrain", "classification", "identification"
REGRESSION, ECG_TEXT, ECG_TOKENS, ECG_QA = "regression", "ecg_text", "ecg_tokens", "ecg_qa"
LABELS_FILE, WEIGHTS_FILE, TARGETS_FILE = "labels.csv", "weights.csv", "targets.csv"
TEXTS_FILE, TOKENIZER_FILE, CLEANED_FILE = "texts.tsv", "text.model", "cleaned.csv"
ANSWERS_FILE, QUESTIONS = "answers.csv", ".questions.tsv"
ECG, TEXT = "ecg", "text"  #: The two sides of token files, to fairseq two languages.


def token_file(split: str, side: str) -> str:
    """The file of a split's tokens, a line for each row of its manifest, as task translation names it."""
    return f"{split}.{ECG}-{TEXT}.{side}"


def dictionary_file(side: str) -> str:
    """fairseq's file of what has which id."""
    return f"dict.{side}.txt"


FILES = {
    PRETRAIN: ("train.tsv", "valid.tsv"),
    CLASSIFICATION: (
        *("train.tsv", "valid.tsv", "test.tsv", "valid_unseen.tsv", "test_unseen.tsv"),
        *(LABELS_FILE, WEIGHTS_FILE),
    ),
    REGRESSION: ("train.tsv", "valid.tsv", "test.tsv", TARGETS_FILE),
    ECG_TEXT: ("train.tsv", "valid.tsv", "test.tsv", TEXTS_FILE, TOKENIZER_FILE, CLEANED_FILE),
    ECG_TOKENS: (
        *("train.tsv", "valid.tsv", "test.tsv", TEXTS_FILE, TOKENIZER_FILE),
        *(token_file(split, side) for split in ("train", "valid", "test") for side in (ECG, TEXT)),
        *(dictionary_file(side) for side in (ECG, TEXT)),
    ),
    ECG_QA: (
        *("train.tsv", "valid.tsv", "test.tsv", ANSWERS_FILE, TOKENIZER_FILE),
        *(f"{split}{QUESTIONS}" for split in ("train", "valid", "test")),
    ),
    IDENTIFICATION: (
        "train.tsv",
        "valid_gallery.tsv",
        "valid_probe.tsv",
        "test_gallery.tsv",
        "test_probe.tsv",
    ),
}


@dataclass(frozen=True)
class ManifestSet:
    """The manifests of one folder.

    Args:
        folder: where they are.
        kind: "pretrain", "classification", "regression", "identification", "ecg_text", "ecg_tokens" or
            "ecg_qa".
        manifests: by file name without `.tsv`.
        info: the content of `manifest.json`; empty where there is none.
        faults: files that cannot be read, and why.
    """

    folder: Path
    kind: str
    manifests: dict[str, Manifest]
    info: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def held_out(self) -> dict[str, Manifest]:
        """The manifests of what a model must not have been trained on: all but `train`."""
        return {name: manifest for name, manifest in self.manifests.items() if split_of(name) != "train"}


def split_of(name: str) -> str:
    """The split that a manifest belongs to: `valid_gallery` and `valid_probe` are parts of `valid`."""
    return name.split("_")[0]


def unseen_of(split: str) -> str:
    """The manifest of the records of a split that are of classes which training leaves out."""
    return f"{split}_unseen"


def read_set(folder: str | os.PathLike[str], kind: str | None = None) -> ManifestSet:
    """Read all manifests of a folder, without looking for the data they name.

    Args:
        folder: a folder written by a script of ours or of the authors'.
        kind: what it is; by default as `manifest.json` says, or else as the file names suggest.

    Raises:
        ManifestError: where the folder has no manifests, or not all were written. Single files at fault are
            listed in `faults`.
    """
    folder = Path(folder)
    files = sorted(set(folder.glob("*.tsv")) - {folder / TEXTS_FILE}) if folder.is_dir() else []
    files = [file for file in files if not file.name.endswith(QUESTIONS)]
    if not files:
        raise ManifestError(f"{folder}: no manifests (*.tsv) in it; name the --dest of a manifest script")
    require_complete(folder)
    manifests: dict[str, Manifest] = {}
    faults: list[str] = []
    for file in files:
        try:
            manifests[file.stem] = read_manifest(file, check_files=False)
        except ManifestError as error:
            faults.append(str(error))
    info = read_info(folder)
    kind = kind or info.get("kind") or _infer_kind(folder, manifests)
    if kind not in FILES:
        raise ManifestError(f"{folder / INFO_FILE}: kind must be one of {', '.join(FILES)}, but is {kind!r}")
    return ManifestSet(folder, kind, manifests, info, faults)


def write_set(
    dest: str | os.PathLike[str],
    kind: str,
    root: Path,
    splits: Mapping[str, Iterable[Row]],
    extra_files: Mapping[str, str | bytes | Iterable[str]],
    info: Mapping[str, Any],
) -> None:
    """Write the manifests of one folder: all under temporary names, then renamed.

    `manifest.json` says meanwhile that the set is not complete: a kill leaves one that readers refuse.

    Args:
        dest: the folder; made where it is not there.
        kind: as in `ManifestSet`. A folder of another kind is not overwritten.
        root: the folder that paths are relative to.
        splits: rows by file name without `.tsv`.
        extra_files: what other files hold, or their lines, by name.
        info: what goes to `manifest.json` beside the kind; what JSON does not have, such as a path, as text.
    """
    dest = Path(dest)
    files = {f"{name}.tsv": format_manifest(root, rows) for name, rows in splits.items()}
    lines: dict[str, Iterable[str | bytes]] = {
        **files,
        **{name: [held] if isinstance(held, (str, bytes)) else held for name, held in extra_files.items()},
    }
    lines[INFO_FILE] = [json.dumps({"kind": kind, **info}, indent=2, default=str) + "\n"]

    def retire() -> None:
        write_text(dest / INFO_FILE, [json.dumps({"kind": kind, **UNFINISHED}) + "\n"])
        for name in set(FILES[kind]).difference(lines):
            (dest / name).unlink(missing_ok=True)

    busy = ManifestError(f"{dest}: another process is writing manifests here. Wait for it, or end it.")
    with one_process(dest, busy):
        present = read_info(dest).get("kind", kind)
        if present != kind:
            raise ManifestError(f"{dest} holds {present} manifests; choose another --dest for {kind}")
        with whole_files([dest / name for name in lines], retire) as partials:
            for partial, pieces in zip(partials, lines.values()):
                with partial.open("wb") as file:
                    file.writelines(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces)


def _infer_kind(folder: Path, manifests: Mapping[str, Manifest]) -> str:
    if any(name.endswith(("_gallery", "_probe")) for name in manifests):
        return IDENTIFICATION
    if (folder / TARGETS_FILE).is_file():
        return REGRESSION
    layouts = Counter(manifest.layout for manifest in manifests.values())
    if MAT_CMSC not in layouts and ("test" in manifests or (folder / LABELS_FILE).is_file()):
        return CLASSIFICATION
    return PRETRAIN
