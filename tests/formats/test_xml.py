"""XML is read in any encoding and with what programs forget to escape; declared entities are refused."""

import time

import pytest

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.xml import parse_xml, repaired, text

UMLAUT = "<a><b>M\u00fcller \u4f60</b></a>"


def parse(tmp_path, data, repairs=None):
    path = tmp_path / "a.xml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return parse_xml(path, "r", "a", "such a file", repairs)


@pytest.mark.parametrize(
    ("written", "said", "repair"),
    [
        ("ST & T", "ST & T", "1 bare &"),
        ("A&B;C &amp; &lt", "A&B;C & &lt", "1 &NAME;, 1 bare &"),
        ("a]]> b", "a]]> b", "1 bare ]]>"),
        ("PR < 120, a <b, <ISO LEVEL", "PR < 120, a <b, <ISO LEVEL", "3 bare <"),
        ("5&nbsp;&micro;V &AMP; &Lt;", "5 \u00b5V & \u226a", "4 &NAME;"),
        ("a\x01b&#2;c&#x1F;d&#65;", "a\ufffdb\ufffdc\ufffddA", "3 control characters"),
        ("<![CDATA[A & <B>]]> <!-- & < --> &", "A & <B> &", "1 bare &"),
    ],
)
def test_what_is_not_escaped_is_text_as_it_stands_and_that_is_said(tmp_path, written, said, repair):
    document = f'<?xml version="1.0" encoding="utf-8"?>\n<a x="1 &amp; 2"><b>{written}</b><c/></a>'
    repairs: list[str] = []
    assert text(parse(tmp_path, document, repairs), "b") == said
    assert repairs == [f"its XML is not well-formed, and was repaired: {repair}"]
    with pytest.raises(SignalError, match="not well-formed"):
        parse(tmp_path, document)


def test_attributes_are_repaired_too(tmp_path):
    root = parse(tmp_path, "<a><b c='A & B' d=\"x < y\">&</b></a>", [])
    assert (root.find("b").get("c"), root.find("b").get("d")) == ("A & B", "x < y")


def test_what_is_well_formed_is_left_as_it_is(tmp_path):
    whole = '<a x="&#38;"><!-- & --><b>&lt;&#10;</b></a>'
    assert repaired(whole) == (whole, "")
    repairs: list[str] = []
    parse(tmp_path, whole, repairs)
    assert not repairs


@pytest.mark.parametrize(
    "data",
    [
        UMLAUT.encode("utf-8-sig"),
        UMLAUT.encode("utf-16"),
        UMLAUT.encode("utf-16-le"),
        UMLAUT.encode("utf-16-be"),
        b'<?xml version="1.0" encoding="utf-16"?>' + UMLAUT.encode(),
        f'<?xml version="1.0" encoding="utf-8"?>{UMLAUT}'.encode("utf-16-le"),
        b'<?xml version="1.0" encoding="GB18030"?>' + UMLAUT.encode("gb18030"),
        b'\n \t<?xml version="1.0" encoding="no-such"?>' + UMLAUT.encode() + b"\0\0\x1a",
    ],
)
def test_any_encoding_is_read_whatever_the_file_says_of_it(tmp_path, data):
    repairs: list[str] = []
    assert text(parse(tmp_path, data, repairs), "b") == "M\u00fcller \u4f60"
    assert not repairs


def test_what_looks_like_a_tag_that_nothing_ends_is_text(tmp_path):
    repairs: list[str] = []
    root = parse(tmp_path, "<a><b>P<QRS>T & <mean value> <br/>x</b></a>", repairs)
    assert "".join(root.find("b").itertext()) == "P<QRS>T & <mean value> x"
    assert repairs == ["its XML is not well-formed, and was repaired: 2 bare <, 1 bare &"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ('<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]><a>&z; & </a>', "of an unsupported kind"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x; & </a>', "of an unsupported kind"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"), "of an unsupported kind"),
        ("<a><b>&</b></c></a>", "malformed"),
        ("<a><b>& ", "truncated"),
        ("no & XML < at all", "of another format"),
    ],
)
def test_entities_and_what_cannot_be_repaired_are_refused(tmp_path, data, kind):
    with pytest.raises(SignalError, match="record r: ") as raised:
        parse(tmp_path, data, [])
    assert raised.value.kind == kind


def test_looking_for_tags_takes_no_longer_where_there_are_none(tmp_path):
    for hostile in ("<a " * 30_000, "<a x=\"'" * 20_000, "<a" + " " * 300_000, "&" * 100_000):
        repaired(hostile)


@pytest.mark.parametrize("body", ["<![CDATA[" * 30_000, "<!--" * 50_000, "<?xml " * 30_000])
def test_sections_without_an_end_take_no_longer_than_they_are(body):
    begin = time.process_time()
    repaired(f"<a>{body}</a>")
    assert time.process_time() - begin < 2


def test_sections_are_left_alone_where_they_end():
    whole = "<a><!-- & --><![CDATA[ & < ]]>&amp;</a>"
    assert repaired(whole) == (whole, "")
    assert repaired("<a><!-- & --> & <![CDATA[&]]> <!-- &</a>")[0] == (
        "<a><!-- & --> &amp; <![CDATA[&]]> <!-- &amp;</a>"
    )
