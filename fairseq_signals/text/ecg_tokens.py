"""ECGs as tokens: a character a sample, and pieces of them by byte-pair encoding (ECG-Byte), each of a lead.

Pieces are the same for all leads, tokens are not: `V1:` and a piece. So each token stands for a known stretch
of a known lead, none reaches from one lead or record into another, and a record with few leads has the same
tokens as one with all. Nothing is lost between characters and tokens.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.symbols import VoltageGrid
from fairseq_signals.errors import ManifestError, SignalError
from fairseq_signals.files import open_file
from fairseq_signals.safety.rules import check, list_of, number, one_of, read_json, required
from fairseq_signals.text.tokenizer import MASK, UNK, Tokenizer, train_tokenizer

MODEL_FILE, NOTATION_FILE = "ecg.model", "tokens.json"
#: Samples of the longest piece: at 100 Hz about a heartbeat.
LONGEST_PIECE = 64
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
    def names(self) -> list[str]:
        """The leads by name."""
        return [LEADS[lead] for lead in self.leads]

    def write(self, signal_mv: np.ndarray, present: np.ndarray) -> tuple[dict[str, str], int]:
        """The characters of each lead that there is, by name, and how many samples were clipped.

        Args:
            signal_mv: (12, T).
            present: (12,) bool, True where the record has the lead.

        Raises:
            SignalError: a sample is not finite.
        """
        written, n_clipped = {}, 0
        for lead, name in zip(self.leads, self.names):
            if present[lead]:
                try:
                    written[name], n = self.grid.write(signal_mv[lead])
                except SignalError as error:
                    raise SignalError(f"lead {name}: {error}") from None
                n_clipped += n
        return written, n_clipped


class Stretch(NamedTuple):
    """What a token stands for: the samples of a lead from `start` to before `stop`."""

    lead: str
    start: int
    stop: int


class ECGTokenizer:
    """ECGs to token ids and back; nothing but the grid is lost.

    Args:
        tokenizer: of the characters of one lead, as `train` gives it.
        notation: that it was trained on.

    Attributes:
        tokens: what each id stands for: fairseq's four special ones, then all pieces of each lead.
    """

    def __init__(self, tokenizer: Tokenizer, notation: Notation):
        self.tokenizer = tokenizer
        self.notation = notation
        self._pieces = tokenizer.pieces[MASK + 1 :]
        of_leads = [f"{name}:{piece}" for name in notation.names for piece in self._pieces]
        self.tokens = [*tokenizer.pieces[: UNK + 1], *of_leads]

    @classmethod
    def train(cls, written: Iterable[str], vocab_size: int, notation: Notation) -> ECGTokenizer:
        """Learn the pieces of leads that `notation` wrote; those of training alone."""
        texts = chain(written, notation.grid.characters)  # a text each, so that none is unknown
        model = train_tokenizer(texts, vocab_size, True, LONGEST_PIECE)
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
        notation, grid = self.notation, self.notation.grid
        told = {
            "leads": notation.names,
            "fs": notation.fs,
            "limit_mv": grid.limit_mv,
            "step_mv": grid.step_mv,
        }
        return {MODEL_FILE: self.tokenizer.model, NOTATION_FILE: json.dumps(told, indent=2) + "\n"}

    def encode(self, written: Mapping[str, str]) -> list[int]:
        """The ids of an ECG as `notation` writes it.

        Raises:
            SignalError: it has a character of another notation.
        """
        ids: list[int] = []
        for k, name in enumerate(self.notation.names):
            pieces = [i - MASK - 1 for i in self.tokenizer.encode(written.get(name, ""))]
            if min(pieces, default=0) < 0 or "".join(self._pieces[i] for i in pieces) != written.get(
                name, ""
            ):
                raise SignalError(
                    f"lead {name} has other characters than those of {MODEL_FILE}; make the tokens again"
                )
            ids += [UNK + 1 + k * len(self._pieces) + i for i in pieces]
        return ids

    def decode(self, ids: Sequence[int]) -> dict[str, np.ndarray]:
        """Millivolts of each lead, by name, (T,) float64: those levels of the grid that were encoded.

        Raises:
            SignalError: they are not the ids of an ECG.
        """
        written: dict[str, list[str]] = {}
        for lead, piece in map(self._split, ids):
            if lead in written and lead != next(reversed(written)):
                raise SignalError(f"samples of lead {lead} come twice: not the ids of an ECG")
            written.setdefault(lead, []).append(piece)
        return {lead: self.notation.grid.read("".join(pieces)) for lead, pieces in written.items()}

    def stretches(self, ids: Iterable[int]) -> list[Stretch]:
        """What each token stands for; those of a lead cover it without gap or overlap."""
        stop: Counter[str] = Counter()
        found = []
        for lead, piece in map(self._split, ids):
            found.append(Stretch(lead, stop[lead], stop[lead] + len(piece)))
            stop[lead] += len(piece)
        return found

    def _split(self, token: int) -> tuple[str, str]:
        """The lead and the characters of an id."""
        if not UNK < token < len(self.tokens):
            raise SignalError(f"id {token} is none of the {len(self.tokens):,} of samples")
        lead, _, piece = self.tokens[token].partition(":")
        return lead, piece
