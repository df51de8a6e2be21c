"""The errors that bad input raises: each message names what, where, and the next step."""

from fairseq_signals.ecg.reasons import REASONS, UNREADABLE


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
