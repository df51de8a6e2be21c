"""Texts to token ids and back: byte-pair encoding by SentencePiece, learnt from a corpus's training texts.

BPE and not the unigram model: with the same texts, releases of SentencePiece learn the same BPE pieces, but
other unigram ones. The bytes of a learnt model differ between releases; each of them reads the bytes of the
others. Bytes are what manifests and checkpoints keep.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import sentencepiece

from fairseq_signals.errors import ConfigError, ManifestError

#: Ids in fairseq's order, and one that no text is encoded to, for masked language models.
BOS, PAD, EOS, UNK, MASK = range(5)
VERSION = sentencepiece.__version__
_IN_FAIRSEQ_ORDER: dict[str, Any] = {
    "bos_id": BOS,
    "pad_id": PAD,
    "eos_id": EOS,
    "unk_id": UNK,
    "control_symbols": ["<mask>"],
}
#: NFKC, case folding, blanks: part of the model, so that a prompt is read as the reports were.
_RULE = "nmt_nfkc_cf"
_LANGUAGE: dict[str, Any] = {"normalization_rule_name": _RULE}
_AS_IT_IS: dict[str, Any] = {
    "normalization_rule_name": "identity",
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "split_by_whitespace": False,
    "split_by_number": False,
    "split_by_unicode_script": False,
}
_LONGEST_TEXT = 1 << 24  # bytes; longer ones SentencePiece leaves out of training, without an error


class Tokenizer:
    """Text to ids and back.

    Args:
        model: the bytes that `train_tokenizer` gave.
        where: they come from, for messages.

    Raises:
        ManifestError: they are not those of a tokenizer with our ids.
    """

    def __init__(self, model: bytes, where: str = "text.model"):
        self.model = model
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError:
            raise ManifestError(f"{where}: not a SentencePiece model; make the manifests again") from None
        p = self._processor
        ids = (p.bos_id(), p.pad_id(), p.eos_id(), p.unk_id(), p.piece_to_id("<mask>"))
        if ids != (BOS, PAD, EOS, UNK, MASK):
            raise ManifestError(
                f"{where}: begin, padding, end, unknown and mask have the ids {ids}, but must have 0 to 4; "
                "make the manifests again"
            )

    def __len__(self) -> int:
        return len(self._processor)

    @property
    def pieces(self) -> list[str]:
        """What each id stands for; blanks are shown as U+2581."""
        return [self._processor.id_to_piece(i) for i in range(len(self))]

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without begin and end."""
        return list(self._processor.encode(text))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, normalised; begin, padding, end and mask are not shown."""
        return str(self._processor.decode([int(i) for i in ids]))

    def rows(self, texts: Sequence[str], longest: int) -> np.ndarray:
        """Texts as a model takes them, (N, M) int64: begin, pieces, end, padding.

        Args:
            longest: ids of a row; the pieces of a longer text are cut off before its end.
        """
        encoded = [[BOS, *self.encode(text)[: longest - 2], EOS] for text in texts]
        rows = np.full((len(encoded), max(map(len, encoded), default=0)), PAD, np.int64)
        for row, ids in zip(rows, encoded):
            row[: len(ids)] = ids
        return rows


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, as_it_is: bool = False, longest_piece: int = 16
) -> bytes:
    """Learn the pieces of texts, each counted once; their order does not matter.

    Args:
        texts: those of training alone.
        vocab_size: at most so many pieces, with the five special ones; fewer where the texts have no more.
        as_it_is: for strings that are no language: nothing is normalised, and a piece may hold anything.
        longest_piece: characters of a piece.

    Returns:
        The bytes of a SentencePiece model.

    Raises:
        ConfigError: there is no text, or the pieces are fewer than the characters.
    """
    distinct = sorted({text for text in texts if text.strip()})
    if not distinct:
        raise ConfigError("there is no text to learn a tokenizer from")
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(distinct),
            model_writer=written,
            model_type="bpe",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            max_sentence_length=_LONGEST_TEXT,
            max_sentencepiece_length=longest_piece,
            num_threads=1,
            minloglevel=2,
            **_IN_FAIRSEQ_ORDER,
            **(_AS_IT_IS if as_it_is else _LANGUAGE),
        )
    except RuntimeError as error:
        n = len(set("".join(distinct)))
        raise ConfigError(
            f"no tokenizer of {vocab_size} pieces can be learnt from {len(distinct):,} texts of {n} "
            "different characters: raise the number of pieces (--vocab-size)"
        ) from error
    return written.getvalue()


def normalise(text: str) -> str:
    """The text as tokenizers of language see it: NFKC, lower case, single blanks."""
    return str(_normalizer().Normalize(text)).strip()  # it begins with a blank


@lru_cache(maxsize=1)
def _normalizer() -> Any:
    return sentencepiece.SentencePieceNormalizer(
        rule_name=_RULE, remove_extra_whitespaces=True, escape_whitespaces=False
    )
