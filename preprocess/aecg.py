"""A folder of HL7 annotated ECG (aECG) files -> record store.

    python preprocess/aecg.py ROOT --dest STORE --source NAME

Every .xml file below ROOT is a record.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairseq_signals.commands.preprocess_folder import preprocess_files

SUFFIXES = (".xml",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return preprocess_files(argv, "a folder of HL7 aECG files -> record store", SUFFIXES, "aecg")


if __name__ == "__main__":
    sys.exit(main())
