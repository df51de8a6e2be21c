"""Transforms as a configuration selects them."""

from types import SimpleNamespace

import numpy as np
import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.transforms.base import Compose, Sometimes
from fairseq_signals.transforms.build import TRANSFORMS, build_transforms


def config(**options):
    defaults = {
        "perturbation_mode": None,
        "p": [1.0],
        "perturbation_params": None,
        "sample_rate": 500.0,
        "mask_leads_selection": "random",
        "mask_leads_prob": 1.0,
        "mask_leads_condition": [4, 5],
    }
    return SimpleNamespace(**{**defaults, **options})


def add(amount):
    return lambda signal, rng: signal + amount


def double(signal, rng):
    return 2 * signal


def test_transforms_are_applied_in_order():
    rng = np.random.default_rng(0)
    assert Compose([add(1), double])(np.zeros(1), rng) == 2
    assert Compose([double, add(1)])(np.zeros(1), rng) == 1
    assert Compose([])(np.ones(1), rng) == 1


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_transform_is_applied_as_often_as_asked(probability):
    rng, n = np.random.default_rng(0), 4000
    share = np.mean([Sometimes(add(1), probability)(0.0, rng) for _ in range(n)])
    assert abs(share - probability) <= 5 * np.sqrt(probability * (1 - probability) / n)


def test_without_any_transform_the_signal_is_returned_as_it_is():
    signal = np.ones((12, 4), np.float32)
    assert build_transforms(config())(signal, np.random.default_rng(0)) is signal


def test_random_lead_masking_goes_by_its_options():
    signal = np.ones((12, 4), np.float32)
    rng = np.random.default_rng(0)
    mode = ["random_leads_masking"]
    assert not build_transforms(config(perturbation_mode=mode))(signal, rng).any()
    assert build_transforms(config(perturbation_mode=mode, p=[0.0]))(signal, rng).all()
    conditional = config(
        perturbation_mode=mode, mask_leads_selection="conditional", mask_leads_condition=[2, 3]
    )
    assert (build_transforms(conditional)(signal, rng).sum(axis=1) == 0).sum() == 5


def test_one_probability_is_for_all_transforms_and_another_number_of_them_is_refused():
    mode = ["random_leads_masking", "random_leads_masking"]
    assert len(build_transforms(config(perturbation_mode=mode)).transforms) == 2
    with pytest.raises(ConfigError, match=r"task.p has 3 numbers for 2 transforms"):
        build_transforms(config(perturbation_mode=mode, p=[1.0, 0.5, 0.5]))


@pytest.mark.parametrize("p", [[1.5], [-0.1]])
def test_a_probability_out_of_range_is_refused(p):
    with pytest.raises(ConfigError, match=r"task.p must be in \[0, 1\]"):
        build_transforms(config(perturbation_mode=["random_leads_masking"], p=p))


def test_an_unknown_transform_is_named_with_its_near_miss():
    with pytest.raises(ConfigError, match=r"no transform 'random_lead_masking'; did you mean random_leads"):
        build_transforms(config(perturbation_mode=["random_lead_masking"]))
    with pytest.raises(ConfigError, match=f"Known: {', '.join(TRANSFORMS)}"):
        build_transforms(config(perturbation_mode=["zzz"]))
