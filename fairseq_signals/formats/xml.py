"""XML files of recordings: parsed without expanding entities, names without namespaces."""

from __future__ import annotations

import base64
import math
import re
import sys
from collections import Counter
from html.entities import html5
from pathlib import Path
from typing import Any, Union
from xml.etree import ElementTree  # to write; files are parsed by defusedxml
from xml.sax.saxutils import escape

import numpy as np

from fairseq_signals.errors import SignalError, optional_library
from fairseq_signals.formats.common import of_another_format, read_bytes
from fairseq_signals.formats.limits import TEXT_BYTES

_etree: Any = optional_library("defusedxml.ElementTree", "XML", "formats")
_defused: Any = optional_library("defusedxml", "XML", "formats")

#: An `xml.etree.ElementTree.Element`.
Element = Any

_DECLARATION = re.compile(r"\A<\?xml[^>]*\?>")
_ENCODING = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)")
_AROUND = "\ufeff\0\x1a \t\r\n"  # what may stand before and after the text
_NO_CHARACTER = re.compile("[^\t\n\r\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# "<" of whole tags, references, and "&" and "<" by themselves.
_TOKEN = r"""(?P<tag><(?=[!?]
    |/?(?P<element>[^\W\d][\w:.-]*)(?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(?P<empty>/?)>))
    |&(?P<name>\#\d{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]*);|[&<]|\]\]>"""
_CDATA, _COMMENT = r"<!\[CDATA\[.*?\]\]>|", "<!--.*?-->|"
#: Where sections and comments end later, either, or neither: looking for an end that is not there takes long.
_TOKENS = {
    (cdata, comment): re.compile(_CDATA * cdata + _COMMENT * comment + _TOKEN, re.DOTALL | re.VERBOSE)
    for cdata in (False, True)
    for comment in (False, True)
}
_FIRST_TAG, _END_TAG = re.compile(r"<([^\W\d][\w:.-]*)"), re.compile(r"</([^\W\d][\w:.-]*)\s*>")
_OF_XML = ("amp", "lt", "gt", "quot", "apos")


def parse_xml(
    path: Path, record_id: str, root_name: str, expected: str, repairs: list[str] | None = None
) -> Element:
    """The root element of an XML file; tags and attributes have no namespaces.

    Entities that a file declares are not expanded and nothing outside of the file is read. A file that is not
    in the encoding that it declares is read in the one that it has, in the end as Latin-1.

    Args:
        root_name: what the root must be called, in any case.
        expected: what the file should be, for the message ("a GE MUSE XML file").
        repairs: takes a sentence where text that is not well-formed was repaired, see `repaired`; None: that
            is refused.

    Raises:
        SignalError: it cannot be read, is not well-formed, or is something else.
    """
    data = read_bytes(record_id, path, at_most=TEXT_BYTES)
    root = _parse(data, path, record_id, expected, repairs)
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
        for name in [name for name in element.attrib if "}" in name]:
            element.attrib[name.rpartition("}")[2]] = element.attrib.pop(name)
    if root.tag.lower() != root_name.lower():
        raise of_another_format(record_id, path, expected)
    return root


def _parse(data: bytes, path: Path, record_id: str, expected: str, repairs: list[str] | None) -> Element:
    try:
        return _etree.fromstring(data)
    except (_etree.ParseError, LookupError, ValueError):
        pass  # perhaps in another encoding than it says
    try:
        text = _DECLARATION.sub("", _decoded(data).strip(_AROUND), count=1)
        try:
            return _etree.fromstring(text)
        except _etree.ParseError:
            mended, what = repaired(text)
            if repairs is None or not what:
                raise
            root = _etree.fromstring(mended)
            repairs.append(f"its XML is not well-formed, and was repaired: {what}")
            return root
    except _defused.DefusedXmlException as error:
        raise SignalError(
            f"record {record_id}: {path.name} declares entities ({error}), which are not expanded. Export it "
            f"without.",
            kind="of an unsupported kind",
        ) from error
    except (_etree.ParseError, ValueError) as error:
        if not _decoded(data).lstrip(_AROUND).startswith("<"):
            raise of_another_format(record_id, path, expected) from error
        cut = "no element found" in str(error) or "unclosed" in str(error)
        raise SignalError(
            f"record {record_id}: {path.name} is not well-formed XML ({error}). Export it again.",
            kind="truncated" if cut else "malformed",
        ) from error


def _decoded(data: bytes) -> str:
    """The text of a file: as its byte-order mark says, as zeros beside the letters do, or its declaration."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or 0 in data[:2]:
        wide = "utf-16" if 0 not in data[:2] else "utf-16-be" if data[0] == 0 else "utf-16-le"
        return data.decode(wide, "replace")
    said = _ENCODING.search(data[:200])
    is_told = said is not None and b"16" not in said[1] and not data.startswith(b"\xef\xbb\xbf")
    declared = [said[1].decode()] if said is not None and is_told else []
    for name in (*declared, "utf-8-sig", "cp1252"):
        try:
            return data.decode(name)
        except (UnicodeError, LookupError):
            continue
    return data.decode("latin-1")


def repaired(text: str) -> tuple[str, str]:
    """The text of an XML file with what programs forget to escape escaped, and what that was; "" if nothing.

    A bare "&" or "]]>", "<" that begins no tag or one that nothing ends, names of characters that XML does
    not know such as "&nbsp;", and characters that XML does not have, which become U+FFFD: nobody knows what
    they stood for.
    """
    text, n_control = _NO_CHARACTER.subn("\ufffd", text)
    counts = Counter({"control characters": n_control})

    def mend(match: re.Match[str]) -> str:
        token, name = match[0], match["name"]
        if token in ("&", "<", "]]>"):
            counts[f"bare {token}"] += 1
            return escape(token)
        if name is None or name in _OF_XML:
            return token
        if name[0] != "#":
            counts["&NAME;"] += 1
            return escape(html5.get(f"{name};", token))
        code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
        if code <= sys.maxunicode and not _NO_CHARACTER.fullmatch(chr(code)):
            return token
        counts["control characters"] += 1
        return "\ufffd"

    ended = set(_END_TAG.findall(text))
    first = _FIRST_TAG.search(text)
    is_cut = first is None or first[1] not in ended

    def is_tag(match: re.Match[str]) -> bool:
        name = match["element"]
        return match["tag"] is not None and (is_cut or name is None or name in ended or match["empty"] != "")

    pieces: list[str] = []
    position = 0
    ends = text.rfind("]]>"), text.rfind("-->")
    while match := _TOKENS[position < ends[0], position < ends[1]].search(text, position):
        pieces += text[position : match.start()], match[0] if is_tag(match) else mend(match)
        position = match.end()
    mended = "".join([*pieces, text[position:]])
    return mended, ", ".join(f"{n} {what}" for what, n in counts.items() if n)


def to_bytes(root: Element) -> bytes:
    """An element as a file in UTF-8."""
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def decode_base64(text: str) -> bytes:
    """The bytes of base64 text with blanks and breaks anywhere, and padding anywhere or nowhere.

    Raises:
        binascii.Error: another character, or one is missing.
    """
    pieces = re.sub(r"\s+", "", text).split("=")
    return b"".join(base64.b64decode(piece + "=" * (-len(piece) % 4), validate=True) for piece in pieces)


def text(element: Union[Element, None], path: str = "") -> str:
    """The text of an element, or of what `path` leads to from it, blanks folded; "" where it is absent."""
    found = element.find(path) if element is not None and path else element
    return "" if found is None else " ".join("".join(found.itertext()).split())


def numbers(string: str) -> np.ndarray:
    """Numbers with commas between them, and perhaps one at the end.

    Raises:
        ValueError: one is none.
    """
    words = string.strip().rstrip(",").split(",")
    return np.array(list(map(float, words)) if words != [""] else [])


def number(string: str) -> float | None:
    """A number as files write it, with a point or a comma; None where it is none, or not finite."""
    try:
        value = float(string.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
