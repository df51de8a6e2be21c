"""Words of a text that a model has to tell from the rest of it, and from the ECG (BERT, arXiv:1810.04805)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairseq_signals.text.tokenizer import MASK, PAD, UNK

_BEGINS = "\u2581"  # SentencePiece's mark of a piece that begins a word
_AS_MASK, _OR_RANDOM = 0.8, 0.9  # of each ten masked pieces eight are the mask, one any piece, one as it was


def begins_word(pieces: Sequence[str]) -> np.ndarray:
    """(V,) bool, which of the pieces begin a word; special ones do, each is one of its own."""
    return np.array([i <= MASK or piece.startswith(_BEGINS) for i, piece in enumerate(pieces)])


def mask_words(
    rows: np.ndarray, begins: np.ndarray, share: float, rngs: Sequence[np.random.Generator]
) -> tuple[np.ndarray, np.ndarray]:
    """Mask whole words of texts.

    Args:
        rows: (B, M) int64 pieces with begin, end and padding.
        begins: (V,) bool, see `begins_word`.
        share: of the words of each text, rounded; one at least, where a text has any. 0: nothing is masked.
        rngs: one a text.

    Returns:
        (B, M) texts as a model gets them, and (B, M) what it has to tell: the piece that was there, `PAD`
        where nothing is asked.
    """
    shown, asked = rows.copy(), np.full_like(rows, PAD)
    if not share:
        return shown, asked
    for text, told, rng in zip(shown, asked, rngs):
        word = np.cumsum(begins[text])
        real = (text > MASK) | (text == UNK)
        words = np.unique(word[real])
        if not len(words):
            continue
        chosen = rng.choice(words, max(round(share * len(words)), 1), replace=False)
        masked = real & np.isin(word, chosen)
        told[masked] = text[masked]
        draw, other = rng.random(len(text)), rng.integers(MASK + 1, len(begins), len(text))
        text[masked & (draw < _AS_MASK)] = MASK
        by_chance = masked & (draw >= _AS_MASK) & (draw < _OR_RANDOM)
        text[by_chance] = other[by_chance]
    return shown, asked
