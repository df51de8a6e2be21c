"""Rates and intervals, of synthetic records whose beats and waves are known."""

import numpy as np
import pytest
import torch

from fairseq_signals.modules.intervals import intervals
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.record import make_record


@pytest.fixture(scope="module")
def records() -> list:
    return [make_record(CorpusConfig(patients=60), patient, 0) for patient in range(30)]


@pytest.fixture(scope="module")
def measured(records):
    return intervals(torch.tensor(np.stack([record.adu for record in records])), records[0].fs)


def test_the_rate_is_that_of_the_true_beats(records, measured):
    inner = [r.beats.time_s[(r.beats.time_s > 0.15) & (r.beats.time_s < 9.85)] for r in records]
    true = np.array([60 / np.diff(times).mean() for times in inner])
    error = np.abs(measured.rate_bpm.numpy() - true)
    assert (error < 2).mean() >= 0.9


def test_fibrillation_is_irregular(records, measured):
    fibrillation = np.array(["AF" in record.classes for record in records])
    ectopic = np.array([bool({"PVC", "PAC", "AFL"} & set(record.classes)) for record in records])
    assert fibrillation.sum() >= 2
    regular = measured.irregularity[~fibrillation & ~ectopic]
    assert measured.irregularity[fibrillation].median() > 2 * regular.median()


def test_wide_complexes_are_longer(records, measured):
    true = np.array([r.morphology.qrs.offset_s - r.morphology.qrs.onset_s for r in records])
    order = np.argsort(np.argsort(true)), np.argsort(np.argsort(measured.qrs_s.numpy()))
    assert np.corrcoef(*order)[0, 1] > 0.6


@pytest.mark.parametrize("fs", [100, 250])
def test_intervals_are_those_of_a_train_of_pulses_at_any_rate(fs):
    time = torch.arange(10 * fs) / fs
    pulses = sum(torch.exp(-(((time - at) / 0.02) ** 2)) for at in (0.5, 1.3, 2.5, 3.3, 4.5, 5.3, 6.5))
    found = intervals(torch.stack([pulses] * 2)[None], fs)
    assert found.rate_bpm.item() == pytest.approx(60, abs=0.5)
    assert found.irregularity.item() == pytest.approx(0.4, abs=0.02)
    assert 0.03 < found.qrs_s.item() < 0.08


def test_of_what_has_no_complexes_nothing_is_told():
    flat, noise = torch.zeros(1, 12, 2500), torch.randn(1, 12, 2500)
    assert torch.stack(intervals(torch.cat([flat, noise]), 500)).isnan().all()
    assert intervals(torch.zeros(0, 12, 2500), 500).rate_bpm.shape == (0,)
