"""A folder of GE MUSE XML exports -> record store.

    python preprocess/muse_xml.py ROOT --dest STORE --source NAME

Every .xml file below ROOT is a record. Limb leads that a file does not hold are computed from I and II.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of GE MUSE XML exports -> record store", "muse_xml")

if __name__ == "__main__":
    sys.exit(main())
