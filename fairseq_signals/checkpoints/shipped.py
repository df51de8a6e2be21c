"""Models by what they are called: the folder of a training, weights that come with the package."""

from pathlib import Path
from typing import Any, List

from fairseq_signals.checkpoints.saved_model import CONFIG
from fairseq_signals.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[1] / "weights"
#: The models in the folder of a training, the one that counts first.
TRAINED = ("final.pt", "checkpoint_best.pt", "checkpoint_last.pt")


def shipped_names() -> List[str]:
    """What the weights of this installation are called."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CONFIG}"))


def shipped_folder(name: str) -> Path:
    """The folder of weights.

    Raises:
        ConfigError: this installation has none of that name.
    """
    names = shipped_names()
    if name in names:
        return FOLDER / name
    if names:
        raise ConfigError(
            f"there are no weights called {name!r}; those that come with the package: {', '.join(names)}"
        )
    raise ConfigError(
        f"there are no weights called {name!r}: this installation has none (in {FOLDER}); install its "
        "wheel, or make them in a checkout: make starter"
    )


def model_place(path: Any) -> Path:
    """Where a model is: a file or folder if there is one, else weights of the package that are so called.

    Of the folder of a training it is the model that was kept, else its best checkpoint, else its last.
    """
    path = Path(path)
    if not path.exists() and str(path) in shipped_names():
        return FOLDER / path
    return next((path / name for name in TRAINED if (path / name).is_file()), path)
