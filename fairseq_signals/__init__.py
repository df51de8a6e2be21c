"""Lead-agnostic self-supervised learning of electrocardiograms, as a plugin for stock fairseq.

Importing this package is cheap. Its tasks, models and criterions are registered with fairseq as soon as
fairseq itself is imported: at once where it already is, so that `common.user_dir=fairseq_signals`,
`import fairseq_signals` before fairseq's Python API and the reverse order all work. Where fairseq is not
installed, reading records, metrics and trained models still work:

    from fairseq_signals import ECGModel, read_recording
"""

from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from fairseq_signals.checkpoints.loading import load_model
    from fairseq_signals.inference.embedder import ECGEmbedder
    from fairseq_signals.inference.gallery import Gallery
    from fairseq_signals.inference.listing import read_recordings
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.recording import Recording
    from fairseq_signals.inference.sources import StoreRecord, read_recording
    from fairseq_signals.training.arrays import train_on_arrays

__all__ = [
    "ECGEmbedder",
    "ECGModel",
    "Gallery",
    "Recording",
    "StoreRecord",
    "__version__",
    "load_model",
    "read_recording",
    "read_recordings",
    "train_on_arrays",
]
__version__ = "0.1.0"

#: Where the public names are; each is imported when it is first asked for.
_MODULES = {
    "ECGEmbedder": "inference.embedder",
    "ECGModel": "inference.model",
    "Gallery": "inference.gallery",
    "Recording": "inference.recording",
    "StoreRecord": "inference.sources",
    "load_model": "checkpoints.loading",
    "read_recording": "inference.sources",
    "read_recordings": "inference.listing",
    "train_on_arrays": "training.arrays",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"fairseq_signals.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})


@wrapt.when_imported("fairseq")
def _register(fairseq: object) -> None:
    """Register every task, model and criterion; each module registers what it defines."""
    from fairseq_signals import criterions, models, tasks  # noqa: F401
