"""What is written of classes, by which they are told without labels: prompts."""

from __future__ import annotations

from pathlib import Path

from fairseq_signals.errors import LabelError, did_you_mean
from fairseq_signals.manifest.labels import LabelTable
from fairseq_signals.store.csv_table import read_table

COLUMNS = ("class", "prompt")


def prompts_of(table: LabelTable, path: Path | None = None) -> list[tuple[int, str]]:
    """Class and text of each prompt: in the order of a file, or the names of the label table.

    Args:
        table: the classes.
        path: CSV with the columns `class`, a name or abbreviation of the table, and `prompt`; a class may
            have several.

    Raises:
        LabelError: a class that there is not, an empty prompt, or a class without any; names the line.
    """
    if path is None:
        return list(enumerate(table.names))
    found = []
    known = {name: i for names in (table.names, table.abbreviations) for i, name in enumerate(names) if name}
    for row in read_table(path, COLUMNS, LabelError)[1]:
        name = row.text("class")
        if name not in known:
            raise LabelError(f"{row.where}: there is no class {name!r}{did_you_mean(name, known)}")
        found.append((known[name], row.text("prompt")))
    without = [name for i, name in enumerate(table.names) if i not in dict(found)]
    if without:
        raise LabelError(
            f"{path}: has no prompt for {len(without)} of {len(table)} classes: {', '.join(without)}"
        )
    return found
