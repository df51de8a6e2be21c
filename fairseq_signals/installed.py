"""The folders of scripts and examples that come with the package."""

from __future__ import annotations

from pathlib import Path

from fairseq_signals.errors import ConfigError

#: Where the scripts of a subcommand lie: in a wheel in the package's scripts/, in a checkout beside it.
SCRIPT_FOLDERS = {"preprocess": "preprocess", "manifest": "manifests"}
PACKAGE = Path(__file__).resolve().parent


def find_folder(name: str, package: Path = PACKAGE) -> Path:
    """The folder of scripts or examples: inside the package (wheel) or beside it (checkout).

    Raises:
        ConfigError: the installation has neither.
    """
    inside = package / "scripts" if name in SCRIPT_FOLDERS.values() else package
    for folder in (inside / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise ConfigError(f"no folder {name} in {package} or beside it; install the package again")


def find_scripts(command: str) -> dict[str, Path]:
    """The scripts that a subcommand can run, by name."""
    folder = find_folder(SCRIPT_FOLDERS[command])
    return {path.stem: path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")}
