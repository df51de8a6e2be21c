"""A folder of SCP-ECG files -> record store.

    python preprocess/scp.py ROOT --dest STORE --source NAME

Every .scp and .ecg file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of SCP-ECG files -> record store", "scp")

if __name__ == "__main__":
    sys.exit(main())
