"""PhysioNet/CinC Challenge 2021 training data -> record store.

    python preprocess/physionet2021.py ROOT --dest STORE

ROOT holds the subsets as folders, named as in the challenge (WFDB_CPSC2018, ...) or as in the release 1.0.3
(training/cpsc_2018/g1, ...). Where to get them: preprocess/README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.commands.arguments import some_path
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.commands.store_arguments import warn
from fairseq_signals.errors import StoreError
from fairseq_signals.formats.folder import WITHOUT_HEADER, iter_records
from fairseq_signals.store.conversion import Item, item_of
from fairseq_signals.store.record_table import join_table, read_record_table

#: Name of each subset, as `source` in the store, and the name of its folder in the challenge.
SUBSETS = {
    "cpsc_2018": "WFDB_CPSC2018",
    "cpsc_2018_extra": "WFDB_CPSC2018_2",
    "st_petersburg_incart": "WFDB_StPetersburg",
    "ptb": "WFDB_PTB",
    "ptb-xl": "WFDB_PTBXL",
    "georgia": "WFDB_Ga",
    "chapman_shaoxing": "WFDB_ChapmanShaoxing",
    "ningbo": "WFDB_Ningbo",
}


def list_records(args: argparse.Namespace) -> list[Item]:
    """The records of the subsets that are asked for, with their patients if a table tells them."""
    wanted = parse_subsets(args.subsets)
    folders = find_subsets(args.root, wanted)
    missing = [name for name in wanted if name not in folders]
    if not folders or (missing and args.subsets is not None):
        looked_for = ", ".join(f"{SUBSETS[name]} or {name}" for name in missing)
        raise StoreError(
            f"{args.root}: there is no folder {looked_for}. Give the folder that holds the subsets."
        )
    for name in missing:
        warn(
            f"subset {name}: there is no folder {SUBSETS[name]} or {name} in {args.root}; going on without it"
        )
    items: list[Item] = []
    for name, paths in folders.items():
        found = list_subset(name, paths)
        if not found:
            warn(f"subset {name}: there is no record in {', '.join(map(str, paths))}")
        items += found
    if not items:
        raise StoreError(f"{args.root}: there is no record (.hea) in any of the subset folders")
    if args.patients is not None:
        items, remarks = join_table(items, read_record_table(args.patients))
        warn(*remarks)
    return items


def parse_subsets(text: str | None) -> list[str]:
    """The subsets named by `--subsets`, by either of their names.

    Raises:
        StoreError: a name that is not a subset.
    """
    if text is None:
        return list(SUBSETS)
    by_name = {alias.lower(): name for name, folder in SUBSETS.items() for alias in (name, folder)}
    names = []
    for given in filter(None, (part.strip() for part in text.split(","))):
        if given.lower() not in by_name:
            raise StoreError(f"--subsets: there is no subset {given!r}. They are {', '.join(SUBSETS)}.")
        names.append(by_name[given.lower()])
    return list(dict.fromkeys(names))


def find_subsets(root: Path, wanted: Sequence[str]) -> dict[str, list[Path]]:
    """The folders of each subset, in either layout, in `root` or its subfolder `training`."""
    if not root.is_dir():
        raise StoreError(f"{root}: there is no such folder")
    by_name = {alias.lower(): name for name in wanted for alias in (name, SUBSETS[name])}
    found: dict[str, list[Path]] = {}
    for parent in (root, root / "training"):
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            name = by_name.get(folder.name.lower())
            if name is not None and folder.is_dir():
                found.setdefault(name, []).append(folder)
    return {name: found[name] for name in wanted if name in found}


def list_subset(name: str, folders: Sequence[Path]) -> list[Item]:
    """The records of one subset; the file name is the record's id, wherever in the subset it lies."""
    items: dict[str, Item] = {}
    for folder in folders:
        # signal files without a header come last
        for found in sorted(iter_records(folder), key=lambda f: (f.rejected_kind == WITHOUT_HEADER, f)):
            item = item_of(found._replace(record_id=PurePosixPath(found.record_id).name), name)
            if found.rejected_kind == WITHOUT_HEADER:
                record_id = PurePosixPath(found.path.name).stem
                items.setdefault(record_id, replace(item, record_id=record_id))
            elif item.record_id in items:
                first = items[item.record_id].path
                items[item.record_id + " (again)"] = replace(
                    item,
                    rejected=f"{item.path}: {first} has the same name and is kept. Remove one of them.",
                    rejected_kind="with a name that occurs twice",
                )
            else:
                items[item.record_id] = item
    return list(items.values())


main = corpus_script(
    "PhysioNet/CinC Challenge 2021 training data -> record store",
    "folder that holds the subsets, or their `training` folder",
    list_records,
    {
        "--subsets": {
            "help": f"names separated by commas, out of {', '.join(SUBSETS)} (default: all there are)"
        },
        "--patients": {
            "type": some_path,
            "metavar": "CSV",
            "help": "table with columns record_id and patient_id: the challenge does not tell who is who",
        },
    },
)

if __name__ == "__main__":
    sys.exit(main())
