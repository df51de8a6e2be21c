"""ECGs as tokens: nothing is lost, and each token has its place."""

from itertools import pairwise

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.symbols import VoltageGrid
from fairseq_signals.errors import ManifestError, SignalError
from fairseq_signals.text.ecg_tokens import ECGTokenizer, Notation, Stretch
from fairseq_signals.text.tokenizer import MASK, UNK

NOTATION = Notation((0, 1, 6), 100.0, VoltageGrid(1.0, 0.1))
ALL = np.ones(12, dtype=bool)


def ecg(seed: int = 0, n_samples: int = 300) -> np.ndarray:
    """A wave that repeats itself, with noise, different in each lead."""
    time = np.arange(n_samples) / 100
    noise = np.random.default_rng(seed).normal(0, 0.05, (12, n_samples))
    return 0.8 * np.exp(-(((time % 0.8) - 0.4) ** 2) / 0.002) * np.linspace(0.2, 1.1, 12)[:, None] + noise


def written(signal: np.ndarray, present: np.ndarray = ALL) -> dict:
    return NOTATION.write(signal, present)[0]


@pytest.fixture(scope="module")
def tokenizer():
    return ECGTokenizer.train((lead for i in range(20) for lead in written(ecg(i)).values()), 120, NOTATION)


def test_leads_are_written_each_by_itself_and_what_a_record_lacks_is_left_out():
    signal = np.zeros((12, 3))
    signal[1] = [0.1, 0.2, 5]
    text, n_clipped = NOTATION.write(signal, ALL & (np.arange(12) != 0))
    zero, top = chr(0x100 + 10), chr(0x100 + 20)
    assert text == {"II": f"{chr(0x100 + 11)}{chr(0x100 + 12)}{top}", "V1": zero * 3}
    assert n_clipped == 1


def test_tokens_come_back_as_the_levels_of_the_grid(tokenizer):
    signal = ecg(99)
    ids = tokenizer.encode(written(signal))
    assert len(ids) < 3 * 300 / 2
    read = tokenizer.decode(ids)
    assert list(read) == ["I", "II", "V1"]
    for lead, samples in read.items():
        of_lead = signal[LEADS.index(lead)]
        np.testing.assert_allclose(samples, np.clip(np.round(of_lead, 1), -1, 1), rtol=0, atol=1e-9)


def test_random_strings_of_the_alphabet_come_back_though_training_had_none_like_them(tokenizer):
    text = "".join(np.random.default_rng(1).choice(list(NOTATION.grid.characters), 5000))
    ids = tokenizer.encode({"V1": text})
    assert min(ids) > UNK
    np.testing.assert_array_equal(tokenizer.decode(ids)["V1"], NOTATION.grid.read(text))


def test_ids_are_those_of_pieces_for_one_lead_after_the_other(tokenizer):
    ids = tokenizer.encode(written(ecg(3)))
    assert tokenizer.tokens[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert (
        len(set(tokenizer.tokens)) == len(tokenizer.tokens) == 4 + 3 * (len(tokenizer.tokenizer) - MASK - 1)
    )
    assert (
        "".join(tokenizer.tokens[i] for i in ids if tokenizer.tokens[i].startswith("II:")).replace("II:", "")
        == written(ecg(3))["II"]
    )


def test_tokens_of_a_lead_cover_its_samples_one_after_the_other(tokenizer):
    stretches = tokenizer.stretches(tokenizer.encode(written(ecg(7, 123))))
    for lead in ("I", "II", "V1"):
        of_lead = [s for s in stretches if s.lead == lead]
        assert of_lead[0].start == 0
        assert of_lead[-1].stop == 123
        assert all(after.start == before.stop for before, after in pairwise(of_lead))
    assert sum(s.stop - s.start for s in stretches) == 3 * 123
    assert isinstance(stretches[0], Stretch)


def test_a_lead_has_the_same_tokens_whichever_others_there_are(tokenizer):
    every = tokenizer.encode(written(ecg(3)))
    alone = tokenizer.encode(written(ecg(3), np.arange(12) == 6))
    assert every[-len(alone) :] == alone
    assert list(tokenizer.decode(alone)) == ["V1"]
    assert tokenizer.encode({}) == []


def test_a_folder_gives_the_tokenizer_back(tokenizer, tmp_path):
    for name, content in tokenizer.files().items():
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    again = ECGTokenizer.read(tmp_path)
    assert (again.notation, again.tokens) == (NOTATION, tokenizer.tokens)
    (tmp_path / "tokens.json").write_text('{"leads": ["I"], "limit_mv": 1, "step_mv": 0.1}')
    with pytest.raises(ManifestError, match=r"tokens\.json: fs"):
        ECGTokenizer.read(tmp_path)


def test_a_folder_without_tokens_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"tokens\.json: there is no such file"):
        ECGTokenizer.read(tmp_path)


def test_a_sample_that_is_no_number_is_told_with_its_lead():
    signal = ecg()
    signal[1, 4] = np.nan
    with pytest.raises(SignalError, match="lead II: sample 4 is nan"):
        NOTATION.write(signal, ALL)


@pytest.mark.parametrize("text", [VoltageGrid(2.0, 0.1).characters, "a", "<mask>"])
def test_characters_of_another_grid_have_no_tokens(tokenizer, text):
    with pytest.raises(SignalError, match="lead I has other characters than those"):
        tokenizer.encode({"I": text})


def test_what_is_no_ecg_is_not_decoded(tokenizer):
    ids = tokenizer.encode(written(ecg()))
    with pytest.raises(SignalError, match="lead I come twice"):
        tokenizer.decode([*ids, ids[0]])
    for special in (0, UNK, len(tokenizer.tokens)):
        with pytest.raises(SignalError, match=f"id {special} is none of"):
            tokenizer.decode([special])
