"""Why a record is not used: the closed list of reasons that `rejected.tsv` has in its column `kind`."""

from __future__ import annotations

from collections import Counter, defaultdict

UNREADABLE = "unreadable"
UNFORESEEN = "for unforeseen reasons"

#: Each reason, as it stands after "rejected 3 ...", and what it means.
REASONS = {
    # its files
    "not downloaded": "A table of the corpus lists the record, but its file is not there.",
    "with a name that occurs twice": "Another record of the corpus has the same name, and is kept.",
    "without a header": "A signal file that no header (`.hea`) names, or a header that is gone.",
    "with an unreadable header": "The operating system does not give the header (permissions, a bad disk).",
    "with a malformed header": "A line or field of the header is not as the format says.",
    "without a signal file": "The signal file that the header names is not there.",
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
    "with an unexpected sampling rate": "Not between 50 and 20 000 Hz.",
    "too short": "Shorter than `--min-seconds`.",
    # this software
    UNFORESEEN: "An error in this software: please report it.",
}


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
        return "\n  ".join([counts, *(line for _, _, line in shown)])

    def add(self, record: str, reason: str, kind: str) -> None:
        """Count a record, and keep what to show of it if it is among the first of its kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= self.n_shown:
            self._first[kind].append(f"{record}: {' '.join(reason.split())}")
