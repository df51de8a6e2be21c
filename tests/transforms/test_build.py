"""Transforms as a configuration selects them."""

from types import SimpleNamespace

import numpy as np
import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.transforms.base import Compose, Sometimes
from fairseq_signals.transforms.build import TRANSFORMS, build_transforms
from fairseq_signals.transforms.emg_noise import EMGNoise
from fairseq_signals.transforms.params import parameters_of


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


def test_transforms_are_applied_in_the_order_of_the_configuration(segment):
    for mode, n_zeros in ((["emg_noise", "time_mask"], 12 * 1250), (["time_mask", "emg_noise"], 0)):
        result = build_transforms(config(perturbation_mode=mode))(segment(), np.random.default_rng(0))
        assert (result == 0).sum() == n_zeros


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_transform_is_applied_with_its_own_probability(name, segment, assert_share):
    mode = ["time_mask" if name != "time_mask" else "emg_noise", name]
    both = build_transforms(config(perturbation_mode=mode, p=[0.0, 0.3]))
    rng, signal = np.random.default_rng(0), segment(0, 20)
    assert_share([both(signal, rng) is not signal for _ in range(800)], 0.3)


def test_two_transforms_are_applied_independently_of_each_other(assert_share):
    mode = ["time_mask", "baseline_shift"]
    both = build_transforms(
        config(
            perturbation_mode=mode,
            p=[0.4, 0.7],
            perturbation_params={
                "time_mask": {"mask_ratio": 0.1},
                "baseline_shift": {"min_amplitude_mv": 0.1, "span_mean": 1.0, "span_sd": 0.0},
            },
        )
    )
    rng, signal = np.random.default_rng(0), np.ones((12, 20), np.float32)
    results = [both(signal, rng) for _ in range(2000)]
    masked = np.array([len(np.unique(result[0])) == 2 for result in results])
    shifted = np.array([not (result == 1).any() for result in results])
    assert_share(masked, 0.4)
    assert_share(shifted, 0.7)
    assert_share(masked & shifted, 0.4 * 0.7)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "random_leads_masking"])
def test_parameters_reach_their_transform(name):
    words = {"frequencies": "harmonics", "amplitudes": "each_lead", "span": "uniform"}
    defaults = {key: field.default for key, field in parameters_of(TRANSFORMS[name]).items()}
    changed = {
        key: words[key] if key in words else {bool: not value, int: 2, float: value / 2}[type(value)]
        for key, value in defaults.items()
    }
    if "max_scale" in changed:
        changed["max_scale"] = 0.9
    options = {"perturbation_mode": [name], "perturbation_params": {name: changed}}
    (built,) = build_transforms(config(**options)).transforms
    assert {key: getattr(built.transform, key) for key in changed} == changed


def test_the_sampling_rate_is_that_of_the_task():
    mode = ["powerline_noise", "baseline_wander"]
    built = build_transforms(config(perturbation_mode=mode, sample_rate=250)).transforms
    assert [each.transform.fs for each in built] == [250.0, 250.0]
    with pytest.raises(
        ConfigError, match=r"frequency_hz must be above 0 and below 50 \(task.sample_rate / 2"
    ):
        build_transforms(config(perturbation_mode=mode, sample_rate=100))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"emg_nois": {}}, r"task.perturbation_params: no transform 'emg_nois'; did you mean emg_noise"),
        ({"zzz": {}}, r"no transform 'zzz'\. Known: random_leads_masking, powerline_noise"),
        ({"time_mask": {}}, r"params.time_mask: task.perturbation_mode \['emg_.* does not list time_mask"),
        (
            {"emg_noise": {"max_amplitude": 1}},
            r"unknown key task.perturbation_params.emg_noise.max_amplitude; did you mean max_amplitude_mv or "
            r"min_amplitude_mv\? Known: min_amplitude_mv, max_amplitude_mv, keep_dependency",
        ),
        ({"emg_noise": {"zzz": 1}}, r"key task.perturbation_params.emg_noise.zzz\. Known: min_amplitude_mv"),
        ({"powerline_noise": {"fs": 250}}, r"unknown key task.perturbation_params.powerline_noise.fs"),
        ({"emg_noise": {"name": "x"}}, r"unknown key task.perturbation_params.emg_noise.name"),
        ({"emg_noise": 0.3}, r"task.perturbation_params.emg_noise must be a mapping .* but is 0.3"),
        ([0.3], r"task.perturbation_params must be a mapping .* but is \[0.3\]"),
        (
            {"random_leads_masking": {"mask_leads_prob": 0.1}},
            r"its options are keys of the task itself: task.mask_leads_selection, task.mask_leads_prob, "
            r"task.mask_leads_condition",
        ),
        (
            {"emg_noise": {"max_amplitude_mv": -1}},
            r"emg_noise.max_amplitude_mv must be at least 0, but is -1",
        ),
    ],
)
def test_parameters_that_do_not_fit_are_refused_by_their_key(parameters, message):
    mode = ["emg_noise", "powerline_noise", "random_leads_masking"]
    with pytest.raises(ConfigError, match=message):
        build_transforms(config(perturbation_mode=mode, perturbation_params=parameters))


def test_parameters_may_be_text_as_from_fairseqs_argparse():
    text = "{'emg_noise': {'max_amplitude_mv': 0.7}}"
    built = build_transforms(config(perturbation_mode=["emg_noise"], perturbation_params=text)).transforms
    assert built[0].transform.max_amplitude_mv == 0.7
    with pytest.raises(ConfigError, match=r"must be a mapping \{name: value\}, but is 'emg_noise: 0.7'"):
        build_transforms(config(perturbation_mode=["emg_noise"], perturbation_params="emg_noise: 0.7"))


def test_empty_parameters_are_no_parameters():
    mode = ["emg_noise", "random_leads_masking"]
    for parameters in (None, {}, {"emg_noise": None}, {"emg_noise": {}, "random_leads_masking": {}}):
        built = build_transforms(config(perturbation_mode=mode, perturbation_params=parameters))
        assert built.transforms[0].transform == EMGNoise()


def test_an_unknown_transform_is_named_with_its_near_miss():
    with pytest.raises(ConfigError, match=r"no transform 'random_lead_masking'; did you mean random_leads"):
        build_transforms(config(perturbation_mode=["random_lead_masking"]))
    with pytest.raises(ConfigError, match=f"Known: {', '.join(TRANSFORMS)}"):
        build_transforms(config(perturbation_mode=["zzz"]))
