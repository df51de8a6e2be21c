"""What a user says about files besides what they say themselves: the options of every reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fairseq_signals.ecg.lead_names import NOTHING_SAID, LeadNames, parse_lead_names
from fairseq_signals.errors import ConfigError

FILL, REFUSE = GAPS = ("fill", "refuse")
MAX_GAP_S = 0.04  # of one gap that is filled
MAX_SHARE = 0.005  # of a lead's samples that may be
MAX_SECONDS = 48 * 3600.0


@dataclass(frozen=True)
class ReadOptions:
    """How files are read; the readers' argument `options`.

    Attributes:
        lead_names: which lead channels are that files call otherwise.
        gaps: "fill" interpolates a few missing samples, see `fairseq_signals.formats.gaps`; "refuse" leaves
            out a lead with any.
        amplitude_scale: every sample is multiplied by it.
        max_seconds: a file is refused that says it holds more than 12 leads of this length.
        fs: sampling rate in Hz of files that do not say it, such as tables of numbers.
        unit: unit of files that do not say it.
        exact: keep the samples of a record, of which 16 bits would round some, as float32 millivolt. So the
            openers of inference read; stores keep 16 bits.
    """

    lead_names: LeadNames = NOTHING_SAID
    gaps: str = FILL
    amplitude_scale: float = 1.0
    max_seconds: float = MAX_SECONDS
    fs: float | None = None
    unit: str | None = None
    exact: bool = False


DEFAULTS = ReadOptions()


def read_options(lead_names: Any = None, gaps: str = FILL, **others: Any) -> ReadOptions:
    """Options in a caller's words.

    Args:
        lead_names: as `parse_lead_names` takes it.
        gaps, others: see `ReadOptions`.

    Raises:
        LeadError: see `parse_lead_names`.
        ConfigError: `gaps` is neither of its values.
    """
    if gaps not in GAPS:
        raise ConfigError(f"gaps must be {' or '.join(map(repr, GAPS))}, but is {gaps!r}")
    return ReadOptions(parse_lead_names(lead_names), gaps, **others)
