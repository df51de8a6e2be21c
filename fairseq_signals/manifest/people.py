"""Who is who across stores and manifests: which records are one acquisition, and which are of one patient.

A corpus may be published twice under other names, once with patients and once without; PTB-XL is part of
PhysioNet 2021 without its patient numbers. Splits and exclusions must see through that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

# PTB-XL record 42 is `HR00042` in PhysioNet 2021, `00042_hr` and `00042_lr` (500, 100 Hz) in PTB-XL itself
_PTB_XL = re.compile(r"(?:.*/)?(?:HR(\d{5})|(\d{5})_[hl]r)|(?i:ptb[-_ ]?xl)/(?:.*/)?0*(\d+)", re.ASCII)
#: Matches every name that this one does, and few others; for Arrow.
MAYBE_PTB_XL = r"HR\d{5}$|\d{5}_[hl]r$|(?i:ptb[-_ ]?xl/)"

#: PTB's persons: named `ptbNNN`, as the lead-I variability database has them, by the folder `patientNNN` of
#: a store that is called after PTB, or by a record that no other corpus has, `patientNNN/sNNNN_re`.
_PTB_PERSON = re.compile(
    r"[^/]*/ptb(\d{3})"
    r"|(?i:ptb(?!.?xl)[^/]*)/(?:patient|ptb)0*(\d+)"
    r"|[^/]*/record/(?:.*/)?patient0*(\d+)/s\d{4}[a-z_]re",
    re.ASCII,
)


def patient_key(source: str, record_id: str, patient_id: str | None) -> str:
    """The name of a record's patient in a manifest; where the corpus names none, the record stands in."""
    return f"{source}/{patient_id}" if patient_id else f"{source}/record/{record_id}"


def stands_in(patient: str) -> bool:
    """Whether the name of a patient is that of a record which stands in for one."""
    return "/record/" in patient


def unknown_patients(patients: Collection[str]) -> tuple[int, str]:
    """Of how many records, given the patient of each, nobody knows whose they are; and a remark if any."""
    n = sum(map(stands_in, patients))
    note = f"patients are not known for {n:,} of {len(patients):,} records: each counts as its own"
    return n, note if n else ""


def acquisition(record: str) -> str:
    """One name for all published copies of a record, given its name in a manifest."""
    match = _PTB_XL.fullmatch(record)
    return f"PTB-XL/{int(next(filter(None, match.groups())))}" if match else record


def same_person(patient: str) -> str:
    """One name for the person whom several corpora number alike, given the name of a patient."""
    match = _PTB_PERSON.fullmatch(patient)
    return f"person of PTB/{int(next(filter(None, match.groups())))}" if match else patient


class People:
    """Groups of records that belong to one person, from all that is known about records and patients.

    Each fact links a record to a patient; a record under two patient names makes these one person, named by
    the least of the names, where there is one by a name that no record stands in for. So do numbers that two
    corpora give to the same people, see `same_person`.
    """

    def __init__(self) -> None:
        self._patient_of: dict[str, str] = {}  # a patient of each acquisition
        self._parent: dict[str, str] = {}  # of patients that are also known by another name

    def link_all(self, facts: Iterable[tuple[str, str]]) -> None:
        """Note many (record, patient) facts, by their names in a manifest."""
        self.link_acquisitions((acquisition(record), patient) for record, patient in facts)

    def link_acquisitions(self, facts: Iterable[tuple[str, str]]) -> None:
        """Note many (acquisition, patient) facts; the quickest way where acquisitions are known."""
        known = self._patient_of
        for name, patient in facts:
            other = known.setdefault(name, patient)
            if other != patient:
                a, b = self._find(other), self._find(patient)
                if a != b:
                    first, other = sorted((a, b), key=_preference)  # the order of facts does not matter
                    self._parent[other] = first

    def are_one(self, a: str, b: str) -> bool:
        """Whether two names of patients are of one person."""
        return self._find(a) == self._find(b)

    def of_record(self, record: str) -> str:
        """A name of the person, the same for all their records; it changes as facts are added."""
        name = acquisition(record)
        patient = self._patient_of.get(name)
        return f"nobody known:{name}" if patient is None else self._find(patient)

    def patient_names(self, records: Mapping[str, str]) -> dict[str, str]:
        """For each record (mapped to its patient) one patient name that all records of the person share."""
        renamed = set(self._parent).union(self._parent.values())  # who has several names
        shared = {
            record: self._find(patient)
            for record, patient in records.items()
            if patient in renamed or same_person(patient) != patient
        }
        names: dict[str, str] = {}
        for record, person in shared.items():
            patient = records[record]
            names[person] = min(names.get(person, patient), patient, key=_preference)
        best = {person: min(name, person, key=stands_in) for person, name in names.items()}
        return {**records, **{record: best[person] for record, person in shared.items()}}

    def _find(self, patient: str) -> str:
        root = patient = same_person(patient)
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while patient != root:  # later look-ups take one step
            self._parent[patient], patient = root, self._parent[patient]
        return root


def _preference(patient: str) -> tuple[bool, str]:
    """The order of a person's names: a real patient number goes before a record that stands in for one."""
    return stands_in(patient), patient
