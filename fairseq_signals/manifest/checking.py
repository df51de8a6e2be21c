"""Whether manifests keep their promises: nobody in two splits, every segment where it is said to be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.errors import LabelError, ManifestError
from fairseq_signals.files import open_text
from fairseq_signals.manifest.exclusion import link_manifests, link_stores
from fairseq_signals.manifest.folder import (
    ANSWERS_FILE,
    CLASSIFICATION,
    ECG,
    ECG_QA,
    ECG_TEXT,
    ECG_TOKENS,
    IDENTIFICATION,
    LABELS_FILE,
    PRETRAIN,
    REGRESSION,
    TARGETS_FILE,
    TEXT,
    TEXTS_FILE,
    TOKENIZER_FILE,
    ManifestSet,
    split_of,
    token_file,
)
from fairseq_signals.manifest.labels import is_classes, parse_target, read_labels
from fairseq_signals.manifest.people import People, acquisition
from fairseq_signals.manifest.places import PlacesInStores, parse_path, parse_paths
from fairseq_signals.manifest.questions import ecg_rows, questions_file, read_questions
from fairseq_signals.manifest.table import STORE, Manifest
from fairseq_signals.manifest.targets import read_targets, read_values
from fairseq_signals.manifest.texts import is_text, read_texts


class Violation(NamedTuple):
    """A promise that is broken.

    Args:
        where: the folder or file.
        what: what is wrong, with the number of cases.
        examples: a few of the cases.
    """

    where: str
    what: str
    examples: Sequence[str] = ()

    def __str__(self) -> str:
        examples = f" (such as {', '.join(self.examples[:3])})" if self.examples else ""
        return f"{self.where}: {self.what}{examples}"


def check_sets(sets: Sequence[ManifestSet]) -> list[Violation]:
    """All violations in and between sets of manifests."""
    people = People()
    known: set[Path] = set()
    for one in sets:
        link_manifests(people, one.manifests.values())
        link_stores(people, one.manifests.values(), known)  # what cannot be read is reported with its files
    violations = [Violation(str(one.folder), fault) for one in sets for fault in one.faults]
    violations += _check_places(sets)
    for one in sets:
        for manifest in one.manifests.values():
            repeated = [path for path, n in Counter(manifest.paths).items() if n > 1]
            violations += _report(str(manifest.path), "segments are listed more than once", repeated)
        violations += _check_splits(one, people)
        if one.kind == CLASSIFICATION:
            violations += _check_targets(one)
        elif one.kind == REGRESSION:
            violations += _check_values(one)
        elif one.kind == IDENTIFICATION:
            violations += _check_identification(one, people)
        elif one.kind == ECG_TEXT:
            violations += _check_texts(one)
        elif one.kind == ECG_TOKENS:
            violations += _check_tokens(one)
        elif one.kind == ECG_QA:
            violations += _check_questions(one)
    for pretrain in (one for one in sets if one.kind in (PRETRAIN, ECG_TEXT, ECG_TOKENS)):
        for other in (one for one in sets if one.kind != PRETRAIN and one is not pretrain):
            violations += _check_held_out(pretrain, other, people)
    return violations


def _check_places(sets: Sequence[ManifestSet]) -> Iterator[Violation]:
    """Every path exists, is the record it is said to be, and is long enough."""
    places = PlacesInStores(missing_ok=True)
    for manifest in (manifest for one in sets for manifest in one.manifests.values()):
        if manifest.layout != STORE:
            absent = [path for path in manifest.paths if not (manifest.root / path).is_file()]
            yield from _report(str(manifest.path), "paths do not exist", absent)
            continue
        records, lengths = places.find(manifest.root, manifest.paths)
        starts = parse_paths(manifest.paths)[1][:, 2]
        absent = records.is_null().to_numpy()
        other = pc.not_equal(records, pa.array(manifest.record_ids, pa.string()))
        other = pc.fill_null(other, False).to_numpy()
        past = (starts + manifest.n_samples > lengths) & ~absent & ~other
        where = str(manifest.path)
        yield from _report(where, "paths do not exist in the store", _where(absent, manifest.paths))
        of_others = [f"{manifest.paths[i]} of {records[i]}" for i in np.flatnonzero(other).tolist()]
        yield from _report(where, "paths are of another record", of_others)
        too_long = _where(past, manifest.paths)
        yield from _report(where, "segments reach past the end of their record", too_long)


def _where(mask: np.ndarray, values: Sequence[str]) -> list[str]:
    return [values[i] for i in np.flatnonzero(mask).tolist()]


def _check_splits(one: ManifestSet, people: People) -> Iterator[Violation]:
    """Nobody is in two of train, valid and test."""
    records = {split: _records(one, split) for split in sorted({split_of(name) for name in one.manifests})}
    for (name_a, a), (name_b, b) in combinations(records.items(), 2):
        yield from _shared(str(one.folder), f"in both {name_a} and {name_b}", a, b, people)


def _check_held_out(pretrain: ManifestSet, other: ManifestSet, people: People) -> Iterator[Violation]:
    """Nobody whom a model is pre-trained on, with or without texts, is held out by a downstream set."""
    names = pretrain.manifests if pretrain.kind == PRETRAIN else ("train",)
    trained = set().union(*(_records(pretrain, name) for name in names))
    for split in sorted({split_of(name) for name in other.held_out()}):
        what = f"of what {other.folder} holds out for {split}"
        yield from _shared(str(pretrain.folder), what, trained, _records(other, split), people)


def _shared(where: str, what: str, a: Iterable[str], b: Iterable[str], people: People) -> Iterator[Violation]:
    """A violation where records of two lists are of one person; the very same records are counted too."""
    a, people_b = set(a), {people.of_record(record) for record in b}
    acquisitions_b = {acquisition(record) for record in b}
    of_people = sorted(record for record in a if people.of_record(record) in people_b)
    if of_people:
        n_people = len({people.of_record(record) for record in of_people})
        n_same = sum(acquisition(record) in acquisitions_b for record in of_people)
        count = (
            f"{len(of_people):,} records of {n_people:,} patients are {what}; {n_same:,} are the same records"
        )
        yield Violation(where, count, of_people[:3])


def _check_targets(one: ManifestSet) -> Iterator[Violation]:
    """Classes are in the label table."""
    path = one.folder / LABELS_FILE
    if not path.is_file():
        if any(manifest.layout == STORE for manifest in one.manifests.values()):
            yield Violation(str(one.folder), f"there is no {LABELS_FILE}")
        return
    try:
        n_classes = len(read_labels(path))
    except LabelError as error:
        yield Violation(str(one.folder), str(error))
        return
    for manifest in one.manifests.values():
        rows = list(zip(manifest.paths, manifest.targets))
        other = [path for path, target in rows if not is_classes(target)]
        yield from _report(str(manifest.path), "targets are no class indices", other)
        beyond = [p for p, t in rows if is_classes(t) and max(parse_target(t), default=-1) >= n_classes]
        yield from _report(str(manifest.path), f"targets are beyond the {n_classes} classes", beyond)


def _check_values(one: ManifestSet) -> Iterator[Violation]:
    """Segments have a number for each target of the table."""
    try:
        n_targets = len(read_targets(one.folder / TARGETS_FILE))
        for manifest in one.manifests.values():
            read_values(manifest, n_targets, TARGETS_FILE)
    except (LabelError, ManifestError) as error:
        yield Violation(str(one.folder), str(error))


def _check_texts(one: ManifestSet) -> Iterator[Violation]:
    """Targets are texts of the table, and the table says truly which splits have them."""
    if not (one.folder / TOKENIZER_FILE).is_file():
        yield Violation(str(one.folder), f"there is no {TOKENIZER_FILE}")
    try:
        table = read_texts(one.folder / TEXTS_FILE)
    except ManifestError as error:
        yield Violation(str(one.folder), str(error))
        return
    for name, manifest in one.manifests.items():
        rows = zip(manifest.paths, manifest.targets)
        no_text = [path for path, target in rows if not is_text(target, len(table))]
        yield from _report(str(manifest.path), f"targets are no text of {TEXTS_FILE}", no_text)
        there = {int(target) for target in manifest.targets if is_text(target, len(table))}
        wrong = there.symmetric_difference(i for i, splits in enumerate(table.splits) if name in splits)
        texts = [table.texts[i] for i in sorted(wrong)]
        yield from _report(str(manifest.path), f"texts are in it or in {TEXTS_FILE}, but not in both", texts)


def _check_tokens(one: ManifestSet) -> Iterator[Violation]:
    """A line of tokens for each segment; texts may be missing, as a whole."""
    with_texts = any((one.folder / token_file(name, TEXT)).is_file() for name in one.manifests)
    for name, manifest in one.manifests.items():
        for path in (one.folder / token_file(name, side) for side in ((ECG, TEXT) if with_texts else (ECG,))):
            try:
                with open_text(path) as file:
                    n_lines = sum(1 for _ in file)
            except (OSError, UnicodeDecodeError) as error:
                yield Violation(str(path), f"cannot be read ({error})")
            else:
                if n_lines != len(manifest):
                    yield Violation(
                        str(path), f"has {n_lines:,} lines for the {len(manifest):,} of {name}.tsv"
                    )


def _check_questions(one: ManifestSet) -> Iterator[Violation]:
    """Questions are about ECGs of their split, and their answers are in the table."""
    if not (one.folder / TOKENIZER_FILE).is_file():
        yield Violation(str(one.folder), f"there is no {TOKENIZER_FILE}")
    try:
        n_answers = len(read_labels(one.folder / ANSWERS_FILE))
        for name, manifest in one.manifests.items():
            path = one.folder / questions_file(name)
            ecg_rows(read_questions(path, n_answers), manifest.record_ids, str(path))
    except (LabelError, ManifestError) as error:
        yield Violation(str(one.folder), str(error))


def _check_identification(one: ManifestSet, people: People) -> Iterator[Violation]:
    """One class a patient, 0 to C - 1; each probe has its patient in the gallery, in another segment."""
    train = one.manifests.get("train")
    if train is not None:
        yield from _check_classes(train, people)
    default = one.info.get("arguments", {}).get("within_record", True)
    within_record = one.info.get("within_record", {})
    for name, probe in one.manifests.items():
        if not name.endswith("_probe"):
            continue
        gallery = one.manifests.get(name.replace("_probe", "_gallery"))
        if gallery is None:
            yield Violation(str(probe.path), "there is no gallery for it")
            continue
        enrolled = {people.of_record(record) for record in gallery.record_ids}
        strangers = [r for r in probe.record_ids if people.of_record(r) not in enrolled]
        yield from _report(str(probe.path), "probes are of patients who are not in the gallery", strangers)
        spans = defaultdict(list)
        for record, begin, end in _each_span(gallery):
            spans[record].append((begin, end))
        twice, same_record = [], []
        for path, (record, begin, end) in zip(probe.paths, _each_span(probe)):
            others = spans[record]
            if any(begin < other_end and other_begin < end for other_begin, other_end in others):
                twice.append(path)
            elif others and not within_record.get(split_of(name), default):
                same_record.append(path)
        yield from _report(str(probe.path), "segments are in the gallery too", twice)
        yield from _report(str(probe.path), "probes are of a record that is in the gallery too", same_record)


def _check_classes(train: Manifest, people: People) -> Iterator[Violation]:
    classes, members = defaultdict(set), defaultdict(set)
    for record, target in zip(train.record_ids, train.targets):
        person = people.of_record(record)
        classes[person].add(target)
        members[target].add(person)
    if sorted(members) != sorted(map(str, range(len(members)))):
        yield Violation(str(train.path), f"classes must be 0 to {len(members) - 1}, without gaps")
    several = [min(targets) for targets in classes.values() if len(targets) > 1]
    yield from _report(str(train.path), "patients have several classes", several)
    mixed = [target for target, persons in members.items() if len(persons) > 1]
    yield from _report(str(train.path), "classes have several patients", mixed)


def _each_span(manifest: Manifest) -> Iterator[tuple[str, int, int]]:
    """Acquisition, first sample and end of each segment; `.mat` files are taken to be adjacent."""
    for row in manifest.rows():
        begin = parse_path(row.path)[2] if manifest.layout == STORE else row.segment * row.n_samples
        yield acquisition(row.record_id), begin, begin + row.n_samples


def _records(one: ManifestSet, split: str) -> set[str]:
    """The records of one split, in all its manifests."""
    return set().union(*(m.record_ids for name, m in one.manifests.items() if split_of(name) == split))


def _report(where: str, what: str, cases: Sequence[str]) -> Iterator[Violation]:
    if cases:
        yield Violation(where, f"{len(cases):,} {what}", cases[:3])
