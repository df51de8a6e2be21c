"""Results of methods that are made up: how good each is, is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.evaluation.saved_results import write_evaluation

CONFIG = "simclr/config/pretraining/simclr_physio.yaml"
LEADS = ("12", "6", "3", "2", "1")
#: What makes titles dangerous on a page.
NASTY = '<img src=x onerror=alert(1)> & "co" </script>'


def outcome(task: str, kind: str, quality: float, seed: int, leads: Sequence[str], n_patients: int):
    """An evaluation whose metric grows with `quality` and falls with fewer leads; of the same records."""
    truth = np.random.default_rng(sum(map(ord, task)))
    patients = np.repeat([f"p{i:04d}" for i in range(n_patients)], 2)
    n = len(patients)
    records = np.array([f"r{i:04d}" for i in range(n)])
    labels = truth.random((n, 3)) < 0.3
    ages = truth.uniform(20, 80, (n, 1))
    hard = truth.normal(size=(n, 3))  # the same for all methods: what pairs do not count
    own = np.random.default_rng([seed, int(1000 * quality)])
    levels = quality * (1 - 0.06 * np.arange(len(leads))) + own.normal(0, 0.02)
    if kind == "classification":
        logits = [2 * level * labels + hard + 0.3 * own.normal(size=(n, 3)) - 1 for level in levels]
        arrays = {"probabilities": np.stack([1 / (1 + np.exp(-each)) for each in logits]), "labels": labels,
                  "record_ids": records, "patient_ids": patients, "threshold": 0.5,
                  "names": np.array(["a", "b", "c"]), "n_train": 80, "parameters": 1_500_000}  # fmt: skip
    elif kind == "regression":
        noise = 12 * hard[:, :1] + 4 * own.normal(size=(n, 1))
        arrays = {"predicted": np.stack([ages + noise * (1.6 - level) for level in levels]), "targets": ages,
                  "record_ids": records, "patient_ids": patients, "names": np.array(["age"])}  # fmt: skip
    else:
        right = [level + 0.2 * hard[:, 0] + 0.1 * own.normal(size=n) > 0.8 for level in levels]
        some = np.ones((len(leads), n, 2))
        arrays = {"gallery": some, "probe": some, "gallery_ids": patients, "probe_ids": patients,
                  "gallery_records": records, "probe_records": records, "normalize": True,
                  "correct": np.stack(right)}  # fmt: skip
    values = {each: {"x": 0.0} for each in leads}
    return Evaluation(kind, n, "records", values, lambda: iter(()), arrays=arrays)


def make_run(
    folder: Path,
    methods: Mapping[str, float],
    tasks: Mapping[str, tuple[str, str]],
    leads: Sequence[str] = LEADS,
    seeds: Sequence[int] = (1, 2),
    fractions: Sequence[int] = (10, 100),
    n_patients: int = 60,
    protocols: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """A run of the benchmark.

    Args:
        methods: by name how good each is, 0 to 1.
        tasks: by name the kind, and the corpus.
        protocols: of each kind.
    """
    protocols = protocols or {"classification": ["linear"], "regression": ["linear"]}
    for name, quality in methods.items():
        for seed in seeds:
            for task, (kind, _) in tasks.items():
                for protocol in protocols.get(kind, ["cosine"]):
                    for fraction in fractions if protocol != "cosine" else (100,):
                        less = 0.1 * (fraction < 100) + 0.05 * (protocol != "linear")
                        made = outcome(task, kind, quality - less, seed, leads, n_patients)
                        path = folder / f"results/{name}/seed{seed}/{task}-{protocol}-{fraction}.npz"
                        write_evaluation(path, made, name)
            _write_log(folder / f"runs/pretrain/{name}/seed{seed}/hydra_train.log", quality)
    entries = [
        {"title": NASTY if i == 1 else f"Method {name}", "config": CONFIG, "seconds": 0.25,
         "share": 1 - i / 100, "overrides": [f"model.encoder_layers={i + 1}", "task.data='<b>'"]}
        for i, name in enumerate(methods)
    ]  # fmt: skip
    entries[0] = {"title": "random start", "random_of": list(methods)[1]}
    settings = {
        "title": "Made up", "baseline": next(iter(methods)), "seeds": list(seeds), "budget_s": 300,
        "corpora": sorted({corpus for _, corpus in tasks.values()}), "methods": dict(zip(methods, entries)),
        "fractions": list(fractions),
        "tasks": {
            task: {"title": f"{task} of people", "kind": kind, "corpora": [corpus],
                   "protocols": [of for of in protocols.get(kind, ["cosine"]) if of != "finetuned"],
                   "finetune": "finetuned" in protocols.get(kind, [])}
            for task, (kind, corpus) in tasks.items()
        },
    }  # fmt: skip
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return folder


def _write_log(path: Path, quality: float) -> None:
    path.parent.mkdir(parents=True)
    losses = [(u, quality + 3 / (1 + u / 10)) for u in range(1, 100, 2)]
    lines = (f"epoch 001: {u:5d} / 99 loss={loss:.3f}, num_updates={u}, lr=0.001" for u, loss in losses)
    path.write_text("".join(f"[t][train_inner][INFO] - {line}\n" for line in lines))
