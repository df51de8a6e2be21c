"""A folder of SCP-ECG files -> record store.

    python preprocess/scp.py ROOT --dest STORE --source NAME

Every .scp and .ecg file below ROOT is a record.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairseq_signals.commands.preprocess_folder import preprocess_files

SUFFIXES = (".scp", ".ecg")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return preprocess_files(argv, "a folder of SCP-ECG files -> record store", SUFFIXES, "scp")


if __name__ == "__main__":
    sys.exit(main())
