"""Beats as words: where they are found, what belongs to each, and segments without any."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_signals.modules.beats import BeatWords, find_beats
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.present_leads import PresentLeads
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.record import make_record

WORD, T = 480, 2500  # of .96 s at 500 Hz


def pulses(*places: int, n_leads: int = 12, n_samples: int = T) -> torch.Tensor:
    """(leads, samples): a narrow complex of 1 mV, less in later leads, and a wide wave after it."""
    time = np.arange(n_samples)[None]
    x = sum(np.exp(-(((time - r) / 8) ** 2)) + 0.2 * np.exp(-(((time - r - 150) / 40) ** 2)) for r in places)
    return torch.tensor(x / (1 + np.arange(n_leads))[:, None], dtype=torch.float32)


def found(x: torch.Tensor, word: int = WORD) -> list[int]:
    beats = find_beats(x[None], word, BeatWords(word, 16).n_frames(x.shape[1]))
    return beats.centre[beats.valid].tolist()


@pytest.mark.parametrize(
    "places", [(300, 700, 1130, 1500, 1900, 2300), (100, 1300), (1250,), tuple(range(90, 2500, 170))]
)
def test_beats_are_where_the_complexes_are(places):
    assert np.abs(np.subtract(found(pulses(*places)), places)).max() <= 2


def test_beats_at_half_the_rate_are_those_of_half_as_long_a_word():
    places = (300, 700, 1130, 1500, 1900, 2300)
    half = found(pulses(*places)[:, ::2], WORD // 2)
    assert np.abs(np.subtract(half, np.array(places) // 2)).max() <= 2


def test_beats_of_synthetic_records():
    missed = wrong = total = 0
    for patient in range(8):
        record = make_record(CorpusConfig(patients=60), patient, 0)
        centres = np.array(found(torch.tensor(record.adu / 1000.0)))
        true = record.beats.time_s * record.fs
        inner = true[(true > 60) & (true < record.adu.shape[1] - 60)]
        distance = np.abs(centres[:, None] - inner)
        missed += (distance.min(axis=0) > 25).sum()
        wrong += (np.abs(centres[:, None] - true).min(axis=1) > 25).sum()
        total += len(inner)
    assert total > 80
    assert missed + wrong <= 0.05 * total


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_size_and_baseline_do_not_matter(size):
    x, drift = pulses(400, 1100, 1900), torch.sin(torch.arange(T) / 400)
    assert found(size * (x + drift + 3)) == pytest.approx(found(x), abs=5)


@pytest.mark.parametrize("kind", ["flat", "constant", "noise"])
def test_without_complexes_words_follow_each_other(kind):
    x = {"flat": torch.zeros(12, T), "constant": torch.ones(12, T), "noise": torch.randn(12, T)}[kind]
    assert found(x) == [240, 720, 1200, 1680, 2160]
    assert found(x[:, :300]) == [240]  # the only one


def test_no_beat_is_lost_however_many_there_are():
    n_frames = BeatWords(WORD, 16).n_frames
    for apart in (121, 125, 150):
        places = range(0, T, apart)
        assert len(places) <= n_frames(T)
    assert n_frames(torch.tensor([121, 122])).tolist() == [1, 2]


def test_padding_has_no_beats_and_the_end_of_the_signal_is_none():
    x = pulses(300, 700, 1130) + 2.0
    x[:, 1500:] = 0.0
    assert np.abs(np.subtract(found(x), (300, 700, 1130))).max() <= 2


def test_a_word_is_what_is_around_its_beat_up_to_half_way_to_the_next():
    x = pulses(600, 900, 1800)[None]
    words, beats = BeatWords(WORD, 16).words(x)
    assert words.shape == (1, 12, 21, WORD)
    assert beats.valid.sum() == 3
    first, second, third = beats.centre[0, :3].tolist()
    half = (first + second + 1) // 2
    assert torch.equal(words[0, :, 0, : 240 + half - first], x[0, :, first - 240 : half])
    assert not words[0, :, 0, 240 + half - first :].any()
    assert torch.equal(words[0, :, 2], x[0, :, third - 240 : third + 240])
    assert not words[0, :, 3:].any()


def test_words_at_the_ends_are_filled_with_zeros():
    x = 1.0 + pulses(100, 1200, 2450)[None]
    words, _ = BeatWords(WORD, 16).words(x)
    assert not words[0, :, 0, :130].any()
    assert words[0, :, 0, 150:].all()
    assert not words[0, :, 2, 300:].any()


@pytest.fixture
def encoder(tiny) -> ECGEncoder:
    torch.manual_seed(0)
    options = {**tiny, "frontend": "beat", "lead_encoding": "tokens", "position": "sincos"}
    return ECGEncoder(EncoderConfig(**options, patch_samples=WORD)).eval()


@torch.no_grad()
def test_an_encoder_takes_beats_of_present_leads_and_nothing_else(encoder):
    source = torch.stack([pulses(300, 700, 1130, 1500), pulses(400, 1700)])
    present = torch.ones(2, 12, dtype=torch.bool)
    present[1, 2:] = False
    source = source * present[..., None]
    out = encoder(source, lead_present=present)
    assert out.x.shape == (2, 12 * 21, 16)
    valid = (~out.padding_mask).view(2, 12, 21)
    assert valid.sum(dim=2).tolist() == [[4] * 12, [2] * 2 + [0] * 10]
    alone = encoder(source[1:, :2].repeat(1, 6, 1), lead_present=present[1:])
    mean = out.x[1].view(12, 21, 16)[:2, :2]
    assert torch.allclose(alone.x.view(2, 21, 16)[:, :2], mean, atol=1e-5)


@torch.no_grad()
def test_the_time_of_a_beat_reaches_its_token_and_what_lies_between_beats_does_not(encoder):
    x = pulses(300, 1000, 1700, n_leads=12)[None]
    leads = PresentLeads.of(torch.ones(1, 12, dtype=torch.bool))
    tokens = encoder.feature_extractor(x[0][:, None], leads)
    moved = encoder.feature_extractor(pulses(350, 1050, 1750)[:, None], leads)
    assert not torch.allclose(tokens[:, :, 0], moved[:, :, 0], atol=1e-2)
    x[0, :, 2300:2400] += 0.01  # beyond the last word
    assert torch.equal(encoder.feature_extractor(x[0][:, None], leads), tokens)
