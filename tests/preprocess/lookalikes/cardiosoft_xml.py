"""GE CardioSoft XML files, laid out as version 6.7 writes them: averaged beats first, then the strip."""

from pathlib import Path

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def waveform(lead: str, row) -> str:
    """Numbers with commas, in lines of the file's own."""
    numbers = [str(value) for value in row]
    lines = ",\n\t\t\t".join(",".join(numbers[k : k + 500]) for k in range(0, len(numbers), 500))
    return f'\t\t<WaveformData lead="{lead}">\t\t\t{lines}</WaveformData>\n'


def strip(
    values, leads=LEADS, fs="500", resolution="5", units="uVperLsb", announced=None, name="StripData"
) -> str:
    n_samples = len(values[0]) if announced is None else announced
    return f"""\t<{name}>
\t\t<NumberOfLeads>{len(leads)}</NumberOfLeads>
\t\t<SampleRate units="Hz">{fs}</SampleRate>
\t\t<ChannelSampleCountTotal>{n_samples}</ChannelSampleCountTotal>
\t\t<Resolution units="{units}">{resolution}</Resolution>
{"".join(map(waveform, leads, values))}\t</{name}>
"""


def document(*strips: str, more="") -> str:
    beats = strip([range(k, 600 + k) for k in range(12)], name="MedianSamples")
    return f"""<?xml version="1.0" encoding="ISO8859-1" ?>
<CardiologyXML>
\t<ObservationType>RestECG</ObservationType>
\t<ObservationDateTime><Hour>10</Hour><Minute>11</Minute><Second>12</Second>
\t\t<Day>7</Day><Month>6</Month><Year>2020</Year></ObservationDateTime>
\t<PatientInfo>
\t\t<PID>9999</PID>
\t\t<Name><FamilyName>M\u00fcller</FamilyName><GivenName></GivenName></Name>
\t\t<Age units="years">63</Age>
\t\t<Gender>FEMALE</Gender>
\t</PatientInfo>
\t<Interpretation><Diagnosis>
\t\t<DiagnosisText>Normal sinus rhythm</DiagnosisText>
\t\t<DiagnosisText>Abnormal ECG</DiagnosisText>
\t</Diagnosis></Interpretation>
\t<RestingECGMeasurements>
{beats}\t</RestingECGMeasurements>
{"".join(strips)}{more}</CardiologyXML>
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("latin-1"))
    return path


def write_twelve(path: Path, values) -> Path:
    return write(path, document(strip(values)))
