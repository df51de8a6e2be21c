"""Any folder of WFDB records -> record store.

    python preprocess/wfdb_folder.py ROOT --dest STORE --source NAME

Every header (.hea) below ROOT is a record, its id the path below ROOT. What the headers do not tell can come
from a table (--metadata); see preprocess/README.md for its columns.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("any folder of WFDB records -> record store", "wfdb")

if __name__ == "__main__":
    sys.exit(main())
