"""HL7 annotated ECG files in the layout of the implementation guide: rhythm and representative beat."""

from pathlib import Path

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
NAMESPACES = (
    'xmlns="urn:hl7-org:v3" xmlns:voc="urn:hl7-org:v3/voc" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation"'
)


def sequence(lead, values, scale="2.5", unit="uV", origin="0", origin_unit=None) -> str:
    digits = " ".join(str(value) for value in values)
    return f"""<component><sequence>
      <code code="MDC_ECG_LEAD_{lead}" codeSystem="2.16.840.1.113883.6.24" codeSystemName="MDC"/>
      <value xsi:type="SLIST_PQ">
        <origin value="{origin}" unit="{origin_unit or unit}"/>
        <scale value="{scale}" unit="{unit}"/>
        <digits>{digits}</digits>
      </value>
    </sequence></component>
"""


def times(increment="0.002", unit="s", head="20021122091000.000") -> str:
    return f"""<component><sequence>
      <code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4" codeSystemName="ActCode"/>
      <value xsi:type="GLIST_TS">
        <head value="{head}"/><increment value="{increment}" unit="{unit}"/>
      </value>
    </sequence></component>
"""


def sequence_set(*sequences: str) -> str:
    return f"<component><sequenceSet>\n{''.join(sequences)}</sequenceSet></component>\n"


def series(*parts: str, code="RHYTHM") -> str:
    content = "".join(parts)
    return (
        f'<component><series><code code="{code}" codeSystemName="ActCode"/>\n{content}</series></component>\n'
    )


def representative_beat() -> str:
    values = [range(k, 600 + k) for k in range(12)]
    return series(sequence_set(times(), *map(sequence, LEADS, values)), code="REPRESENTATIVE_BEAT")


def statement(text: str) -> str:
    return f"""<subjectOf><annotationSet><component><annotation>
      <code code="MDC_ECG_INTERPRETATION" codeSystemName="MDC"/>
      <component><annotation><code code="MDC_ECG_INTERPRETATION_STATEMENT" codeSystemName="MDC"/>
        <value xsi:type="ST">{text}</value></annotation></component>
    </annotation></component></annotationSet></subjectOf>
"""


def document(*parts: str, patient_id="SBJ-123", sex="M", born="19530508") -> str:
    return f"""<AnnotatedECG {NAMESPACES}>
  <id root="61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"/>
  <code code="93000" codeSystem="2.16.840.1.113883.6.12" codeSystemName="CPT-4"/>
  <effectiveTime><low value="20021122091000"/><high value="20021122091010"/></effectiveTime>
  <componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>
    <id root="2.16.840.1.113883.3.400" extension="{patient_id}"/>
    <subjectDemographicPerson>
      <name>Clark</name>
      <administrativeGenderCode code="{sex}" codeSystem="2.16.840.1.113883.5.1"/>
      <birthTime value="{born}"/>
    </subjectDemographicPerson>
  </trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
{"".join(parts)}</AnnotatedECG>
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<!-- Sample -->\n{text}', encoding="utf-8")
    return path


def write_twelve(path: Path, values, **person) -> Path:
    """A file of twelve leads (12, T) with a representative beat before the rhythm and a statement in it."""
    rhythm = series(sequence_set(times(), *map(sequence, LEADS, values)), statement("Normal sinus rhythm"))
    return write(path, document(representative_beat(), rhythm, **person))
