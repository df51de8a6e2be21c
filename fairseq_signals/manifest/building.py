"""What the scripts in `manifests/` share: records of stores, their segments, the summary."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.errors import ManifestError, did_you_mean
from fairseq_signals.manifest.corpus import Corpus, CorpusRecord, SegmentList
from fairseq_signals.manifest.folder import write_set
from fairseq_signals.manifest.people import People, unknown_patients
from fairseq_signals.manifest.selection import Selection, python_lists, python_values, read_metadata
from fairseq_signals.manifest.sessions import ACQUIRED, acquired_texts
from fairseq_signals.manifest.where import Where, attribute_names, attribute_values
from fairseq_signals.safety.text import tell
from fairseq_signals.store.reading import STATE_FILE, UNAVAILABLE_KEY, read_state


def load_corpus(
    args: argparse.Namespace, columns: Sequence[str] = (), attributes: Sequence[str] = ()
) -> Corpus:
    """Read the metadata of the stores and keep the records that the common arguments ask for.

    Args:
        columns: what records need beyond where they are: "codes".
        attributes: those that `Corpus.attributes` is to have; "age" and "report" are what the store knows as
            that, and "acquired" any of `sessions.TIMES`.

    Raises:
        ManifestError: where no record is left, sources are unknown, or sampling rates are mixed.
        ConfigError: where `--where` cannot be understood.
    """
    stores = sorted({Path(store).resolve() for store in args.stores})
    root = stores[0] if len(stores) == 1 else Path(os.path.commonpath(stores))
    where = Where(args.where) if args.where is not None else None
    of_store = {name if name in ("age", "report") else "attributes" for name in attributes}
    wanted = {"fs", *columns, *(where.columns if where else ()), *of_store}
    table = pa.concat_tables([read_metadata(store, root, wanted) for store in stores])
    people = People()
    people.link_acquisitions(zip(python_values(table["acquisition"]), python_values(table["patient"])))
    selection = Selection(table)
    selection.of_sources([name for text in args.sources or () for name in text.split(",") if name])
    notes = [note for store in stores if (note := _unavailable(store))]
    notes += selection.where(where) if where else []
    selection.without_copies()
    fs = selection.of_one_rate(args.fs)
    segment_samples = round(args.segment_seconds * fs)
    if not segment_samples > 0:
        raise ManifestError(f"--segment-seconds {args.segment_seconds:g} is no sample at {fs:g} Hz")
    long_enough = pc.greater_equal(selection.table["n_samples"], segment_samples)
    selection.keep(long_enough, f"shorter than {args.segment_seconds:g} s")
    left_out = selection.left_out
    if not len(selection.table):
        names = ", ".join(map(str, stores))
        raise ManifestError(f"no record is left of {len(table)} in {names}: {_reasons(left_out)}")
    chosen = selection.sorted_by_record()
    records = _corpus_records(chosen, people)
    texts = {name: _attribute(chosen, name) for name in attributes}
    return Corpus(root, stores, records, people, fs, segment_samples, len(table), left_out, notes, texts)


def _unavailable(store: Path) -> str | None:
    """A remark on a store that lacks records which were not available when it was made."""
    path = store / STATE_FILE
    n = read_state(path).get(UNAVAILABLE_KEY) if path.is_file() else None
    again = "run the command that made it again"
    return f"{store}: {n:,} records were not available when it was made; {again}" if n else None


def _attribute(table: pa.Table, name: str) -> dict[str, str]:
    """An attribute of the records that have it, or their age, or when they were taken."""
    if name == "age":
        values = pc.cast(table["age"], pa.string())
    elif name == "report":
        values = table["report"]
    elif name == ACQUIRED:
        values = acquired_texts(table)
    else:
        names = attribute_names(table)
        if name not in names:
            guess = did_you_mean(name, names)
            raise ManifestError(
                f"no record has the attribute {name}; there is {', '.join(names) or 'none'}{guess}"
            )
        values = attribute_values(table, name)
    there = pc.is_valid(values)
    return dict(zip(python_values(table["record"].filter(there)), python_values(values.filter(there))))


def _corpus_records(table: pa.Table, people: People) -> list[CorpusRecord]:
    records = python_values(table["record"])
    patients = people.patient_names(dict(zip(records, python_values(table["patient"]))))
    codes: Iterable[tuple[str, ...]] = repeat(())
    if "codes" in table.schema.names:
        codes = python_lists(table["codes"])
    shards, rows, sources, lengths = (
        python_values(table[name]) for name in ("shard", "row", "source", "n_samples")
    )
    return list(map(CorpusRecord, shards, rows, records, map(patients.get, records), sources, lengths, codes))


def finish(
    corpus: Corpus,
    kind: str,
    args: argparse.Namespace,
    splits: Mapping[str, SegmentList],
    notes: Sequence[str] = (),
    extra_files: Mapping[str, str | bytes] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a set of manifests and print what it holds and what was left out.

    Args:
        splits: what is listed, by file name without `.tsv`.
        notes: further lines of the summary.
        extra_files: what files that go beside the manifests hold, by name.
        facts: what goes to `manifest.json` beside the counts.
    """
    counts = {name: listing.counts() for name, listing in splits.items()}
    arguments = {name: value for name, value in vars(args).items() if name not in ("stores", "dest", "seed")}
    info = {
        "seed": args.seed,
        "stores": corpus.stores,
        "fs": corpus.fs,
        "segment_samples": corpus.segment_samples,
        "arguments": arguments,
        "counts": counts,
        "records_read": corpus.n_read,
        "left_out": dict(sorted(corpus.left_out.items())),
        **(facts or {}),
    }
    write_set(args.dest, kind, corpus.root, splits, extra_files or {}, info)
    print(f"{kind} manifests in {args.dest} (seed {args.seed})")
    for name, count in counts.items():
        print(count_line(name, count))
    kept = len(corpus.records)
    print(f"kept {kept:,} of {corpus.n_read:,} records; left out {_reasons(corpus.left_out)}")
    _, unknown = unknown_patients([record.patient_id for record in corpus.records])
    for note in (*corpus.notes, *([unknown] if unknown else []), *notes):
        tell(note, sys.stdout)


def count_line(name: str, counts: Mapping[str, int]) -> str:
    """A line of the summary: what a manifest lists."""
    return f"  {name + '.tsv':18}" + "".join(f"{n:>10,} {what}" for what, n in counts.items())


def tail_note(corpus: Corpus) -> str:
    """How much of the kept records is not in any segment."""
    tails = [r.n_samples % corpus.segment_samples for r in corpus.records]
    seconds = sum(tails) / corpus.fs
    n_tails = sum(tail > 0 for tail in tails)
    return f"not used: {n_tails:,} ends of records shorter than a segment, {seconds:,.1f} s in all"


def _reasons(left_out: Counter[str]) -> str:
    total = sum(left_out.values())
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(left_out.items()) if n)
    return f"{total:,}: {reasons}" if reasons else "0"
