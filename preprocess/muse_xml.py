"""A folder of GE MUSE XML exports -> record store.

    python preprocess/muse_xml.py ROOT --dest STORE --source NAME

Every .xml file below ROOT is a record. Limb leads that a file does not hold are computed from I and II.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairseq_signals.commands.preprocess_folder import preprocess_files

SUFFIXES = (".xml",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return preprocess_files(argv, "a folder of GE MUSE XML exports -> record store", SUFFIXES, "muse_xml")


if __name__ == "__main__":
    sys.exit(main())
