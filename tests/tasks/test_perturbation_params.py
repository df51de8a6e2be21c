"""Transforms and their parameters as a task gets them from a YAML file."""

import numpy as np
import pytest
import scipy.io

from fairseq_signals.errors import ConfigError

MODE = {"perturbation_mode": ["powerline_noise", "time_mask"], "p": [1.0, 1.0]}
PARAMETERS = {
    "powerline_noise": {"min_amplitude_mv": 1, "max_amplitude_mv": 2},
    "time_mask": {"mask_ratio": 0.25},
}


@pytest.fixture
def mat_files(tmp_path):
    """A manifest of one pair of segments of 40 samples, as train and valid."""
    for k in range(2):
        signal = {"feats": np.full((12, 40), 9.0), "curr_sample_rate": 500}
        scipy.io.savemat(tmp_path / f"A_{k}.mat", signal)
    for split in ("train", "valid"):
        (tmp_path / f"{split}.tsv").write_text(f"{tmp_path}\nmat\nA\t40\t0\t0,1\n")
    return tmp_path


def test_parameters_of_a_configuration_reach_the_segments(setup, mat_files):
    task = setup("ecg_pretraining", mat_files, **MODE, perturbation_params=PARAMETERS)
    task.load_dataset("train")
    for segment in task.dataset("train").collater([0])["net_input"]["source"].numpy():
        lead_v1 = segment[6]
        assert (lead_v1 == 0).sum() == 10
        assert 1 < np.abs(lead_v1[lead_v1 != 0] - 9).max() <= 2


def test_without_parameters_the_defaults_are_taken(setup):
    powerline, time_mask = setup("ecg_pretraining", "/data", **MODE).transforms.transforms
    assert (powerline.transform.max_amplitude_mv, time_mask.transform.mask_ratio) == (0.5, 0.5)


@pytest.mark.parametrize("name", ["ecg_pretraining", "ecg_classification", "ecg_identification"])
def test_a_misspelt_parameter_stops_every_task_and_is_named(setup, name):
    with pytest.raises(
        ConfigError, match=r"task.perturbation_params.time_mask.ratio; did you mean mask_ratio"
    ):
        setup(name, "/data", **MODE, perturbation_params={"time_mask": {"ratio": 0.5}})
