"""Tables of a header line and tab-separated cells that lie beside manifests: texts, questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.errors import ManifestError
from fairseq_signals.files import open_text
from fairseq_signals.manifest.info import require_complete


def table_lines(path: Path, columns: Sequence[str], what: str, remedy: str) -> list[str]:
    """The lines of a table but for its header.

    Args:
        columns: of the header.
        what: is in the table, for messages.
        remedy: what to do where it cannot be used.

    Raises:
        ManifestError: it is absent or no text, has other columns, or lies beside manifests that were not all
            written.
    """
    require_complete(path.parent)
    try:
        with open_text(path) as file:
            header, *lines = file.read().rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: the {what} cannot be read ({error}). {remedy}") from None
    if header != "\t".join(columns):
        raise ManifestError(
            f"{path}:1: must be the columns {', '.join(columns)}, but is {header!r}. {remedy}"
        )
    return lines
