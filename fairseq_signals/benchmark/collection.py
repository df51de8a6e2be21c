"""What the tables of the small collection of recordings know beside the headers: patients, labels, folds.

The collection has the folders `real_ecg` and `more_ecg`, each with a MANIFEST.csv of its records.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fairseq_signals.errors import ConfigError
from fairseq_signals.files import write_text

COLUMNS = ("record_id", "patient_id", "age", "sex", "codes", "strat_fold")
#: Labels whose values are codes: superclasses and rhythms of PTB-XL, those of CinC 2017, quality.
_CODES = re.compile(r"(?:super_class: |rhythm: |^rhythm=|^quality=)([\w ]+)")
_UNKNOWN = ("", "NaN")


def write_table(shared: Path, folder: str, path: Path) -> None:
    """Write the table of a folder's records, as `preprocess/wfdb_folder.py --metadata` reads it.

    Args:
        shared: folder of the collection.
        folder: in it.
        path: of the table.

    Raises:
        ConfigError: the collection's own table is not there.
    """
    rows = [row for row in _listed(shared, folder) if row["record_id"]]
    write_text(path, [",".join(COLUMNS) + "\n", *(",".join(row[c] for c in COLUMNS) + "\n" for row in rows)])


def _listed(shared: Path, folder: str) -> Iterator[dict[str, str]]:
    part, _, below = folder.partition("/")
    labels = _rows(shared / "real_ecg/ptb_xl/ptbxl_labels.csv") if below.startswith("ptb_xl") else ()
    folds = {f"ptbxl-{row['patient_id']}": row["strat_fold"] for row in labels}
    for row in _rows(shared / part / "MANIFEST.csv"):
        record = row["path"].removeprefix(f"{below}/")
        if record != row["path"]:
            codes = " ".join(_CODES.findall(row["labels"])).split()
            yield {
                "record_id": Path(record).name if below == "cinc2021" else record,
                "patient_id": row["patient"],
                "age": "" if row["age"] in _UNKNOWN else row["age"],
                "sex": row["sex"],
                "codes": "|".join(codes),
                "strat_fold": folds.get(row["patient"], ""),
            }


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
    except OSError as error:
        raise ConfigError(f"{path}: the table of the collection cannot be read ({error.strerror})") from error
