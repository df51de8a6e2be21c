"""A folder of tables of numbers as text (CSV, TXT, TSV) -> record store.

    python preprocess/number_table.py ROOT --dest STORE --source NAME

Every .csv, .txt and .tsv below ROOT is a record, compressed (.gz) or not: a column or a row a lead. What
the files do not say, options do: --input-fs, --unit, --lead-names.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("a folder of tables of numbers as text (CSV, TXT, TSV) -> record store", "number_table")

if __name__ == "__main__":
    sys.exit(main())
