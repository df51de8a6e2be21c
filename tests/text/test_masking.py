"""Masked words: whole ones, as many as asked, told as they were; begin, end and padding stay."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_signals.text.masking import begins_word, mask_words
from fairseq_signals.text.tokenizer import BOS, EOS, MASK, PAD, UNK

#: Pieces 5 to 8 begin words, 9 to 12 go on with one.
BEGINS = np.array([True] * 9 + [False] * 4)


def rngs(n, seed=0):
    return [np.random.default_rng([seed, i]) for i in range(n)]


def test_pieces_begin_words_by_their_mark_and_special_ones_always():
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "\u2581si", "nus", "\u2581"]
    assert begins_word(pieces).tolist() == [True] * 6 + [False, True]


def test_all_pieces_of_a_word_are_told_together_and_no_others():
    rows = np.tile([BOS, 5, 9, 10, 6, 7, 11, EOS, PAD], (200, 1))  # three words
    shown, asked = mask_words(rows, BEGINS, 1 / 3, rngs(200))
    words = [(1, 2, 3), (4,), (5, 6)]
    found = [tuple(np.flatnonzero(row != PAD)) for row in asked]
    assert set(found) == set(words)
    assert (asked[asked != PAD] == rows[asked != PAD]).all()
    assert (shown[asked == PAD] == rows[asked == PAD]).all()


def test_of_ten_masked_pieces_eight_are_the_mask_one_is_any_and_one_is_as_it_was():
    rows = np.full((2000, 12), 5)
    shown, asked = mask_words(rows, BEGINS, 0.5, rngs(2000))
    told = shown[asked != PAD]
    assert len(told) == 12000
    kept = 0.1 + 0.1 / 8  # any of eight pieces may be the one that was
    assert np.mean(told == MASK) == pytest.approx(0.8, abs=0.015)
    assert np.mean(told == 5) == pytest.approx(kept, abs=0.015)
    assert set(told) == {MASK, *range(5, 13)}


def test_one_word_at_least_is_masked_and_what_is_not_known_is_a_word():
    shown, asked = mask_words(np.array([[BOS, UNK, EOS]]), BEGINS, 0.01, rngs(1))
    assert asked.tolist() == [[PAD, UNK, PAD]]
    assert shown[0, [0, 2]].tolist() == [BOS, EOS]


@pytest.mark.parametrize(("row", "share"), [([BOS, EOS, PAD], 0.5), ([BOS, 5, EOS], 0.0)])
def test_nothing_is_asked_of_texts_without_words_or_with_a_share_of_0(row, share):
    shown, asked = mask_words(np.array([row]), BEGINS, share, rngs(1))
    assert shown.tolist() == [row]
    assert (asked == PAD).all()


def test_a_text_is_masked_alike_whatever_is_beside_it():
    rows = np.array([[BOS, 5, 6, 7, 8, EOS], [BOS, 6, 5, 8, 7, EOS]])
    both = mask_words(rows, BEGINS, 0.5, rngs(2))
    alone = mask_words(rows[1:], BEGINS, 0.5, rngs(2)[1:])
    for of_both, of_one in zip(both, alone):
        assert (of_both[1:] == of_one).all()
