"""Segments and bounds that the tests of transforms share."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import complete_leads, derive_limb_leads


@pytest.fixture(scope="session")
def segment():
    """`segment(seed, n_samples)`: twelve leads (12, T) float32 in mV without a zero; limb relations hold."""

    def make(seed: int = 0, n_samples: int = 2500) -> np.ndarray:
        independent = np.random.default_rng(seed).normal(0, 0.3, (8, n_samples))
        return complete_leads(independent).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def limb_error():
    """`limb_error(signal)`: how far (12, ...) is from Einthoven's and Goldberger's relations, in mV."""

    def measure(signal_mv: np.ndarray) -> float:
        return float(np.abs(signal_mv[:6] - derive_limb_leads(signal_mv[0], signal_mv[1])).max())

    return measure


@pytest.fixture(scope="session")
def assert_distributed():
    """`assert_distributed(values, distribution)`: a Kolmogorov-Smirnov test at one in a million."""
    from scipy import stats

    def check(values, distribution) -> None:
        result = stats.kstest(np.ravel(values), distribution.cdf)
        assert result.pvalue > 1e-6, f"distance {result.statistic:.3f} of {np.size(values)} values"

    return check


@pytest.fixture(scope="session")
def assert_share():
    """`assert_share(hits, probability)`: means of bools are within five standard deviations of a binomial."""

    def check(hits, probability: float) -> None:
        hits = np.asarray(hits, dtype=float)
        bound = 5 * np.sqrt(probability * (1 - probability) / len(hits))
        assert np.abs(hits.mean(axis=0) - probability).max() <= bound

    return check
