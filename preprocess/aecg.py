"""A folder of HL7 annotated ECG (aECG) files -> record store.

    python preprocess/aecg.py ROOT --dest STORE --source NAME

Every .xml file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of HL7 aECG files -> record store", "aecg")

if __name__ == "__main__":
    sys.exit(main())
