"""`manifest.json`: what a folder of manifests is, and whether all of it was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fairseq_signals.errors import ManifestError

INFO_FILE = "manifest.json"
#: What it says while the files of a set get their names: those of two sets may be there.
UNFINISHED = {"complete": False}


def read_info(folder: Path) -> dict[str, Any]:
    """The content of `manifest.json`; empty where there is none."""
    path = folder / INFO_FILE
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ManifestError(f"{path}: not valid JSON ({error}); rebuild the manifests") from None
    return info if isinstance(info, dict) else {}


def require_complete(folder: Path) -> None:
    """Refuse a folder whose manifests may be of two sets, since writing them was cut short."""
    if read_info(folder).get("complete") is False:
        raise ManifestError(
            f"{folder}: writing these manifests was cut short, so some may be of an older set "
            f"({INFO_FILE}: complete is false). Run the script that makes them again."
        )
