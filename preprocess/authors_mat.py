"""Folders that were preprocessed by the authors' scripts (one .mat file a segment) -> record store.

    python preprocess/authors_mat.py ROOT --dest STORE --source NAME

The segments <record>_0.mat, <record>_1.mat, ... become one record again. Manifests of the authors' scripts
can be used without this; a store takes a quarter of the space and is read faster.
"""

import sys

from fairseq_signals.commands.preprocess_folder import folder_script

main = folder_script("folders preprocessed by the authors' scripts -> record store", "authors_mat")

if __name__ == "__main__":
    sys.exit(main())
