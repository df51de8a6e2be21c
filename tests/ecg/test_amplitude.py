"""Which amplitudes no ECG has, of a whole recording or of some leads."""

import numpy as np

from fairseq_signals.ecg.amplitude import odd_amplitude

SINE = np.sin(np.arange(1001) * np.pi / 50)[None]  # 1 mV
LEADS = ("I", "II", "V1")


def said(*factors):
    odd = odd_amplitude(np.vstack([SINE * factor for factor in factors]), leads=LEADS)
    return odd and str(odd)


def test_a_unit_that_is_wrong_in_all_leads_is_told_with_the_factor():
    assert said(1, 1, 1) is None
    assert said(1e3, 1e3, 1e3) == "its amplitude is 1000 mV, more than any ECG has: " + (
        "\u00b5V taken for mV? multiply by 0.001"
    )


def test_leads_whose_unit_is_another_than_that_of_the_others_are_named():
    assert said(1, 1e3, 1).endswith(
        "the amplitude of II is 1000 mV, more than any ECG has: some leads in another unit than the others?"
    )
    assert said(1, 1e-3, 1e-3).startswith("the amplitude of II, V1 is 0.001 mV, less than any ECG has: some")


def test_leads_of_zeros_are_absent():
    assert said(1, 0, 1) is None
    assert said(1e3, 0, 1e3).startswith("its amplitude")


def test_short_artefacts_do_not_matter():
    signal = np.vstack([SINE] * 3)
    signal[1, 7] = 900
    assert odd_amplitude(signal) is None
