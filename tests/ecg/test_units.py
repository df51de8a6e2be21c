"""Leads in the steps of 16 bits."""

import numpy as np

from fairseq_signals.ecg.units import quantise


def test_quantise_keeps_multiples_of_the_adc_step_and_rounds_the_rest():
    values, scale, lossy = quantise(np.array([-3.0, 0.0, 5.0]) * 0.005, 0.005)
    assert (values.tolist(), scale, lossy) == ([-3, 0, 5], 0.005, False)
    mv = np.array([-3.3, 0.0, 5.05])
    values, scale, lossy = quantise(mv, 0.07)
    assert lossy
    assert np.abs(values * scale - mv).max() <= scale / 2
