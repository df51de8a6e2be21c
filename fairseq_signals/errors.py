"""The errors that bad input raises: each message names what, where, and the next step."""

import difflib
import errno
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Optional

from fairseq_signals.safety.one_line import shown_by_hydra
from fairseq_signals.safety.text import visible

UNREADABLE = "unreadable"
UNFORESEEN = "for unforeseen reasons"
#: Between the lines of `str(Rejections)`.
NEXT_LINE = "\n  "
NOT_A_FILE = "not a file"
UNAVAILABLE = "not available"
WITHOUT_SIGNAL_FILE = "without a signal file"
#: Kinds of what may be there the next time: it is tried again, and a store without it is not complete.
TRIED_AGAIN = (UNAVAILABLE, WITHOUT_SIGNAL_FILE)

#: Why a record is not used: the closed list of what `rejected.tsv` has in its column `kind`.
#: Each reason, as it stands after "rejected 3 ...", and what it means.
REASONS = {
    # its files
    "not downloaded": "A table of the corpus lists the record, but its file is not there.",
    "with a name that occurs twice": "Another record of the corpus has the same name, and is kept.",
    "without a header": "A signal file that no header (`.hea`) names, or a header that is gone.",
    NOT_A_FILE: "A pipe, a socket, a device, or a link to itself, in the place of a file.",
    UNAVAILABLE: "Memory, the disk, the network or rights failed, or the file was gone: it is tried again.",
    "with a malformed header": "A line or field of the header is not as the format says.",
    WITHOUT_SIGNAL_FILE: "The signal file that the header names is not there.",
    "truncated": "The signal file ends before the samples that were announced.",
    "with a wrong checksum": "The samples do not add up to the checksum in the header: the file is damaged.",
    UNREADABLE: "The library that reads the format fails: a damaged file, or a variant it does not know.",
    "of another format": "The file is not of the format that the script is for.",
    "malformed": "A field that the format requires is not there, or not as the format says.",
    "of an unsupported kind": "A variant of the format that is not read, such as a discontinuous EDF+.",
    "after a missing segment": "A file of the authors' scripts; the segments before the gap are kept.",
    # what they hold
    "without a waveform": "The file holds no recording: an image, a report, or averaged beats alone.",
    "without any of the 12 leads": "No signal has the name of one of the twelve leads.",
    "with leads of different lengths": "The leads of a file that gives no times do not end together.",
    "with zero gain": "The gain of a lead is zero or not a number, so its millivolts are unknown.",
    "with an impossible gain": "One unit of a lead would be more than a kilovolt, or next to nothing.",
    "without a usable lead": "Every lead is constant, has missing samples, or is in no unit of voltage.",
    "without a sampling rate or unit": "Tables and arrays of which neither the file nor an option says it.",
    "with an unexpected sampling rate": "Not between 50 and 20 000 Hz.",
    "too short": "Shorter than `--min-seconds`.",
    "too long": "Longer than 12 leads of `--max-seconds`, or a file larger than any of its kind.",
    # this software
    UNFORESEEN: "An error in this software: please report it.",
}

#: What the operating system says of a name or a file that is as it is; whatever else it says may pass.
_OF_THE_FILE = (
    *(errno.EINVAL, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO),
    *(errno.EOVERFLOW, errno.EFBIG, errno.ESPIPE),
)


#: What to do about what the operating system says where a file is written.
_STEPS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Make room"),
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Choose a folder that you may write to"),
    errno.ENOENT: "Bring back its folder, which is gone,",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG), "Choose another name"),
    errno.EINVAL: "Choose another name",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "Raise the limit on open files (ulimit -n)"),
    errno.ENOMEM: "Free memory",
}
#: What libraries say without the number of the error.
_NOT_ENOUGH = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EIO)
#: What PyTorch says of memory, with `MemoryError` being none of its errors.
_NO_MEMORY = ("out of memory", "can't allocate memory", "could not create a primitive")
_ELSE = "Make room, or see what ails the disk,"


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


class FairseqSignalsError(ValueError, *shown_by_hydra()):  # type: ignore[misc]
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
        assert kind in REASONS, f"a kind of rejection that errors.py does not list: {kind!r}"
        self.kind = kind


class NotAFileError(OSError):
    """Something that is not a regular file: a pipe or a device could be read for ever."""


class SignalWarning(UserWarning):
    """A recording that can be used, but may not be what it should be: a wrong unit, leads left out."""


class LeadError(FairseqSignalsError):
    """A lead name or selection that does not exist."""


class MissingLibraryError(FairseqSignalsError):
    """An optional library that a file format or a drawing needs is not installed."""

    kind = "for want of a library"


class StoreError(FairseqSignalsError):
    """A record store that is missing, damaged or of another schema."""


class OutputError(FairseqSignalsError):
    """A file that cannot be written, or that another process is writing."""


class ManifestError(FairseqSignalsError):
    """A manifest that is missing or malformed."""


class LabelError(FairseqSignalsError):
    """A label table or weight matrix that does not fit."""


class CheckpointError(FairseqSignalsError):
    """A file that is not a checkpoint we can load."""


class TrainingError(FairseqSignalsError):
    """A training that cannot come to anything as it goes on."""


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


def signal_error(error: Exception, record: str) -> SignalError:
    """Any error over a record as one that tells its kind: the file's, from outside, or of this software.

    Args:
        record: its name, for the message.
    """
    kind = error.kind if isinstance(error, SignalError) else None
    for cause in _causes(error):
        if isinstance(cause, NotAFileError):
            return SignalError(str(error), NOT_A_FILE)
        if isinstance(cause, FileNotFoundError) and kind == WITHOUT_SIGNAL_FILE:
            break  # says what is missing
        reason = outside_reason(cause)
        if reason is not None:
            return SignalError(
                f"record {record}: not read for a reason outside the file: {reason}. "
                f"Run the same command again.",
                UNAVAILABLE,
            )
    if isinstance(error, SignalError):
        return error
    return SignalError(
        f"record {record}: unforeseen {type(error).__name__}: {error}. Please report it.", UNFORESEEN
    )


def without_record(error: Exception, name: str) -> str:
    """The message of an error over a record without the record's name, for a line that begins with it.

    Args:
        name: of the record, or the path of its file.
    """
    told, last = str(error), name.rpartition("/")[2]
    for called in (name, last, os.path.splitext(last)[0]):
        told = told.removeprefix(f"record {called}: ")
    return told


def outside_reason(error: BaseException) -> Optional[str]:
    """What failed where an error is not the file's, but of memory, the disk, the network or permissions."""
    told = str(error)
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in told for sign in _NO_MEMORY)
    ):
        return "there is not enough memory"
    of_arrow = type(error).__module__.startswith("pyarrow")  # which has no errno
    if of_arrow or (isinstance(error, OSError) and error.errno is None):
        return next((reason for reason in map(os.strerror, _NOT_ENOUGH) if reason in told), None)
    if isinstance(error, OSError) and error.errno is not None and error.errno not in _OF_THE_FILE:
        named = error.filename is not None and not isinstance(error.filename, int)
        file = f" ({os.path.basename(os.fsdecode(error.filename))})" if named else ""
        return f"{error.strerror}{file}" if error.strerror else str(error)
    return None


def _causes(error: Optional[BaseException]) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def cannot_write(what: object, error: OSError) -> OutputError:
    """The error for a file that the operating system does not take, with the next step."""
    number = error.errno
    why = str(error) if number is None or isinstance(error, NotAFileError) else os.strerror(number)
    step = _ELSE if number is None else _STEPS.get(number, _ELSE)
    return OutputError(f"{what}: cannot be written ({why}). {step} and try again.")


class Rejections:
    """Rejected records: how many for each kind of reason, and a few of them with the reason, as text.

    Args:
        n_shown: how many are shown; of each kind one, then the next.
    """

    def __init__(self, n_shown: int = 3) -> None:
        self.n_shown = n_shown
        self.counts: Counter[str] = Counter()
        self._first: dict[str, list[str]] = defaultdict(list)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        kinds = sorted(self.counts, key=lambda kind: (-self.counts[kind], kind))
        shown = sorted(
            (i, place, line) for place, kind in enumerate(kinds) for i, line in enumerate(self._first[kind])
        )[: self.n_shown]
        counts = ", ".join(f"{self.counts[kind]:,} {kind}" for kind in kinds)
        return NEXT_LINE.join([counts, *(line for _, _, line in shown)])

    def add(self, record: str, reason: str, kind: str) -> None:
        """Count a record, and keep what to show of it if it is among the first of its kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= self.n_shown:
            self._first[kind].append(visible(f"{record}: {' '.join(reason.split())}"))
