"""ECGs as tokens: nothing is lost, and each token has its place."""

from itertools import pairwise

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.symbols import VoltageGrid
from fairseq_signals.errors import ManifestError, SignalError
from fairseq_signals.text.ecg_tokens import ECGTokenizer, Notation, Stretch
from fairseq_signals.text.tokenizer import UNK

NOTATION = Notation((0, 1, 6), 100.0, VoltageGrid(1.0, 0.1))
ALL = np.ones(12, dtype=bool)


def ecg(seed: int = 0, n_samples: int = 300) -> np.ndarray:
    """A wave that repeats itself, with noise, different in each lead."""
    time = np.arange(n_samples) / 100
    noise = np.random.default_rng(seed).normal(0, 0.05, (12, n_samples))
    return 0.8 * np.exp(-(((time % 0.8) - 0.4) ** 2) / 0.002) * np.linspace(0.2, 1.1, 12)[:, None] + noise


@pytest.fixture(scope="module")
def tokenizer():
    return ECGTokenizer.train([NOTATION.write(ecg(i), ALL)[0] for i in range(20)], 120, NOTATION)


def test_an_ecg_is_written_lead_by_lead_and_what_a_record_lacks_is_left_out():
    signal = np.zeros((12, 3))
    signal[1] = [0.1, 0.2, 5]
    text, n_clipped = NOTATION.write(signal, ALL & (np.arange(12) != 0))
    zero, top = chr(0x100 + 10), chr(0x100 + 20)
    assert text == f"<II>{chr(0x100 + 11)}{chr(0x100 + 12)}{top}<V1>{zero * 3}"
    assert n_clipped == 1
    read = NOTATION.read(text)
    assert list(read) == ["II", "V1"]
    np.testing.assert_allclose(read["II"], [0.1, 0.2, 1.0])


def test_tokens_come_back_as_the_levels_of_the_grid(tokenizer):
    signal = ecg(99)
    ids = tokenizer.encode(NOTATION.write(signal, ALL)[0])
    assert len(ids) < 3 * 300 / 2
    for lead, read in tokenizer.decode(ids).items():
        of_lead = signal[LEADS.index(lead)]
        np.testing.assert_allclose(read, np.clip(np.round(of_lead, 1), -1, 1), rtol=0, atol=1e-9)


def test_random_strings_of_the_alphabet_come_back_though_training_had_none_like_them(tokenizer):
    text = "".join(np.random.default_rng(1).choice(list(NOTATION.grid.characters), 5000))
    ids = tokenizer.encode(f"<V1>{text}")
    assert UNK not in ids
    assert "".join(tokenizer.pieces[i] for i in ids) == f"<V1>{text}"


def test_tokens_of_a_lead_cover_its_samples_one_after_the_other(tokenizer):
    ids = tokenizer.encode(NOTATION.write(ecg(7, 123), ALL)[0])
    stretches = tokenizer.stretches(ids)
    for lead in ("I", "II", "V1"):
        of_lead = [s for s in stretches if s.lead == lead]
        assert of_lead[0] == Stretch(lead, 0, 0)  # its marker
        assert of_lead[-1].stop == 123
        assert all(after.start == before.stop for before, after in pairwise(of_lead))
    assert sum(s.stop - s.start for s in stretches) == 3 * 123


def test_a_lead_has_the_same_tokens_whichever_others_there_are(tokenizer):
    every = tokenizer.encode(NOTATION.write(ecg(3), ALL)[0])
    alone = tokenizer.encode(NOTATION.write(ecg(3), np.arange(12) == 6)[0])
    assert every[-len(alone) :] == alone


def test_a_folder_gives_the_tokenizer_back(tokenizer, tmp_path):
    for name, content in tokenizer.files().items():
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    again = ECGTokenizer.read(tmp_path)
    assert (again.notation, again.pieces) == (NOTATION, tokenizer.pieces)
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


def test_an_ecg_on_another_grid_has_no_tokens(tokenizer):
    text, _ = Notation((0,), 100.0, VoltageGrid(2.0, 0.1)).write(np.full((12, 3), 1.9), ALL)
    with pytest.raises(SignalError, match="other characters than those"):
        tokenizer.encode(text)


@pytest.mark.parametrize("text", ["Ā", "<V2>Ā", "<I>Ā<I>Ā", "<I>a", "<unk>"])
def test_what_is_no_ecg_is_not_read(text):
    with pytest.raises(SignalError):
        NOTATION.read(text)
