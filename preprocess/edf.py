"""A folder of EDF, EDF+ or BDF files -> record store.

    python preprocess/edf.py ROOT --dest STORE --source NAME

Every .edf, .bdf and .rec file below ROOT is a record.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairseq_signals.commands.preprocess_folder import preprocess_files

SUFFIXES = (".edf", ".bdf", ".rec")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return preprocess_files(argv, "a folder of EDF, EDF+ or BDF files -> record store", SUFFIXES, "edf")


if __name__ == "__main__":
    sys.exit(main())
