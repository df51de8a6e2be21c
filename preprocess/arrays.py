"""A folder of NumPy arrays and Parquet tables -> record store.

    python preprocess/arrays.py ROOT --dest STORE --source NAME

Every .npy, .npz and .parquet below ROOT is a record. What the files do not say, options do: --input-fs,
--unit, --lead-names.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of NumPy arrays and Parquet tables -> record store", "arrays")

if __name__ == "__main__":
    sys.exit(main())
