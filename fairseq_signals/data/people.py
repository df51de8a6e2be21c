"""Who is who across stores and manifests: which records are one acquisition, and which are of one patient.

A corpus may be published twice under other names, once with patients and once without; PTB-XL is part of
PhysioNet 2021 without its patient numbers. Splits and exclusions must see through that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# PTB-XL record 42 is `HR00042` in PhysioNet 2021, `00042_hr` and `00042_lr` (500, 100 Hz) in PTB-XL itself
_PTB_XL = re.compile(r"(?:.*/)?(?:HR(\d{5})|(\d{5})_[hl]r)")
_PTB_XL_NUMBER = re.compile(r"ptb[-_ ]?xl/(?:.*/)?0*(\d+)", re.IGNORECASE)


def record_key(source: str, record_id: str) -> str:
    """The name of a record in a manifest."""
    return f"{source}/{record_id}"


def patient_key(source: str, record_id: str, patient_id: str | None) -> str:
    """The name of a record's patient in a manifest; where the corpus names none, the record stands in."""
    return f"{source}/{patient_id}" if patient_id else f"{source}/record/{record_id}"


def acquisition(record: str) -> str:
    """One name for all published copies of a record, given its name in a manifest."""
    match = _PTB_XL.fullmatch(record)
    number = (match[1] or match[2]) if match else None
    if number is None:
        match = _PTB_XL_NUMBER.fullmatch(record)
        number = match[1] if match else None
    return record if number is None else f"PTB-XL/{int(number)}"


class People:
    """Groups of records that belong to one person, from all that is known about records and patients.

    Each fact links a record to a patient; a record under two patient names makes these one person.
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def link(self, record: str, patient: str) -> None:
        """Note that a record (its name in a manifest) is of a patient (likewise)."""
        a, b = self._find(f"r:{acquisition(record)}"), self._find(f"p:{patient}")
        if a != b:
            self._parent[max(a, b)] = min(a, b)  # the order of facts does not matter

    def link_all(self, facts: Iterable[tuple[str, str]]) -> None:
        """Note many (record, patient) facts."""
        for record, patient in facts:
            self.link(record, patient)

    def of_record(self, record: str) -> str:
        """A name of the person, the same for all their records; it changes as facts are added."""
        return self._find(f"r:{acquisition(record)}")

    def patient_names(self, records: Mapping[str, str]) -> dict[str, str]:
        """For each record (mapped to its patient) one patient name that all records of the person share."""
        names: dict[str, str] = {}
        for record, patient in records.items():
            person = self.of_record(record)
            # a real patient number goes before a record that stands in for one
            names[person] = min(
                names.get(person, patient), patient, key=lambda name: ("/record/" in name, name)
            )
        return {record: names[self.of_record(record)] for record in records}

    def _find(self, node: str) -> str:
        root = node
        while (parent := self._parent.setdefault(root, root)) != root:
            root = parent
        while self._parent[node] != root:  # later look-ups take one step
            self._parent[node], node = root, self._parent[node]
        return root
