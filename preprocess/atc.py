"""A folder of AliveCor ATC files -> record store.

    python preprocess/atc.py ROOT --dest STORE --source NAME

Every .atc file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of AliveCor ATC files -> record store", "atc")

if __name__ == "__main__":
    sys.exit(main())
