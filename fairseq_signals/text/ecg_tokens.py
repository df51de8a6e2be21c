"""ECGs as tokens: a character a sample, a marker a lead, and pieces of them by byte-pair encoding (ECG-Byte).

Nothing is lost between characters and tokens, and no piece reaches from one lead or record into another, so
that each token stands for a known stretch of a known lead, and records with few leads have the same tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.symbols import VoltageGrid
from fairseq_signals.errors import ManifestError, SignalError
from fairseq_signals.files import open_file
from fairseq_signals.safety.rules import check, list_of, number, one_of, read_json, required
from fairseq_signals.text.tokenizer import Tokenizer, train_tokenizer

MODEL_FILE, NOTATION_FILE = "ecg.model", "tokens.json"
#: Samples of the longest piece: at 100 Hz about a heartbeat.
LONGEST_PIECE = 64
_MARKER = re.compile(r"<(\w+)>")
_RULES = {
    "leads": required(list_of(one_of(*LEADS), len(LEADS))),
    "fs": required(number(1, 1e5)),
    "limit_mv": required(number(0, 1e3)),
    "step_mv": required(number(0, 1e3)),
}


@dataclass(frozen=True)
class Notation:
    """How an ECG is written.

    Args:
        leads: which ones, by index and in their order; those that a record lacks are left out.
        fs: samples a second.
        grid: of the characters.
    """

    leads: tuple[int, ...]
    fs: float
    grid: VoltageGrid

    @property
    def markers(self) -> list[str]:
        """What stands before the samples of each lead."""
        return [f"<{LEADS[lead]}>" for lead in self.leads]

    def write(self, signal_mv: np.ndarray, present: np.ndarray) -> tuple[str, int]:
        """An ECG as text, and how many of its samples were clipped.

        Args:
            signal_mv: (12, T).
            present: (12,) bool, True where the record has the lead.

        Raises:
            SignalError: a sample is not finite.
        """
        text, n_clipped = "", 0
        for lead, marker in zip(self.leads, self.markers):
            if present[lead]:
                try:
                    samples, n = self.grid.write(signal_mv[lead])
                except SignalError as error:
                    raise SignalError(f"lead {LEADS[lead]}: {error}") from None
                text, n_clipped = text + marker + samples, n_clipped + n
        return text, n_clipped

    def read(self, text: str) -> dict[str, np.ndarray]:
        """Millivolts of each lead that is written, by name, (T,) float64.

        Raises:
            SignalError: it is not an ECG as it is written here.
        """
        start, *rest = _MARKER.split(text)
        names = rest[::2]
        if start or not set(names) <= {LEADS[lead] for lead in self.leads} or len(set(names)) < len(names):
            raise SignalError(
                f"these are not samples of different leads among {' '.join(self.markers)}, each after "
                f"its marker: {start[:9]}{' '.join(f'<{name}>' for name in names)}"
            )
        return {name: self.grid.read(samples) for name, samples in zip(names, rest[1::2])}


class Stretch(NamedTuple):
    """What a token stands for: samples from `start` to before `stop` of a lead; of its marker, none."""

    lead: str
    start: int
    stop: int


class ECGTokenizer:
    """ECGs to token ids and back; nothing but the grid is lost.

    Args:
        tokenizer: as `train` gives it.
        notation: that it was trained on.
    """

    def __init__(self, tokenizer: Tokenizer, notation: Notation):
        self.tokenizer = tokenizer
        self.notation = notation
        self.pieces = tokenizer.pieces

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, notation: Notation) -> ECGTokenizer:
        """Learn the pieces of ECGs that `notation` wrote; those of training alone."""
        model = train_tokenizer(
            texts,
            vocab_size,
            as_it_is=True,
            longest_piece=LONGEST_PIECE,
            characters=notation.grid.characters,
            symbols=notation.markers,
        )
        return cls(Tokenizer(model, MODEL_FILE), notation)

    @classmethod
    def read(cls, folder: str | Path) -> ECGTokenizer:
        """That of a folder of tokens.

        Raises:
            ManifestError: with the file, where one is absent, or not what was written.
        """
        path = Path(folder) / NOTATION_FILE
        try:
            told = read_json(path, ManifestError)
            with open_file(path.with_name(MODEL_FILE)) as file:
                model = file.read()
        except FileNotFoundError as error:
            raise ManifestError(
                f"{error.filename}: there is no such file; name a folder of `manifest ecg_tokens`"
            ) from None
        check(told, _RULES, f"{path}: ", ManifestError)
        leads = tuple(map(LEADS.index, told["leads"]))
        notation = Notation(leads, float(told["fs"]), VoltageGrid(told["limit_mv"], told["step_mv"]))
        return cls(Tokenizer(model, str(path.with_name(MODEL_FILE))), notation)

    def files(self) -> Mapping[str, str | bytes]:
        """What `read` needs, by file name."""
        grid, leads = self.notation.grid, [LEADS[lead] for lead in self.notation.leads]
        told = {"leads": leads, "fs": self.notation.fs, "limit_mv": grid.limit_mv, "step_mv": grid.step_mv}
        return {MODEL_FILE: self.tokenizer.model, NOTATION_FILE: json.dumps(told, indent=2) + "\n"}

    def encode(self, text: str) -> list[int]:
        """The ids of an ECG as `notation` writes it.

        Raises:
            SignalError: it has a character of another notation.
        """
        ids = self.tokenizer.encode(text)
        if "".join(self.pieces[i] for i in ids) != text:
            raise SignalError(f"an ECG of other characters than those of {MODEL_FILE}; make the tokens again")
        return ids

    def decode(self, ids: Sequence[int]) -> dict[str, np.ndarray]:
        """Millivolts of each lead, by name, (T,) float64: those levels of the grid that were encoded.

        Raises:
            SignalError: they are not the ids of an ECG.
        """
        return self.notation.read("".join(self.pieces[i] for i in ids))

    def stretches(self, ids: Sequence[int]) -> list[Stretch]:
        """What each token stands for; those of a lead cover it without gap or overlap."""
        found: list[Stretch] = []
        lead, stop = "", 0
        for piece in (self.pieces[i] for i in ids):
            marker = _MARKER.fullmatch(piece)
            start = 0 if marker else stop
            lead, stop = (marker[1], 0) if marker else (lead, start + len(piece))
            found.append(Stretch(lead, start, stop))
        return found
