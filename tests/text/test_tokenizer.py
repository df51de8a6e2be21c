"""The tokenizer: ids in fairseq's order, pieces that depend on the texts alone, strings that come back."""

import copy
import pickle

import numpy as np
import pytest

from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.text.tokenizer import BOS, EOS, MASK, PAD, UNK, Tokenizer, normalise, train_tokenizer

TEXTS = ("sinus rhythm; normal ECG", "atrial fibrillation", "sinus bradycardia; left axis deviation")


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(train_tokenizer(TEXTS, 1000))


def test_the_special_ids_are_those_of_fairseq_dictionaries_and_a_mask(tokenizer):
    assert (BOS, PAD, EOS, UNK, MASK) == (0, 1, 2, 3, 4)
    assert tokenizer.pieces[:5] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert len(tokenizer) == len(tokenizer.pieces) == len(set(tokenizer.pieces))


@pytest.mark.parametrize("special", ["<s>", "<pad>", "</s>", "<mask>"])
def test_no_text_is_encoded_to_a_special_id_by_naming_it(tokenizer, special):
    assert not {BOS, PAD, EOS, MASK} & set(tokenizer.encode(f"sinus {special} rhythm"))


def test_training_texts_come_back_as_they_are_normalised(tokenizer):
    for text in TEXTS:
        assert UNK not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == normalise(text) == text.lower()


def test_case_blanks_and_umlauts_that_were_broken_to_upper_case_make_no_difference(tokenizer):
    assert normalise("  vÄnster\tEKG \n el-axel ") == "vänster ekg el-axel"
    assert tokenizer.encode("SINUS  RHYTHM") == tokenizer.encode("sinus rhythm")


def test_pieces_depend_on_the_distinct_texts_and_on_nothing_else(tokenizer):
    again = Tokenizer(train_tokenizer((*reversed(TEXTS), *TEXTS, " "), 1000))
    assert again.pieces == tokenizer.pieces
    assert Tokenizer(train_tokenizer(TEXTS[:2], 1000)).pieces != tokenizer.pieces


def test_pieces_are_those_of_every_version_of_the_library():
    texts = ["sinus rhythm; normal ecg", "sinus rhythm; abnormal ecg", "sinus tachycardia"]
    learnt = Tokenizer(train_tokenizer(texts, 48))
    first = ["hy", "in", "us", "▁s", "inus", "▁sinus", "al", "cg", "hm", "no", "rm", "▁e", "▁r", "hyt"]
    assert learnt.pieces[5 : 5 + len(first)] == first


def test_merges_are_those_of_the_hand_example():
    """Of aaabdaaabac: aa, ab, and aa + ab (P. Gage, A new algorithm for data compression, 1994)."""
    learnt = Tokenizer(train_tokenizer(["aaabdaaabac"], 5 + 4 + 3, as_it_is=True))
    assert learnt.pieces[5:8] == ["aa", "ab", "aaab"]
    assert [learnt.pieces[i] for i in learnt.encode("aaabdaaabac")] == ["aaab", "d", "aaab", "a", "c"]


def test_strings_that_are_no_language_come_back_in_every_character():
    rng = np.random.default_rng(0)
    strings = ["".join(rng.choice(list(" aAbÄ1"), 5000)) for _ in range(3)]
    learnt = Tokenizer(train_tokenizer(strings, 64, as_it_is=True, longest_piece=32))
    assert all(learnt.decode(learnt.encode(string)) == string for string in strings)


def test_merges_are_applied_in_the_order_in_which_they_were_learnt():
    """Of abc, with bc learnt before ab, that is a and bc; the longest piece at the left were ab."""
    learnt = Tokenizer(train_tokenizer(["bcbcbcabxab"], 5 + 4 + 2, as_it_is=True))
    assert learnt.pieces[5:7] == ["bc", "ab"]
    assert [learnt.pieces[i] for i in learnt.encode("abc")] == ["a", "bc"]


def test_long_texts_are_learnt_from_too():
    learnt = Tokenizer(train_tokenizer(["sinus", "q" * 10_000], 100))  # beyond the default of SentencePiece
    assert UNK not in learnt.encode("qq")


def test_rows_begin_and_end_and_are_padded_and_cut(tokenizer):
    rows = tokenizer.rows(TEXTS, 6)
    assert rows.shape == (3, 6)
    assert rows.dtype == np.int64
    assert set(rows[:, 0]) == {BOS}
    for row, text in zip(rows, TEXTS):
        ids = tokenizer.encode(text)[:4]
        assert row.tolist() == [BOS, *ids, EOS] + [PAD] * (4 - len(ids))
    assert tokenizer.rows(["", "atrial"], 10)[0].tolist()[:3] == [BOS, EOS, PAD]
    assert tokenizer.rows([], 10).shape == (0, 0)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_in_a_worker_encodes_alike(tokenizer, again):
    assert again(tokenizer).encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


@pytest.mark.parametrize("texts", [[], ["", " "]])
def test_no_text_teaches_nothing(texts):
    with pytest.raises(ConfigError, match="no text"):
        train_tokenizer(texts, 100)


def test_fewer_pieces_than_characters_are_refused_with_both_numbers():
    with pytest.raises(ConfigError, match=r"12 pieces .* 3 texts of 24 different characters"):
        train_tokenizer(TEXTS, 12)


def test_what_is_no_model_of_ours_is_refused():
    with pytest.raises(ManifestError, match=r"x/text\.model: not a SentencePiece model"):
        Tokenizer(b"junk", "x/text.model")
