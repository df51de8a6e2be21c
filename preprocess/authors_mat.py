"""Folders that were preprocessed by the authors' scripts (one .mat file a segment) -> record store.

    python preprocess/authors_mat.py ROOT --dest STORE --source NAME

The segments <record>_0.mat, <record>_1.mat, ... become one record again. Manifests of the authors' scripts
can be used without this; a store takes a quarter of the space and is read faster.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairseq_signals.commands.preprocess_folder import preprocess_files

SUFFIXES = (".mat",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    description = "folders preprocessed by the authors' scripts -> record store"
    return preprocess_files(argv, description, SUFFIXES, "authors_mat")


if __name__ == "__main__":
    sys.exit(main())
