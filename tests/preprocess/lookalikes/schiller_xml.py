"""Schiller XML files, laid out as the SCM of an AT-10 writes them: averages and rhythm of one event."""

from pathlib import Path

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
ROOT = "com.xiriuz.sema.xml.schillerEDI.SchillerEDI"


def channel(name: str, row, written="COMMASEPARATE", announced=None) -> str:
    numbers = "".join(f"{value}," for value in row)  # with a comma behind the last
    return f"""<channel>
<annotation_lead><name>R_AMPL</name><value>0.73</value></annotation_lead>
<name>{name}</name>
<data>{numbers}</data>
<datastype>{written}</datastype>
<samplecount>{len(row) if announced is None else announced}</samplecount>
</channel>
"""


def wavedata(channels: str, kind="ECG_RHYTHMS", fs="500", exponent="1", step="1.0", unit="UV") -> str:
    return f"""<wavedata>
<type>{kind}</type>
<resolution>
<samplerate><exponent>{exponent}</exponent><value>{fs}</value></samplerate>
<yres><unitperbit>{step}</unitperbit><units>{unit}</units></yres>
</resolution>
{channels}<channelconfiguration>ECG_STANDARD</channelconfiguration>
</wavedata>
"""


def document(*waves: str) -> str:
    averages = wavedata(channel("I", range(500)), kind="ECG_AVERAGES")
    return f"""<?xml version="1.0"?>
<{ROOT}>
<patdata><id>9999</id><birthdate>19570405</birthdate><gender>FEMALE</gender></patdata>
<examdescript><startdatetime><date>20200607</date><time>101112000</time></startdatetime></examdescript>
<eventdata><event>
{averages}{"".join(waves)}<textdata>
<type>INTERPRETATION</type>
<textdata>Normal sinus rhythm</textdata>
</textdata>
</event></eventdata>
</{ROOT}>
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_twelve(path: Path, values, **options) -> Path:
    """A file of twelve leads (12, T); options are those of `wavedata`."""
    return write(path, document(wavedata("".join(map(channel, LEADS, values)), **options)))
