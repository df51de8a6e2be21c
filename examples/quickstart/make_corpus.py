"""Write a synthetic corpus of 12-lead ECG as WFDB files in the PhysioNet/CinC 2021 layout.

    python examples/quickstart/make_corpus.py --dest data/raw --patients 500 --seed 1 --sessions 1..4

makes DEST/WFDB_*/ with a .hea and a .mat a record, DEST/patients.csv (which record is whose),
DEST/corpus.json (the arguments) and DEST/README.md. The same arguments give the same bytes, whatever the
number of workers. A run that was stopped continues where it was; a folder that holds another corpus is left
alone.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

from fairseq_signals.ecg.synthetic import SNOMED_CODES, CorpusConfig, PlannedRecord, make_record, plan_records
from fairseq_signals.ecg.synthetic.wfdb_files import NOTICE, write_atomically, write_record
from fairseq_signals.errors import ConfigError

VERSION = 1  # of the model behind the numbers: raise it when the same arguments no longer give the same bytes

README = f"""# Synthetic 12-lead ECG

Every record in this folder is synthetic: {NOTICE}.
It was written by `examples/quickstart/make_corpus.py` of fairseq_signals with the arguments in `corpus.json`.
Do not draw medical conclusions from it and do not mix it with recordings of patients.
"""


def parse_sessions(text: str) -> tuple[int, int]:
    """(fewest, most) from "2" or "1..4"."""
    low, _, high = text.partition("..")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or LOW..HIGH, but is {text!r} instead") from None


def describe(config: CorpusConfig) -> str:
    """The arguments that determine the corpus, as JSON."""
    arguments = {
        "synthetic": True,
        "version": VERSION,
        "seed": config.seed,
        "patients": config.patients,
        "sessions": list(config.sessions),
        "fs": config.fs,
        "duration_s": config.duration_s,
        "spread": config.spread,
        "noise": config.noise,
    }
    return json.dumps(arguments, indent=2) + "\n"


def claim(dest: Path, config: CorpusConfig) -> None:
    """Make the folder ours, or raise if it holds a corpus of other arguments."""
    dest.mkdir(parents=True, exist_ok=True)
    marker = dest / "corpus.json"
    if marker.exists() and marker.read_text() != describe(config):
        found = " ".join(marker.read_text().split())
        raise ConfigError(
            f"{marker}: the folder holds a corpus of other arguments, {found}. "
            f"Choose another --dest or delete it."
        )
    write_atomically(marker, describe(config).encode())
    write_atomically(dest / "README.md", README.encode())


def write_planned(job: tuple[CorpusConfig, Path, PlannedRecord]) -> tuple[str, ...]:
    """Write one record unless it is there already; its classes."""
    config, dest, planned = job
    record = make_record(config, planned.patient, planned.session)
    folder = dest / planned.subset.folder
    if not (folder / f"{planned.record_id}.hea").exists():  # written last: the record is whole
        write_record(record, planned.record_id, folder)
    return record.classes


def _run(jobs: list[tuple[CorpusConfig, Path, PlannedRecord]], workers: int) -> Iterator[tuple[str, ...]]:
    if workers <= 1:
        yield from map(write_planned, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(write_planned, jobs, chunksize=32)


def patients_csv(plan: Iterable[PlannedRecord]) -> str:
    """The table record_id, patient_id, session of all records."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["record_id", "patient_id", "session"])
    writer.writerows([p.record_id, p.patient_id, p.session] for p in plan)
    return table.getvalue()


def make_corpus(config: CorpusConfig, dest: Path, workers: int = 1) -> Counter[str]:
    """Write the corpus; how many records show each class, and under "records" how many there are."""
    claim(dest, config)
    plan = plan_records(config)
    for folder in {planned.subset.folder for planned in plan}:
        (dest / folder).mkdir(exist_ok=True)
    jobs = [(config, dest, planned) for planned in plan]
    counts: Counter[str] = Counter(records=len(plan))
    for classes in tqdm(
        _run(jobs, workers), total=len(jobs), desc="synthetic ECG", unit="record", mininterval=0.5
    ):
        counts.update(classes)
    write_atomically(dest / "patients.csv", patients_csv(plan).encode())
    return counts


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dest", type=Path, required=True, help="folder to write to")
    parser.add_argument("--patients", type=int, default=500, help="number of patients (%(default)s)")
    parser.add_argument(
        "--sessions",
        type=parse_sessions,
        default=(1, 4),
        metavar="N|LOW..HIGH",
        help="recordings a patient (1..4)",
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other patients (%(default)s)")
    parser.add_argument("--duration", type=float, default=10.0, help="seconds a record (%(default)s)")
    parser.add_argument("--noise", type=float, default=1.0, help="factor of all noise (%(default)s)")
    parser.add_argument("--spread", type=float, default=1.0, help="how much patients differ (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")
    args = parser.parse_args(argv)
    try:
        config = CorpusConfig(
            patients=args.patients,
            sessions=args.sessions,
            seed=args.seed,
            duration_s=args.duration,
            noise=args.noise,
            spread=args.spread,
        )
        counts = make_corpus(config, args.dest, args.workers)
    except ConfigError as error:
        print(f"ConfigError: {error}", file=sys.stderr)
        return 1
    n_records = counts.pop("records")
    print(f"Wrote {n_records:,} SYNTHETIC records of {config.patients:,} patients to {args.dest} ({NOTICE}).")
    print("Records a class: " + ", ".join(f"{name} {counts[name]}" for name in SNOMED_CODES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
