"""What the comments of a WFDB header tell of the person and the diagnosis."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fairseq_signals.ecg.record import Subject, known, parse_age, parse_codes, parse_patient, parse_sex

_BRACKETED = re.compile(r"<([^<>]+)>\s*:\s*([^<]*)")
_KEYWORD = re.compile(r"[A-Za-z][A-Za-z _-]*")
_KEYWORDS = {"age", "sex", "gender", "dx", "patient id", "subject_id"}  # of what `Subject` has a field for
_OURS = re.compile(rf"\b({'|'.join(sorted(_KEYWORDS))})\b\s*([:=]?)", re.IGNORECASE)


def parse_comments(comments: Sequence[str]) -> Subject:
    """Age, sex, diagnosis codes and patient number, found by keyword wherever they stand.

    Keywords are `Age`, `Sex` (or `Gender`), `Dx` and `Patient ID` (or `subject_id`), in any case, also as
    `<age>: 60 <sex>: M`, several in a comment, and without a colon, such as `age 60`. The first of several
    with the same keyword counts, before those without a colon.
    """
    marked: dict[str, str] = {}
    bare: dict[str, str] = {}
    other: dict[str, list[str]] = {}
    for comment in comments:
        for key, value, is_marked in _pairs(comment):
            if (keyword := key.lower()) in _KEYWORDS:
                (marked if is_marked else bare).setdefault(keyword, value)
            elif known(value):
                other.setdefault(key, []).append(value)
    values = {**bare, **marked}
    return Subject(
        age=parse_age(values.get("age", "")),
        sex=parse_sex(values.get("sex", values.get("gender", ""))),
        codes=parse_codes(values.get("dx", "")),
        patient_id=parse_patient(values.get("patient id", values.get("subject_id", ""))),
        other=tuple((key, "; ".join(several)) for key, several in other.items()),
    )


def _pairs(comment: str) -> list[tuple[str, str, bool]]:
    """The keywords of a comment, their values, and whether a colon stands between them."""
    if "<" in comment and (pairs := _BRACKETED.findall(comment)):
        return [(key.strip(), value.strip(), True) for key, value in pairs]
    key, colon, value = comment.partition(":")
    key = key.strip()
    is_one = key.lower() not in _KEYWORDS or not (":" in value or "=" in value)
    return (
        [(key, value.strip(), True)] if colon and is_one and _KEYWORD.fullmatch(key) else _of_subject(comment)
    )


def _of_subject(comment: str) -> list[tuple[str, str, bool]]:
    """As `_pairs`, of a comment that begins with a keyword of `Subject`: `Age: 62  Sex: M`, `age 62 sex M`.

    Without a colon, the value is one word, or an age: "Sex differences are known" tells no sex.
    """
    found = list(_OURS.finditer(comment))
    if not found or found[0].start() > 0:
        return []
    if found[0][2]:
        found = [each for each in found if each[2]]
    ends = [*(each.start() for each in found[1:]), len(comment)]
    pairs = [
        (each[1], comment[each.end() : end].strip(" \t,;"), bool(each[2])) for each, end in zip(found, ends)
    ]
    return [pair for pair in pairs if pair[2] or " " not in pair[1] or parse_age(pair[1]) is not None]
