"""A folder of MFER files -> record store.

    python preprocess/mfer.py ROOT --dest STORE --source NAME

Every .mwf, .mfer and .mfr file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of MFER files -> record store", "mfer")

if __name__ == "__main__":
    sys.exit(main())
