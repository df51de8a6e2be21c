"""A folder of Schiller XML files -> record store.

    python preprocess/schiller_xml.py ROOT --dest STORE --source NAME

Every .xml file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of Schiller XML files -> record store", "schiller_xml")

if __name__ == "__main__":
    sys.exit(main())
