"""Proof that manifests keep patients and records apart, and that every segment they name exists.

Example:
    python manifests/check.py manifests/pretrain manifests/dx manifests/id
"""

from __future__ import annotations

import argparse
import sys

from fairseq_signals.commands.arguments import some_path
from fairseq_signals.commands.manifest_arguments import script_main, script_parser
from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.building import count_line
from fairseq_signals.manifest.checking import check_sets
from fairseq_signals.manifest.folder import PRETRAIN, ManifestSet, read_set
from fairseq_signals.manifest.people import unknown_patients
from fairseq_signals.manifest.table import STORE
from fairseq_signals.safety.text import tell


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "folders", nargs="*", type=some_path, metavar="DIR", help="folder of manifests, of any kind"
    )
    parser.add_argument(
        "--pretrain",
        nargs="+",
        type=some_path,
        default=[],
        metavar="DIR",
        help="folders to take for pre-training ones (the authors' manifests do not say their kind)",
    )
    return parser


def check(args: argparse.Namespace) -> int:
    """Print what the folders hold and each violation; 1 if there is any."""
    if not args.folders and not args.pretrain:
        raise ConfigError("name at least one folder of manifests")
    sets = [read_set(folder) for folder in args.folders]
    sets += [read_set(folder, PRETRAIN) for folder in args.pretrain]
    for one in sets:
        _print_counts(one)
    layouts = {manifest.layout == STORE for one in sets for manifest in one.manifests.values()}
    if len(layouts) == 2:
        print("note: manifests of .mat files do not tell the corpus; they are compared among themselves only")
    violations = check_sets(sets)
    for violation in violations:
        tell(f"VIOLATION {violation}", sys.stdout)
    print(f"{len(violations)} violations" if violations else "no violations")
    return 1 if violations else 0


def _print_counts(one: ManifestSet) -> None:
    print(f"{one.folder} ({one.kind})")
    for name, manifest in one.manifests.items():
        print(count_line(name, manifest.counts()))
    patient_of = {r: p for manifest in one.manifests.values() for r, p in manifest.patient_of().items()}
    _, note = unknown_patients(patient_of.values())
    if note:
        print(f"  {note}")


main = script_main(build_parser, check)

if __name__ == "__main__":
    sys.exit(main())
