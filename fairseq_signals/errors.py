"""The errors that bad input raises: each message names what, where, and the next step."""

import difflib
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

from fairseq_signals.store.reasons import REASONS, UNREADABLE


def did_you_mean(name: str, known: Iterable[str], form: str = "; {}", cutoff: float = 0.5) -> str:
    """A hint such as "; did you mean A or B?": the known names nearest to `name`, or "" where none is near.

    Args:
        name: what was given; a name that differs in capitals alone is the only one that is meant.
        known: what there is.
        form: how the hint goes on with the message.
        cutoff: how alike names must be, from 0 to 1 (equal).
    """
    wanted, by_lower = name.lower(), {each.lower(): each for each in known}
    near = [wanted] if wanted in by_lower else difflib.get_close_matches(wanted, by_lower, 3, cutoff)
    return form.format(f"did you mean {' or '.join(by_lower[each] for each in near)}?") if near else ""


class FairseqSignalsError(ValueError):
    """Base of all errors about a user's input.

    Attributes:
        kind: the reason, by which recordings that cannot be used are counted.
    """

    kind = "for other reasons"


class SignalError(FairseqSignalsError):
    """A recording that cannot be read or used.

    Attributes:
        kind: the reason, by which preprocessing counts rejections ("truncated"): a key of `REASONS`.
    """

    def __init__(self, message: str, kind: str = UNREADABLE) -> None:
        super().__init__(message)
        assert kind in REASONS, f"a kind of rejection that ecg/reasons.py does not list: {kind!r}"
        self.kind = kind


class SignalWarning(UserWarning):
    """A recording that can be used, but may not be what it should be: a wrong unit, leads left out."""


class LeadError(FairseqSignalsError):
    """A lead name or selection that does not exist."""


class MissingLibraryError(FairseqSignalsError):
    """An optional library that a file format or a drawing needs is not installed."""

    kind = "for want of a library"


class StoreError(FairseqSignalsError):
    """A record store that is missing, damaged or of another schema."""


class ManifestError(FairseqSignalsError):
    """A manifest that is missing or malformed."""


class LabelError(FairseqSignalsError):
    """A label table or weight matrix that does not fit."""


class CheckpointError(FairseqSignalsError):
    """A file that is not a checkpoint we can load."""


class ConfigError(FairseqSignalsError):
    """A configuration key or value that is not valid."""


def optional_library(name: str, needed_by: str, extra: str, note: str = "") -> ModuleType:
    """An installed module of a library that only a part of the package needs.

    Args:
        name: what is imported; its first part is the library's name.
        needed_by: what needs it, for the message: "EDF".
        extra: of this package, which brings the library.
        note: put at the end of the message.

    Raises:
        MissingLibraryError: it is not installed, or cannot be imported.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise missing_library(name, needed_by, extra, error, note) from error


def missing_library(
    name: str, needed_by: str, extra: str, error: ImportError, note: str = ""
) -> MissingLibraryError:
    """What `optional_library` raises: the import of `name` ended in `error`."""
    return MissingLibraryError(
        f"{needed_by} needs the library {name.split('.')[0]}, which cannot be imported ({error}). "
        f"Install it with: pip install 'fairseq-signals[{extra}]'{note}"
    )
