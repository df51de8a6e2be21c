"""Corpora that were published at another amplitude than they were recorded at, known by what files say.

CODE-15% and SaMi-Trop hold twice the millivolts: their providers' tool, antonior92/ecg-preprocessing, made
them with `--scale 2` (its README, "Available datasets in HDF5"), which the WFDB files of the PhysioNet/CinC
Challenge 2025 took over.
"""

from __future__ import annotations

import re
from dataclasses import replace

from fairseq_signals.ecg.record import Subject
from fairseq_signals.formats.options import ReadOptions

_TWICE = {"code15", "samitrop"}  # letters and digits of their names
_FS = 400.0  # Hz, of both
MAY_BE_DOUBLED = "taken as millivolt; of SaMi-Trop, samples are twice that (--amplitude-scale 0.5)"
NOTE = "published at twice its amplitude (CODE-15%, SaMi-Trop): halved"


def is_doubled(fs: float, subject: Subject) -> bool:
    """Whether a header is of CODE-15% or SaMi-Trop: by its `Source`, else by its rate and keywords."""
    said = {key.lower(): value for key, value in subject.other}
    if "source" in said:
        return re.sub(r"[^a-z0-9]", "", said["source"].lower()) in _TWICE
    return fs == _FS and {"exam id", "chagas label"} <= set(said)


def halving(options: ReadOptions) -> ReadOptions:
    """The options with which samples of these corpora are the millivolts that were recorded."""
    return replace(options, amplitude_scale=options.amplitude_scale / 2)
