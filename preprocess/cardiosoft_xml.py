"""A folder of GE CardioSoft XML files -> record store.

    python preprocess/cardiosoft_xml.py ROOT --dest STORE --source NAME

Every .xml file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of GE CardioSoft XML files -> record store", "cardiosoft_xml")

if __name__ == "__main__":
    sys.exit(main())
