"""A folder of Kardia JSON files -> record store.

    python preprocess/kardia_json.py ROOT --dest STORE --source NAME

Every .json file below ROOT is a record.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of Kardia JSON files -> record store", "kardia_json")

if __name__ == "__main__":
    sys.exit(main())
