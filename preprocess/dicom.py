"""A folder of DICOM waveforms (12-lead ECG, general ECG) -> record store.

    python preprocess/dicom.py ROOT --dest STORE --source NAME

Every .dcm file below ROOT is a record, and every file of another name that has the mark of DICOM ("DICM" at
byte 128), as in exports whose files are named by their UID.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairseq_signals.commands.preprocess_folder import preprocess_files
from fairseq_signals.formats.detect import is_dicom

SUFFIXES = (".dcm", ".dicom", ".ima")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return preprocess_files(argv, "a folder of DICOM waveforms -> record store", SUFFIXES, "dicom", is_dicom)


if __name__ == "__main__":
    sys.exit(main())
