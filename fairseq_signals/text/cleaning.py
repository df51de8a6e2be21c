"""Reports as a model learns from them: without labels that slipped in, marks, damage and idle phrases.

Case and spelling of characters are left to the tokenizer (`tokenizer.normalise`), so that prompts cannot miss
it. Lines are what "; " separates, as preprocessing joins them; they can be told apart afterwards too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Union

BETWEEN_LINES = "; "
#: Phrases that say nothing about the heart.
IDLE = (
    r"trace only requested",
    r"(?:warning: )?(?:technical |poor )?data quality may affect interpretation",
    r"(?:\b\d\.\d\d )?\bunbestätigter bericht",
)


class Rule(NamedTuple):
    """What is replaced wherever it occurs; `name` is what it is counted as."""

    name: str
    pattern: re.Pattern[str]
    replacement: Union[str, Callable[[re.Match[str]], str]] = " "


#: In this order. A text that they made passes them unchanged.
RULES = (
    # what the annotators of PTB-XL wrote behind the report: their labels, such as "Edit: NORM 100, (NDT)"
    Rule("remarks of editors", re.compile(r"\(?\bedit\s*:.*", re.IGNORECASE)),
    Rule("marks", re.compile(r"\*{2,}|-{2,}|=-")),
    # what a line to the computer lost: PTB-XL has an acute o and a sign in its place
    Rule("damaged characters", re.compile("ó[\x80-\xbf]")),
    Rule("damaged umlauts", re.compile(r"#(?=[a-z])", re.IGNORECASE), "ü"),
    Rule(
        "unsuitable leads",
        re.compile(r"(?:^|(?<=[;.]))[^;.]*\b(?:un|not )suitable for analysis[^;]*", re.IGNORECASE),
    ),
    Rule("idle phrases", re.compile("|".join(IDLE), re.IGNORECASE)),
    Rule("EKG", re.compile(r"\bekg\b", re.IGNORECASE), "ECG"),
)


class Cleaner:
    """Cleans reports of a corpus.

    Args:
        codes: of the corpus's labels: one of letters with a number behind it, such as "LVH 100", is a label
            and no report.
        glossary: what takes the place of phrases, whole words in any case; the longest phrase first.
    """

    def __init__(self, codes: Iterable[str] = (), glossary: Mapping[str, str] | None = None):
        rules = list(RULES)
        lettered = sorted(code for code in codes if len(code) > 1 and not code.isdigit())
        if lettered:
            names = "|".join(map(re.escape, lettered))
            pattern = re.compile(rf"\(?(?<!\w)(?:{names})\s+\d+(?:\.\d+)?\b\s*%?\)?")
            rules.insert(1, Rule("labels with a likelihood", pattern))
        if glossary:
            meanings = {phrase.lower(): meaning for phrase, meaning in glossary.items()}
            phrases = "|".join(map(re.escape, sorted(meanings, key=len, reverse=True)))
            pattern = re.compile(rf"(?<!\w)(?:{phrases})(?!\w)", re.IGNORECASE)
            rules.append(Rule("glossary", pattern, lambda match: meanings[match[0].lower()]))
        self.rules = tuple(rules)

    def clean(self, report: str) -> tuple[str, list[tuple[str, str]]]:
        """The text, which may be empty, and what was replaced: the name of the rule, and what it found."""
        text, found = _single_blanks(report), []
        for rule in self.rules:
            if hits := [(rule.name, match[0].strip()) for match in rule.pattern.finditer(text)]:
                found += hits
                text = _single_blanks(rule.pattern.sub(rule.replacement, text))
        lines = (line.strip(" .,:!") for line in text.split(BETWEEN_LINES.strip()))
        return BETWEEN_LINES.join(line for line in lines if line), found


def lines_of(text: str) -> list[str]:
    """The lines of a cleaned text."""
    return text.split(BETWEEN_LINES)


def _single_blanks(text: str) -> str:
    return " ".join(text.split())
