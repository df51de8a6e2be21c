"""Philips XML files (PhilipsECG 1.04), their samples in base64 without compression."""

import base64
from pathlib import Path

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def document(
    values, leads=LEADS, fs=500, resolution=5, version="1.04", patient_id="9999", sex="Female"
) -> str:
    values = np.asarray(values)
    n_leads, n_samples = values.shape
    data = base64.b64encode(values.astype("<i2").tobytes()).decode()
    return f"""<?xml version="1.0" encoding="utf-16"?>
<restingecgdata xmlns="http://www3.medical.philips.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <documentinfo><documenttype>PhilipsECG</documenttype><documentversion>{version}</documentversion></documentinfo>
  <dataacquisition date="2010-01-19" time="15:19:22">
    <signalcharacteristics><samplingrate>{fs}</samplingrate><resolution>{resolution}</resolution>
      <bitspersample>16</bitspersample><signaloffset>0</signaloffset><signalsigned>True</signalsigned>
      <numberchannelsallocated>{n_leads}</numberchannelsallocated>
      <numberchannelsvalid>{n_leads}</numberchannelsvalid>
    </signalcharacteristics>
  </dataacquisition>
  <patient><generalpatientdata><patientid>{patient_id}</patientid>
    <age><years>60</years></age><sex>{sex}</sex></generalpatientdata></patient>
  <interpretations><interpretation><statement><statementcode>SR</statementcode>
    <leftstatement>SINUS RHYTHM</leftstatement><rightstatement>V-rate 50-99</rightstatement>
  </statement></interpretation></interpretations>
  <waveforms><parsedwaveforms dataencoding="Base64" compression="Uncompressed" numberofleads="{n_leads}"
    leadlabels="{" ".join(leads)}" durationperchannel="{1000 * n_samples // fs}" samplespersecond="{fs}"
    resolution="{resolution}" signaloffset="0" signalsigned="True" bitspersample="16">{data}</parsedwaveforms>
  </waveforms>
</restingecgdata>
"""


def with_calibration(values) -> np.ndarray:
    """The leads (L, T) and after them 500 samples of a 1 mV pulse, as carts write it."""
    mark = np.zeros(500, np.int16)
    mark[200:300] = 200
    return np.concatenate((values, np.tile(mark, (len(values), 1))), axis=1)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-16"))
    return path
