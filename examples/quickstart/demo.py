"""From raw records to a table: pre-training, fine-tuning and testing on a synthetic corpus in minutes.

    make demo

Writes a corpus of SYNTHETIC 12-lead ECG as WFDB files in the layout of PhysioNet/CinC 2021, then runs the
commands that a user would type on real data. Like the paper it classifies the CPSC and Georgia subsets and
pre-trains on all subsets but what the two tasks hold out; identification is of patients in all subsets.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from steps import ROOT, Steps, python


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "demo", help="default: outputs/demo")
    parser.add_argument("--patients", type=int, default=600, help="synthetic patients (default: %(default)s)")
    parser.add_argument(
        "--updates", type=int, default=250, help="pre-training updates (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, help="of fine-tuning (default: as in config/)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    out: Path = args.out.resolve()
    seed = str(args.seed)
    raw, store, manifests = out / "raw", out / "store", out / "manifests"
    dx, identity, pretrain = (manifests / name for name in ("classification", "identification", "pretrain"))
    results = out / "evaluations.json"
    steps = Steps(out, total=16)

    steps.run(
        "Write a SYNTHETIC corpus as WFDB files",
        *python("examples/quickstart/make_corpus.py", "--dest", str(raw)),
        *("--patients", str(args.patients), "--sessions", "2..3", "--seed", seed),
    )
    steps.run(
        "Preprocess: WFDB files to a record store",
        *python("preprocess/physionet2021.py", str(raw), "--dest", str(store)),
        *("--patients", str(raw / "patients.csv")),
    )
    steps.run(
        "Manifests for classification (CPSC and Georgia subsets, as in the paper)",
        *python("manifests/classification.py", str(store), "--dest", str(dx), "--labels", "cinc2021"),
        *("--sources", "cpsc_2018", "georgia", "--split", "5:1:4", "--seed", seed),
    )
    steps.run(
        "Manifests for identification: two sessions of patients that are in no training class",
        *python("manifests/identification.py", str(store), "--dest", str(identity)),
        *("--valid-fraction", "0.05", "--test-fraction", "0.25", "--seed", seed),
    )
    steps.run(
        "Manifests for pre-training: everything but what the two tasks hold out",
        *python("manifests/pretrain.py", str(store), "--dest", str(pretrain)),
        *("--exclude", str(dx), str(identity), "--seed", seed),
    )
    steps.run(
        "Check that nothing leaks", *python("manifests/check.py", str(dx), str(identity), str(pretrain))
    )

    pretrained = steps.pretrain(pretrain, out / "runs" / "pretrain", args.updates, f"common.seed={seed}")
    epochs = (f"optimization.max_epoch={args.epochs}",) if args.epochs else ()
    tasks = {"classification": dx, "identification": identity}
    steps.compare(tasks, pretrained, results, args.seed, epochs)
    steps.table(results, "Synthetic ECG (quickstart corpus)")
    print(f"\nThese figures are of synthetic ECG. Written: {out}/results.json, results.md, results.png")


if __name__ == "__main__":
    main()
