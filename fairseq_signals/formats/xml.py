"""XML files of recordings: parsed without expanding entities, names without namespaces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Union

from fairseq_signals.errors import SignalError, optional_library
from fairseq_signals.formats.common import of_another_format, read_bytes

_etree: Any = optional_library("defusedxml.ElementTree", "XML", "formats")
_defused: Any = optional_library("defusedxml", "XML", "formats")

#: An `xml.etree.ElementTree.Element`.
Element = Any

_DECLARATION = re.compile(rb"^\s*<\?xml[^>]*\?>")
#: What an XML file is, by its root in lower case, to tell what else a folder holds.
_KINDS = {
    "restingecg": "GE MUSE XML, see preprocess/muse_xml.py",
    "annotatedecg": "HL7 aECG, see preprocess/aecg.py",
    "restingecgdata": "Philips XML, see preprocess/philips_xml.py",
    "com.xiriuz.sema.xml.schilleredi.schilleredi": "Schiller XML, for which there is no reader",
    "cardiologyxml": "GE Cardiology XML, for which there is no reader",
}


def parse_xml(path: Path, record_id: str, root_name: str, expected: str) -> Element:
    """The root element of an XML file; tags and attributes have no namespaces.

    Entities that a file declares are not expanded and nothing outside of the file is read. A file that is not
    in the encoding that it declares is read as Latin-1.

    Args:
        root_name: what the root must be called, in any case.
        expected: what the file should be, for the message ("a GE MUSE XML file").

    Raises:
        SignalError: it cannot be read, is not well-formed, or is something else.
    """
    data = read_bytes(record_id, path)
    root = _parse(data, path, record_id, expected)
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
        for name in [name for name in element.attrib if "}" in name]:
            element.attrib[name.rpartition("}")[2]] = element.attrib.pop(name)
    if root.tag.lower() != root_name.lower():
        kind = _KINDS.get(root.tag.lower(), f"an XML file of <{root.tag}>")
        raise of_another_format(record_id, path, f"{expected} but {kind}")
    return root


def _parse(data: bytes, path: Path, record_id: str, expected: str) -> Element:
    try:
        try:
            return _etree.fromstring(data)
        except (_etree.ParseError, LookupError) as error:
            if isinstance(error, _etree.ParseError) and not re.search("invalid token|encoding", str(error)):
                raise
            return _etree.fromstring(_DECLARATION.sub(b"", data, count=1).decode("latin-1"))
    except _defused.DefusedXmlException as error:
        raise SignalError(
            f"record {record_id}: {path.name} declares entities ({error}), which are not expanded. Export it "
            f"without.",
            kind="of an unsupported kind",
        ) from error
    except (_etree.ParseError, ValueError) as error:
        if not data.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").startswith(b"<"):
            raise of_another_format(record_id, path, expected) from error
        cut = "no element found" in str(error) or "unclosed" in str(error)
        raise SignalError(
            f"record {record_id}: {path.name} is not well-formed XML ({error}). Export it again.",
            kind="truncated" if cut else "malformed",
        ) from error


def text(element: Union[Element, None], path: str = "") -> str:
    """The text of an element, or of what `path` leads to from it, blanks folded; "" where it is absent."""
    found = element.find(path) if element is not None and path else element
    return "" if found is None else " ".join("".join(found.itertext()).split())


def number(string: str) -> float | None:
    """A number as files write it, with a point or a comma; None where it is none."""
    try:
        return float(string.replace(",", "."))
    except ValueError:
        return None
