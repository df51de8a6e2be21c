"""`manifest.json`: what a folder of manifests is, and whether all of it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq_signals.errors import ManifestError
from fairseq_signals.safety.rules import TRUTH, check, read_json, section, text

INFO_FILE = "manifest.json"
#: What it says while the files of a set get their names: those of two sets may be there.
UNFINISHED = {"complete": False}
_RULES = {
    "kind": text(40),
    "complete": TRUTH,
    "within_record": section(dict.fromkeys(("valid", "test"), TRUTH)),
    "protocols": section(dict.fromkeys(("valid", "test"), text(40))),
}


def read_info(folder: Path) -> dict[str, Any]:
    """The content of `manifest.json`; empty where there is none."""
    path = folder / INFO_FILE
    try:
        info = read_json(path, ManifestError)
    except FileNotFoundError:
        return {}
    if not isinstance(info, dict):
        raise ManifestError(f"{path}: not what a manifest script wrote; run the script again")
    check(info, _RULES, f"{path}: ", ManifestError)
    return info


def require_complete(folder: Path) -> None:
    """Refuse a folder whose manifests may be of two sets, since writing them was cut short."""
    if read_info(folder).get("complete") is False:
        raise ManifestError(
            f"{folder}: writing these manifests was cut short, so some may be of an older set "
            f"({INFO_FILE}: complete is false). Run the script that makes them again."
        )
