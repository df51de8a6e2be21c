"""Trainings of tiny models with logs, manifests and recordings, and a report with everything in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_signals.commands import main as cli
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier, PooledEncoder
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.record import make_record

N_RECORDS = 8
NAME = '<img src=x onerror=alert(1)> & "co"'
LABELS = 'index,name,abbreviation,codes\n0,<script>alert(2)</script>,A<F,1\n1,"sinus & ""rhythm""",NSR,2\n'
LOG = [
    *(f"epoch 001: {u:5d} / 99 loss={9 / u:.3f}, contrastive_loss={5 / u:.3f}, code_perplexity={u}, "
      f"accuracy={u / 50}, gnorm=1, num_updates={u}, lr=0.001" for u in range(1, 40)),
]  # fmt: skip


@pytest.fixture(scope="session")
def records(tmp_path_factory, write_wfdb):
    """Synthetic records of 10 s: a store of `N_RECORDS`, and one of them as a WFDB record."""
    folder = tmp_path_factory.mktemp("records")
    made = [make_record(CorpusConfig(patients=N_RECORDS, sessions=(1, 1), seed=5), i, 0).adu[:, :5000]
            for i in range(N_RECORDS)]  # fmt: skip
    rows = [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.001), adu) for i, adu in enumerate(made)]
    write_shard(folder / "shard-00000.arrow", rows)
    write_wfdb(folder, "one", made[0])
    return folder


def rows_of(records, target=lambda i: "") -> list[Row]:
    return [Row(f"shard-00000.arrow#{i}:{2500 * k}", 2500, f"x/r{i}", f"x/p{i % 3}", k, target(i))
            for i in records for k in (0, 1)]  # fmt: skip


@pytest.fixture(scope="session")
def manifests(records, tmp_path_factory):
    """Manifests of both tasks in one folder each."""
    root = tmp_path_factory.mktemp("manifests")
    (root / "dx").mkdir()
    (root / "id").mkdir()
    (root / "dx" / "test.tsv").write_text(
        "".join(format_manifest(records, rows_of(range(N_RECORDS), lambda i: ("0", "1", "0,1")[i % 3])))
    )
    (root / "dx" / "labels.csv").write_text(LABELS)
    (root / "id" / "test_gallery.tsv").write_text("".join(format_manifest(records, rows_of((0, 1, 2)))))
    (root / "id" / "test_probe.tsv").write_text("".join(format_manifest(records, rows_of((3, 4, 5)))))
    return root


@pytest.fixture(scope="session")
def make_run(tmp_path_factory, manifests):
    """`make_run(kind, name, log=True)`: a folder with a tiny model's checkpoint and a log."""

    def make(kind: str, name: str = "run", log: bool = True) -> Path:
        options = {
            "encoder_layers": 1, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 16,
            "encoder_attention_heads": 2, "conv_feature_layers": "[(8, 2, 2)] * 4", "conv_pos": 4,
            "conv_pos_groups": 2,
        }  # fmt: skip
        folder = tmp_path_factory.mktemp("runs") / name
        folder.mkdir()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            encoder = ECGEncoder(EncoderConfig(**options))
            heads = {"classification": lambda: ECGClassifier(encoder, 2),
                     "identification": lambda: ECGIdentifier(encoder, 3),
                     "pretraining": lambda: PooledEncoder(encoder)}  # fmt: skip
            state = heads[kind]().state_dict()
        task = {"data": str(manifests / "dx")}
        cfg = {"model": options, "task": task, "checkpoint": {"best_checkpoint_metric": "auroc"}}
        extra = {"extra_state": {"best": 0.75, "val_loss": 0.5, "train_iterator": {"epoch": 3}}}
        torch.save({"model": state, "cfg": cfg, **extra},
                   folder / "checkpoint_best.pt")  # fmt: skip
        if log:
            valid = "epoch 001 | valid on 'valid' subset | loss 2 | best_auroc 0.75 | num_updates 39"
            lines = [*(f"[t][train_inner][INFO] - {line}" for line in LOG), f"[t][valid][INFO] - {valid}"]
            (folder / "hydra_train.log").write_text("\n".join(lines) + "\n")
        return folder

    return make


@pytest.fixture(scope="session")
def full(make_run, manifests, records) -> Path:
    """The report of a classifier with everything that can be in it."""
    run = make_run("classification", NAME)
    call = ["report", run, "--manifest", manifests / "dx", "--record", records / "one.hea", "--leads=3,1"]
    assert cli.main(list(map(str, call))) == 0
    return run / "report.html"
