"""Recordings of the Kardia API."""

import os

import numpy as np
import pytest

from tests.preprocess.lookalikes import kardia_json

pytest.importorskip("ecgdatakit", reason="ecgdatakit needs Python 3.11 beside fairseq")

from fairseq_signals.formats.kardia_json import read_kardia_json


@pytest.mark.parametrize("n_leads", [1, 6])
def test_the_unfiltered_leads_are_read_in_millivolt(tmp_path, ecg_adu, n_leads):
    values = ecg_adu(n_leads, 900)
    record = read_kardia_json(kardia_json.write(tmp_path / "a.json", values))
    assert (record.leads, record.fs) == (("I", "II", "III", "aVR", "aVL", "aVF")[:n_leads], 300)
    np.testing.assert_allclose(record.signal_mv(), values * 0.0005, atol=1e-9)
    assert record.report == "normal"
    assert any("unfiltered" in note for note in record.notes)


def test_samples_without_a_resolution_are_not_taken_for_millivolt(tmp_path, ecg_adu, refused):
    error = refused(
        read_kardia_json, kardia_json.write(tmp_path / "a.json", ecg_adu(1, 900), resolution_nv=None)
    )
    assert error.kind == "without a usable lead"
    assert "its unit is not known" in str(error)


def test_a_file_that_is_too_large_is_not_read(tmp_path, ecg_adu, refused):
    path = kardia_json.write(tmp_path / "a.json", ecg_adu(1, 900))
    os.truncate(path, 2**42)
    assert refused(read_kardia_json, path).kind == "too long"


def test_the_layout_of_12_leads_is_refused_by_name(tmp_path, ecg_adu, refused):
    error = refused(read_kardia_json, kardia_json.write(tmp_path / "a.json", ecg_adu(1, 900), data12L={}))
    assert error.kind == "of an unsupported kind"
    assert "12L" in str(error)
