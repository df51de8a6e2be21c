"""The quickstart's pipeline on real recordings: pre-trained against random initialisation, several seeds.

    make demo-real

Reads PTB-XL (100 Hz records with `splits.csv`), PhysioNet/CinC 2021, LUDB, CODE-15% / SaMi-Trop and ECG-ID
from one folder of real recordings, all resampled to 500 Hz. Pre-trains on everything but the people that the
two tasks hold out for validation and test, classifies PTB-XL superclasses (folds 9 and 10 are validation and
test, as PTB-XL recommends) and identifies the PTB-XL patients with two or more recordings.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from steps import CONFIGS, RANDOM_INIT, ROOT, Start, Steps, Task, python, training

# chosen on training patients only; docs/real-data.md says how
EPOCHS = "optimization.max_epoch=3"
PRETRAINING = (
    "model.encoder_layers=3",
    "model.encoder_embed_dim=128",
    "model.encoder_ffn_embed_dim=256",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real-ecg", type=Path, help="default: $FAIRSEQ_SIGNALS_SHARED/real_ecg")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "demo-real")
    parser.add_argument("--updates", type=int, default=1500, help="of pre-training (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="fine-tuning seeds (default: %(default)s)")
    args = parser.parse_args()
    shared = Path(os.environ.get("FAIRSEQ_SIGNALS_SHARED", ROOT.parent / "shared"))
    real: Path = (args.real_ecg or shared / "real_ecg").resolve()
    if not (real / "ptb_xl" / "splits.csv").is_file():
        sys.exit(f"There is no {real}/ptb_xl/splits.csv. Name the folder of real recordings with --real-ecg.")
    out: Path = args.out.resolve()
    manifests = out / "manifests"
    dx, identity, pretrain = (manifests / name for name in ("classification", "identification", "pretrain"))
    steps = Steps(out)

    stores = preprocess(steps, real, out)
    ptb_xl = str(stores[0])
    steps.add(
        "Manifests for classification: PTB-XL superclasses, its published folds",
        *python("manifests/classification.py", ptb_xl, "--dest", str(dx), "--labels", "ptbxl_superclass"),
        *("--split-table", str(real / "ptb_xl" / "ptbxl_labels.csv"), "--drop-unlabelled"),
    )
    steps.add(
        "Manifests for identification: PTB-XL patients with two or more recordings are tested",
        *python("manifests/identification.py", ptb_xl, "--dest", str(identity)),
        *("--valid-fraction", "0.15", "--test-fraction", "0.8", "--segments-per-recording", "2"),
    )
    steps.add(
        "Manifests for pre-training: all corpora but the people held out",
        *python("manifests/pretrain.py", *map(str, stores), "--dest", str(pretrain)),
        *("--exclude", str(dx), str(identity), "--valid-fraction", "0"),
    )
    check = python("manifests/check.py", str(dx), str(identity), str(pretrain))
    steps.add("Check that nothing leaks", *check)
    n, run = args.updates, out / "runs" / "pretrain"
    updates = [f"optimization.max_update={n}", f"lr_scheduler.total_num_update={n}"]
    pretraining = Task(pretrain, CONFIGS / "pretrain.yaml", [*PRETRAINING, *updates], 0.8 * n, n)
    step = training("Pre-train W2V+CMSC+RLM", pretraining, run)
    start = f"model.model_path={run}/checkpoint_last.pt"
    starts = {
        "w2v_cmsc_rlm": Start([start], step),
        RANDOM_INIT: Start([start, "model.no_pretrained_weights=true"], step),
    }
    tasks = {
        "classification": Task(dx, CONFIGS / "classification.yaml", [EPOCHS], 150, 220),
        "identification": Task(identity, CONFIGS / "identification.yaml", [EPOCHS], 150, 220),
    }
    steps.compare(tasks, starts, range(1, args.seeds + 1))
    steps.table("Real recordings (PTB-XL subset)")
    steps.run()


def preprocess(steps: Steps, real: Path, out: Path) -> list[Path]:
    """One record store a corpus; PTB-XL's is the first."""
    tables = out / "tables"
    tables.mkdir(parents=True)
    write_table(tables / "ptb_xl.csv", ptb_xl_rows(real / "ptb_xl"))
    folder = "preprocess/wfdb_folder.py"
    corpora = {
        "ptb-xl": (folder, real / "ptb_xl", ("--metadata", str(tables / "ptb_xl.csv"), "--only-listed")),
        "cinc2021": ("preprocess/physionet2021.py", real / "cinc2021", ()),
        "ludb": (folder, real / "ludb" / "data", ()),
        "code15": (folder, real / "code15_samitrop", ()),
        "ecg-id": (folder, real / "ecgid", ("--patient-from-folder",)),
    }
    for name, (script, root, options) in corpora.items():
        source = ("--source", name) if script == folder else ()
        dest = str(out / "stores" / name)
        command = python(script, str(root), "--dest", dest, *source, *options)
        steps.add(f"Preprocess {name}", *command, seconds=20)
    return [out / "stores" / name for name in corpora]


def ptb_xl_rows(folder: Path) -> Iterable[tuple[str, str, str]]:
    """Record, patient and superclasses of the 100 Hz records that PTB-XL's split table lists."""
    records = {int(path.stem.split("_")[0]): path for path in folder.glob("records100/**/*_lr.hea")}
    with (folder / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            path = records.get(int(row["ecg_id"]))
            if path is not None:
                codes = "|".join(re.findall(r"[A-Z]+", row["superclass"]))
                yield path.relative_to(folder).with_suffix("").as_posix(), row["patient_id"], codes


def write_table(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """A metadata table for `preprocess/wfdb_folder.py`."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("record_id", "patient_id", "codes"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
