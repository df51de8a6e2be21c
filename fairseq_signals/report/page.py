"""One HTML file that needs nothing else: sections of text, tables and pictures. Text is always escaped."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape as escape_html
from typing import TYPE_CHECKING, Any

from fairseq_signals.safety.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150
#: A drawing that is larger as SVG, such as curves over very many records, is embedded as PNG.
LARGEST_SVG = 1_500_000  # bytes
CSS_PX_PER_INCH = 96

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1d2329; --quiet: #5b6670; --line: #d9dee3;
  --band: #f4f6f8; --link: #1f5a99; --note: #fff6e5; --note-line: #d9a23b; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181c; --text: #e3e7ea; --quiet: #9aa6b0;
  --line: #343c44; --band: #1c2228; --link: #85b7ea; --note: #2b2415; --note-line: #b98a2f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 68rem; background: var(--ground);
  color: var(--text); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .35rem; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 2.5rem 0 .75rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--link); }
header p, footer, figcaption, caption { color: var(--quiet); }
nav ol { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; padding: 0; margin: 1rem 0 0; list-style: none; }
.note { background: var(--note); border-left: 3px solid var(--note-line); padding: .5rem .75rem; }
.wide { overflow-x: auto; margin: .75rem 0; }
.wide:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-size: .925rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .35rem; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { white-space: nowrap; }
.number { text-align: right; white-space: nowrap; overflow-wrap: normal; }
tbody th { font-weight: 500; }
.facts th { color: var(--quiet); font-weight: 400; overflow-wrap: normal; }
details { margin: .5rem 0; padding: .4rem .75rem; background: var(--band); border-radius: .3rem; }
summary { cursor: pointer; }
figure { margin: 1rem 0 1.5rem; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: .2rem; }
figcaption { font-size: .9rem; margin-top: .35rem; max-width: 46rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .85rem; }
@media (max-width: 46rem) { body { padding: 1rem .9rem 2rem; } figure img { max-width: none; width: 46rem; }
  thead th, thead .number, .facts th { white-space: normal; overflow-wrap: normal; vertical-align: bottom; }
  .facts th { vertical-align: top; } th, td { padding-right: .6rem; } }
@media print { figure { break-inside: avoid; } }
"""
#: What a browser may load for the page: nothing but what is in it, and no script but the page's own.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def escape(text: str) -> str:
    """A text as HTML, also where it has characters that no page may have."""
    return escape_html(visible(text, keep="\n"))


class Section:
    """A part of the page under a heading.

    Attributes:
        title: the heading; sections of a page have different ones.
        left_out: what the section says is not in it.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.left_out: list[str] = []
        self._html: list[str] = []

    @property
    def anchor(self) -> str:
        """The name by which the page links to it."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())

    def add(self, html: str) -> None:
        """What is HTML already."""
        self._html.append(html)

    def text(self, text: str) -> None:
        """A paragraph."""
        self._html.append(f"<p>{escape(text)}</p>")

    def leave_out(self, text: str) -> None:
        """A sentence on what is not here, and why."""
        self.left_out.append(text)
        self._html.append(f'<p class="note">{escape(text)}</p>')

    def heading(self, text: str) -> None:
        """A heading within the section."""
        self._html.append(f"<h3>{escape(text)}</h3>")

    def facts(self, values: Mapping[str, Any], folded: str | None = None) -> None:
        """A table of names and values; under a summary that unfolds it, if one is given."""
        rows = "".join(
            f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(str(value))}</td></tr>'
            for name, value in values.items()
        )
        self._fold(f'<table class="facts"><tbody>{rows}</tbody></table>', folded)

    def table(
        self, header: Sequence[str], rows: Iterable[Sequence[str]], n_left: int = 1, folded: str | None = None
    ) -> None:
        """A table: the first `n_left` columns are flush left, the others numbers; folded as `facts`."""

        def cells(values: Sequence[str], first: str, other: str) -> Iterator[str]:
            for i, value in enumerate(values):
                tag, side = other if i else first, "" if i < n_left else ' class="number"'
                yield f"<{tag}{side}>{escape(str(value))}</{tag.split()[0]}>"

        head = "".join(cells(header, 'th scope="col"', 'th scope="col"'))
        lines = ("".join(cells(row, 'th scope="row"', "td")) for row in rows)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        self._fold(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", folded)

    def picture(self, figure: Figure, alt: str, caption: str = "") -> None:
        """A drawing: `alt` says in words what it shows to those who do not see it."""
        width, height = (round(inches * CSS_PX_PER_INCH) for inches in figure.get_size_inches())
        image = f'<img src="{data_uri(figure)}" alt="{escape(alt)}" width="{width}" height="{height}">'
        said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        self._html.append(f"<figure>{scrolling(image, alt)}{said}</figure>")

    def html(self) -> str:
        """The section as HTML."""
        heading = f'<h2 id="{self.anchor}">{escape(self.title)}</h2>'
        return f'<section aria-labelledby="{self.anchor}">\n{heading}\n{self.body()}\n</section>'

    def body(self) -> str:
        """The same without its heading, as a part of another section."""
        return "\n".join(self._html)

    def _fold(self, html: str, summary: str | None) -> None:
        html = scrolling(html, summary or "table")
        folded = f"<details><summary>{escape(summary or '')}</summary>{html}</details>"
        self._html.append(html if summary is None else folded)


def data_uri(figure: Figure) -> str:
    """The drawing as the source of an image: SVG, its texts as shapes, or PNG where SVG is very large."""
    import matplotlib

    from fairseq_signals.plots.axes import write_figure

    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "fairseq-signals", "svg.fonttype": "path"}):
        write_figure(figure, content, format="svg", dpi=DPI, metadata={"Date": None})
    kind = "svg+xml"
    if content.tell() > LARGEST_SVG:
        content, kind = io.BytesIO(), "png"
        write_figure(figure, content, format="png", dpi=DPI)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def page(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    made: str,
    style: str = "",
    script: str = "",
) -> Iterator[str]:
    """The whole file in pieces.

    Args:
        title, subtitle: what stands above.
        sections: the parts, in order.
        made: by what and when, below.
        style: more of it.
        script: of the page, which no other can join: it is known by its digest.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"{POLICY}; script-src 'sha256-{digest}'" if script else POLICY
    entries = "".join(f'<li><a href="#{part.anchor}">{escape(part.title)}</a></li>' for part in sections)
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>\n<p>{escape(subtitle)}</p></header>\n"
        f'<nav aria-label="Contents"><ol>{entries}</ol></nav>\n<main>\n'
    )
    yield from (f"{part.html()}\n" for part in sections)
    yield f"</main>\n<footer>{escape(made)}</footer>\n"
    yield f"<script>{script}</script>\n</body>\n</html>\n" if script else "</body>\n</html>\n"


def scrolling(html: str, name: str) -> str:
    """What may be wider than a phone, in a frame of its own that scrolls, with the keyboard too."""
    return f'<div class="wide" role="group" aria-label="{escape(name)}" tabindex="0">{html}</div>'
