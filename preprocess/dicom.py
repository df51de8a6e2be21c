"""A folder of DICOM waveforms (12-lead ECG, general ECG) -> record store.

    python preprocess/dicom.py ROOT --dest STORE --source NAME

Every .dcm file below ROOT is a record, and every file of another name that begins as DICOM does, with its
mark ("DICM" at byte 128) or without preamble, as in exports whose files are named by their UID.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of DICOM waveforms -> record store", "dicom")

if __name__ == "__main__":
    sys.exit(main())
