"""GE MUSE XML exports, laid out as MUSE 8 and 9 write them: median beats first, then the rhythm."""

import base64
import zlib
from pathlib import Path

import numpy as np

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
HEAD = '<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'
PERSON = {
    "PatientID": "000123456", "PatientAge": "63", "AgeUnits": "YEARS", "DateofBirth": "04-05-1957",
    "Gender": "FEMALE", "Race": "UNKNOWN", "PatientLastName": "M\u00fcller",
}  # fmt: skip
STATEMENTS = [("Normal sinus rhythm", True), ("Left axis deviation, consider", False), ("hemiblock", True)]


def lead(name, values, units_per_bit="4.88", units="MICROVOLTS", announced=None, size=2) -> str:
    """A LeadData element; MUSE breaks base64 into lines."""
    data = np.asarray(values).astype(f"<i{size}").tobytes()
    text = base64.encodebytes(data).decode()
    scale = f"<LeadAmplitudeUnitsPerBit>{units_per_bit}</LeadAmplitudeUnitsPerBit>" if units_per_bit else ""
    return f"""   <LeadData>
      <LeadByteCountTotal>{len(data)}</LeadByteCountTotal>
      <LeadTimeOffset>0</LeadTimeOffset>
      <LeadSampleCountTotal>{len(values) if announced is None else announced}</LeadSampleCountTotal>
      {scale}
      <LeadAmplitudeUnits>{units}</LeadAmplitudeUnits>
      <LeadHighLimit>32767</LeadHighLimit>
      <LeadLowLimit>-32768</LeadLowLimit>
      <LeadID>{name}</LeadID>
      <LeadOffsetFirstSample>0</LeadOffsetFirstSample>
      <FirstSampleBaseline>0</FirstSampleBaseline>
      <LeadSampleSize>{size}</LeadSampleSize>
      <LeadOff>FALSE</LeadOff>
      <BaselineSway>FALSE</BaselineSway>
      <LeadDataCRC32>{zlib.crc32(data)}</LeadDataCRC32>
      <WaveFormData>
{text}      </WaveFormData>
   </LeadData>
"""


def waveform(leads: str, kind="Rhythm", base="500", exponent="0") -> str:
    return f"""  <Waveform>
   <WaveformType>{kind}</WaveformType>
   <WaveformStartTime>0</WaveformStartTime>
   <NumberofLeads>8</NumberofLeads>
   <SampleType>CONTINUOUS_SAMPLES</SampleType>
   <SampleBase>{base}</SampleBase>
   <SampleExponent>{exponent}</SampleExponent>
   <HighPassFilter>16</HighPassFilter>
   <LowPassFilter>150</LowPassFilter>
   <ACFilter>60</ACFilter>
{leads}  </Waveform>
"""


def medians() -> str:
    return waveform("".join(lead(name, np.arange(600) + k) for k, name in enumerate(EIGHT)), "Median")


def document(*waveforms: str, person=PERSON, statements=STATEMENTS, root="RestingECG") -> str:
    people = "".join(f"    <{key}>{value}</{key}>\n" for key, value in person.items())
    diagnosis = "".join(
        "    <DiagnosisStatement>\n"
        + ("     <StmtFlag>ENDSLINE</StmtFlag>\n" if ends else "")
        + f"     <StmtText>{text}</StmtText>\n    </DiagnosisStatement>\n"
        for text, ends in statements
    )
    return f"""<{root}>
  <MuseInfo>
    <MuseVersion>9.0.9.18167</MuseVersion>
  </MuseInfo>
  <PatientDemographics>
{people}  </PatientDemographics>
  <TestDemographics>
    <DataType>RESTING</DataType>
    <AcquisitionDevice>MAC55</AcquisitionDevice>
    <AcquisitionTime>10:11:12</AcquisitionTime>
    <AcquisitionDate>06-07-2020</AcquisitionDate>
  </TestDemographics>
  <Diagnosis>
    <Modality>RESTING</Modality>
{diagnosis}  </Diagnosis>
{"".join(waveforms)}</{root}>
"""


def write(path: Path, text: str, encoding="ISO-8859-1", declared=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((HEAD.format(encoding=declared or encoding) + text).encode(encoding))
    return path


def write_eight(path: Path, values, **person) -> Path:
    """An export of the eight leads (8, T) with median beats."""
    rhythm = waveform("".join(lead(name, row) for name, row in zip(EIGHT, values)))
    return write(path, document(medians(), rhythm, person={**PERSON, **person}))
