"""Configurations of trainings: files of a user's own, and those that ship, by name."""

from __future__ import annotations

import re
from pathlib import Path

from fairseq_signals.errors import ConfigError, did_you_mean
from fairseq_signals.installed import find_folder
from fairseq_signals.manifest.folder import PRETRAIN

_CONFIGS = Path(__file__).resolve().parent / "config"


def find_config(name: str, step: str) -> Path:
    """A YAML file by its path, or one that ships by its name: `pretrain`, or a stem below `examples/`.

    Raises:
        ConfigError: there is none, or several of that name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"--config: there is no file {path}")
        return path.absolute()
    examples = find_folder("examples")
    shipped = sorted(_CONFIGS.glob("*.yaml"))
    shipped += sorted(path for path in examples.glob("*/config/**/*.yaml") if _is_of(path, step))
    found = [path for path in shipped if name in (path.stem, str(path)[len(str(examples)) + 1 : -5])]
    if found and (found[0].parent == _CONFIGS or len(found) == 1):
        return found[0]
    if found:
        paths = ", ".join(map(str, found))
        raise ConfigError(f"--config: {name} is the name of several files; name one of {paths}")
    known = sorted({path.stem for path in shipped})
    raise ConfigError(
        f"--config: no configuration {name} ships{did_you_mean(name, known)}. There are {', '.join(known)}; "
        "or name a file that ends in .yaml"
    )


def _is_of(path: Path, step: str) -> bool:
    """Whether a file of the examples configures trainings of a step."""
    found = re.search(
        r"^task:\n(?: .*\n|\n)*?  _name: *(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    return found is not None and found[1].endswith("_pretraining") == (step == PRETRAIN)
