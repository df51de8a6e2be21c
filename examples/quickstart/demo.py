"""From raw records to a table: pre-training, fine-tuning and testing on a synthetic corpus in minutes.

    make demo

Writes a corpus of SYNTHETIC 12-lead ECG as WFDB files in the layout of PhysioNet/CinC 2021, then runs the
commands that a user would type on real data. Like the paper it classifies the CPSC and Georgia subsets and
pre-trains on all subsets but what the two tasks hold out; identification is of patients in all subsets. Few
records have labels, many do not: that is where pre-training counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from steps import CONFIGS, CORES, RANDOM_INIT, ROOT, Start, Steps, Task, python, training

UPDATES = {"pretrain": 1500, "classification": 240, "identification": 240}
#: Seconds of an update on one core, and of loading what a training needs.
SECONDS = {"pretrain": 0.16, "classification": 0.13, "identification": 0.14}
LOADING = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "demo", help="default: outputs/demo")
    parser.add_argument(
        "--patients", type=int, default=1200, help="synthetic patients (default: %(default)s)"
    )
    parser.add_argument("--updates", type=int, help="of each training (default: as in this file)")
    parser.add_argument("--seed", type=int, default=1, help="of the corpus and its splits")
    parser.add_argument("--seeds", type=int, default=3, help="of fine-tuning (default: %(default)s)")
    args = parser.parse_args()
    out: Path = args.out.resolve()
    raw, store, manifests = out / "raw", out / "store", out / "manifests"
    dx, identity, pretrain = (manifests / name for name in ("classification", "identification", "pretrain"))
    seed, steps = str(args.seed), Steps(out)

    steps.add(
        "Write a SYNTHETIC corpus as WFDB files",
        *python("examples/quickstart/make_corpus.py", "--dest", str(raw), "--workers", str(CORES)),
        *("--patients", str(args.patients), "--sessions", "2..3", "--seed", seed),
        seconds=args.patients / 80,
    )
    steps.add(
        "Preprocess: WFDB files to a record store of 100 Hz",
        *python("preprocess/physionet2021.py", str(raw), "--dest", str(store), "--fs", "100"),
        *("--patients", str(raw / "patients.csv")),
        seconds=args.patients / 100,
    )
    steps.add(
        "Manifests for classification (CPSC and Georgia subsets, as in the paper): few records have labels",
        *python("manifests/classification.py", str(store), "--dest", str(dx), "--labels", "cinc2021"),
        *("--sources", "cpsc_2018", "georgia", "--split", "5:2:13", "--seed", seed),
    )
    steps.add(
        "Manifests for identification: two sessions of patients that are in no training class",
        *python("manifests/identification.py", str(store), "--dest", str(identity)),
        *("--valid-fraction", "0.05", "--test-fraction", "0.25", "--seed", seed),
    )
    steps.add(
        "Manifests for pre-training: everything but what the two tasks hold out",
        *python("manifests/pretrain.py", str(store), "--dest", str(pretrain)),
        *("--exclude", str(dx), str(identity), "--seed", seed),
    )
    check = python("manifests/check.py", str(dx), str(identity), str(pretrain))
    steps.add("Check that nothing leaks", *check)

    def task(name: str) -> Task:
        number = args.updates or UPDATES[name]
        seconds = LOADING + number * SECONDS[name]
        overrides = ["+task.sample_rate=100", f"optimization.max_update={number}"]
        return Task(manifests / name, CONFIGS / "demo" / f"{name}.yaml", overrides, seconds, number)

    run = out / "runs" / "pretrain"
    pretraining = training("Pre-train: all leads from few", task("pretrain"), run)
    starts = {
        "all_leads": Start([f"model.model_path={run}/checkpoint_last.pt"], pretraining),
        RANDOM_INIT: Start([]),
    }
    tasks = {name: task(name) for name in ("classification", "identification")}
    steps.compare(tasks, starts, range(1, args.seeds + 1))
    steps.table("Synthetic ECG (quickstart corpus)")
    steps.run()
    print(f"\nThese figures are of synthetic ECG. Written: {out}/results.json, results.md, results.png")


if __name__ == "__main__":
    main()
