"""A folder of ISHNE Holter files -> record store.

    python preprocess/ishne.py ROOT --dest STORE --source NAME

Every .ecg file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of ISHNE Holter files -> record store", "ishne")

if __name__ == "__main__":
    sys.exit(main())
