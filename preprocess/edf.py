"""A folder of EDF, EDF+ or BDF files -> record store.

    python preprocess/edf.py ROOT --dest STORE --source NAME

Every .edf, .bdf and .rec file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of EDF, EDF+ or BDF files -> record store", "edf")

if __name__ == "__main__":
    sys.exit(main())
