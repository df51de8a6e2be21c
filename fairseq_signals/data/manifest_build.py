"""What the scripts in `manifests/` share: records of stores, their segments, the summary, errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_signals.data.manifest import Row, format_path
from fairseq_signals.data.manifest_set import count_rows, write_set
from fairseq_signals.data.people import People, acquisition, patient_key, record_key
from fairseq_signals.data.store import RecordStore
from fairseq_signals.errors import FairseqSignalsError, ManifestError


@dataclass(frozen=True)
class Recording:
    """A record of a store that a manifest may use.

    Args:
        shard: its file, relative to the root of the manifests.
        row: 0-based row in the shard.
        record_id, patient_id: as in a manifest.
        source: the corpus.
        n_samples: samples per lead.
        codes: diagnosis codes as in the source.
    """

    shard: str
    row: int
    record_id: str
    patient_id: str
    source: str
    n_samples: int
    codes: tuple[str, ...] = ()

    def segments(self, n_samples: int, target: str = "") -> list[Row]:
        """All whole segments of this length, from the start of the record."""
        return [
            Row(
                format_path(self.shard, self.row, k * n_samples),
                n_samples,
                self.record_id,
                self.patient_id,
                k,
                target,
            )
            for k in range(self.n_samples // n_samples)
        ]


@dataclass
class Corpus:
    """The records that a script works on.

    Args:
        root: the folder that shards are relative to.
        stores: the stores' folders.
        recordings: in the order of their record ids.
        people: who is who, from all records of the stores (also those left out).
        fs: sampling rate of all recordings, Hz.
        segment_samples: length of a segment.
        n_read: records in the stores.
        left_out: how many of them are not in `recordings`, by reason.
    """

    root: Path
    stores: list[Path]
    recordings: list[Recording]
    people: People
    fs: float
    segment_samples: int
    n_read: int
    left_out: Counter[str] = field(default_factory=Counter)

    def leave_out(self, drop: Callable[[Recording], str | None]) -> None:
        """Remove the recordings for which `drop` gives a reason, and count them by it."""
        kept = []
        for recording in self.recordings:
            reason = drop(recording)
            if reason is None:
                kept.append(recording)
            else:
                self.left_out[reason] += 1
        self.recordings = kept

    def by_patient(self) -> dict[str, list[Recording]]:
        """The recordings of each patient; patients and recordings in the order of their ids."""
        patients: dict[str, list[Recording]] = {}
        for recording in sorted(self.recordings, key=lambda r: (r.patient_id, r.record_id)):
            patients.setdefault(recording.patient_id, []).append(recording)
        return patients


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every script that makes manifests from stores."""
    parser.add_argument("stores", nargs="+", type=Path, metavar="STORE", help="folder made by preprocess/")
    parser.add_argument("--dest", type=Path, required=True, help="folder for the manifests")
    parser.add_argument("--seed", type=int, default=1, help="decides who is in which split (default: 1)")
    parser.add_argument(
        "--sources", nargs="+", metavar="NAME", help="only these corpora of the store (default: all)"
    )
    parser.add_argument("--segment-seconds", type=float, default=5.0, help="default: 5")
    parser.add_argument("--fs", type=float, help="only records of this sampling rate, in Hz")


def load_corpus(args: argparse.Namespace) -> Corpus:
    """Read the metadata of the stores and keep the records that the common arguments ask for.

    Raises:
        ManifestError: where no record is left, sources are unknown, or sampling rates are mixed.
    """
    stores = sorted({Path(store).resolve() for store in args.stores})
    root = stores[0] if len(stores) == 1 else Path(os.path.commonpath(stores))
    rows = [row for store in stores for row in read_metadata(store, root)]
    people = People()
    people.link_all((row["record"], row["patient"]) for row in rows)
    n_read = len(rows)
    left_out: Counter[str] = Counter()
    sources = [name for text in args.sources or () for name in text.split(",") if name]
    rows = _of_sources(rows, sources, left_out)
    rows = _without_copies(rows, left_out)
    rows, fs = _of_one_rate(rows, args.fs, left_out)
    segment_samples = round(args.segment_seconds * fs)
    if not segment_samples > 0:
        raise ManifestError(f"--segment-seconds must be above 0, but is {args.segment_seconds:g} instead")
    patients = people.patient_names({row["record"]: row["patient"] for row in rows})
    recordings = [
        Recording(
            row["shard"],
            row["row"],
            row["record"],
            patients[row["record"]],
            row["source"],
            row["n_samples"],
            tuple(row["codes"]),
        )
        for row in rows
    ]
    corpus = Corpus(root, stores, recordings, people, fs, segment_samples, n_read, left_out)
    corpus.leave_out(
        lambda r: f"shorter than {args.segment_seconds:g} s" if r.n_samples < segment_samples else None
    )
    if not corpus.recordings:
        raise ManifestError(f"no record is left of {n_read} in {_names(stores)}: {_reasons(corpus.left_out)}")
    return corpus


def read_metadata(store: Path, root: Path) -> Iterator[dict[str, Any]]:
    """The records of a store; `record` and `patient` are their manifest names, `shard` is from the root."""
    columns = ["record_id", "patient_id", "source", "fs", "n_samples", "codes", "shard", "row"]
    folder = Path(os.path.relpath(store, root))
    for row in RecordStore(store).metadata().select(columns).to_pylist():
        row["record"] = record_key(row["source"], row["record_id"])
        row["patient"] = patient_key(row["source"], row["record_id"], row["patient_id"])
        row["shard"] = (folder / row["shard"]).as_posix()
        yield row


def finish(
    corpus: Corpus,
    kind: str,
    args: argparse.Namespace,
    splits: Mapping[str, Sequence[Row]],
    notes: Sequence[str] = (),
    extra_files: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a set of manifests and print what it holds and what was left out.

    Args:
        splits: rows by file name without `.tsv`.
        notes: further lines of the summary.
        extra_files: text of files that go beside the manifests, by name.
        facts: what goes to `manifest.json` beside the counts.
    """
    counts = {name: count_rows(rows) for name, rows in splits.items()}
    arguments = {
        name: _plain(value) for name, value in vars(args).items() if name not in ("stores", "dest", "seed")
    }
    info = {
        "seed": args.seed,
        "stores": [str(store) for store in corpus.stores],
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
        print(f"  {name + '.tsv':18}" + "".join(f"{n:>10,} {what}" for what, n in count.items()))
    kept = len(corpus.recordings)
    print(f"kept {kept:,} of {corpus.n_read:,} records; left out {_reasons(corpus.left_out)}")
    for note in notes:
        print(note)


def tail_note(corpus: Corpus) -> str:
    """How much of the kept recordings is not in any segment."""
    tails = [r.n_samples % corpus.segment_samples for r in corpus.recordings]
    seconds = sum(tails) / corpus.fs
    n_tails = sum(tail > 0 for tail in tails)
    return f"not used: {n_tails:,} ends of records shorter than a segment, {seconds:,.1f} s in all"


def run_script(build: Callable[[], int | None]) -> int:
    """Run a script's work; a user's mistake becomes one line on standard error and exit code 1."""
    try:
        return build() or 0
    except FairseqSignalsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _of_sources(
    rows: list[dict[str, Any]], sources: Sequence[str], left_out: Counter[str]
) -> list[dict[str, Any]]:
    if not sources:
        return rows
    present = sorted({row["source"] for row in rows})
    unknown = sorted(set(sources).difference(present))
    if unknown:
        raise ManifestError(
            f"--sources: no {', '.join(unknown)} in the store; it has {', '.join(present) or 'no records'}"
        )
    kept = [row for row in rows if row["source"] in sources]
    left_out["of other sources"] += len(rows) - len(kept)
    return kept


def _without_copies(rows: list[dict[str, Any]], left_out: Counter[str]) -> list[dict[str, Any]]:
    """One row for each acquisition, the one of most use, in the order of their names."""

    def preference(row: dict[str, Any]) -> tuple[Any, ...]:
        is_low_rate = row["record"].endswith("_lr")  # PTB-XL's 100 Hz copy
        return row["patient_id"] is None, is_low_rate, row["record"], row["shard"], row["row"]

    kept: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=preference):
        kept.setdefault(acquisition(row["record"]), row)
    left_out["copies of another record"] += len(rows) - len(kept)
    return sorted(kept.values(), key=lambda row: row["record"])


def _of_one_rate(
    rows: list[dict[str, Any]], fs: float | None, left_out: Counter[str]
) -> tuple[list[dict[str, Any]], float]:
    rates = Counter(row["fs"] for row in rows)
    if fs is None:
        if len(rates) > 1:
            found = ", ".join(f"{n:,} at {rate:g} Hz" for rate, n in rates.most_common())
            raise ManifestError(
                f"records have several sampling rates: {found}. Preprocess with one, or choose it with --fs."
            )
        fs = next(iter(rates), 500.0)
    for rate, n in rates.items():
        if rate != fs:
            left_out[f"sampled at {rate:g} Hz, not {fs:g}"] += n
    return [row for row in rows if row["fs"] == fs], fs


def _reasons(left_out: Counter[str]) -> str:
    total = sum(left_out.values())
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(left_out.items()) if n)
    return f"{total:,}: {reasons}" if reasons else "0"


def _names(stores: Sequence[Path]) -> str:
    return ", ".join(map(str, stores))


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
