"""`fairseq-signals evaluate` of an identification model: AS-norm, and accuracy by time between sessions."""

import json

import numpy as np
import pytest
import torch

from fairseq_signals.commands.evaluate import main
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.saved_results import read_evaluation
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier
from fairseq_signals.store.shards import StoreRow, write_shard
from tests.sizes import TINY

#: Gallery, probes and training, of three patients each.
TIMES = (*3 * ["2000-01-01"], "2000-01-01 20:00:00", "2000-01-09", "2010-01-01", *6 * [""])


def checkpoint(path, head):
    torch.manual_seed(0)
    torch.save(
        {"model": head(ECGEncoder(EncoderConfig(**TINY)), 3).state_dict(), "cfg": {"model": TINY}}, path
    )
    return str(path)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    signals = rng.integers(-99, 99, (len(TIMES), 12, 256)).astype("i2")
    rows = [
        StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), signal, attributes=(("ECG date", time),))
        for i, (signal, time) in enumerate(zip(signals, TIMES))
    ]
    write_shard(tmp_path / "shard-00000.arrow", rows)
    for name, begin, end in (("test_gallery", 0, 3), ("test_probe", 3, 6), ("train", 6, 12)):
        lines = [
            Row(f"shard-00000.arrow#{i}:0", 256, f"x/r{i}", f"x/{name[:2]}{i % 3}", 0)
            for i in range(begin, end)
        ]
        (tmp_path / f"{name}.tsv").write_text("".join(format_manifest(".", lines)))
    return tmp_path


def test_accuracy_by_session_gap_with_normalised_similarities(folder, capsys):
    call = [
        checkpoint(folder / "i.pt", ECGIdentifier),
        "--manifest",
        str(folder),
        "--leads=12",
        "--intervals=0",
    ]
    for options in ([], ["--as-norm"], ["--as-norm", "2"]):
        files = ["--save", str(folder / "e.npz"), "--json", str(folder / "r.json"), "--by", "session_gap"]
        assert main([*call, *files, *options]) == 0
        printed, saved = capsys.readouterr().out, read_evaluation(folder / "e.npz")
        n_scores = len(options) and min(3, int(options[-1]) if options[-1].isdecimal() else 300)
        assert (f"AS-norm: by the {n_scores} highest scores with 3 people" in printed) == bool(options)
        scores = saved.similarity("12")
        correct = scores.argmax(axis=1) == np.arange(3)
        rows = json.loads((folder / "r.json").read_text())
        assert {row.get("group"): row["value"] for row in rows if row["metric"] == "accuracy"} == {
            None: pytest.approx(correct.mean()),
            "session_gap=same day": correct[0],
            "session_gap=<1 month": correct[1],
            "session_gap=>5 years": correct[2],
        }
        assert (saved.arrays["gallery"].shape[2] == 2 * 16 + 2) == bool(options)


def test_as_norm_is_of_identification_alone(folder):
    path = checkpoint(folder / "c.pt", ECGClassifier)
    with pytest.raises(ConfigError, match=r"--as-norm is for identification, but .* is of classification"):
        main([path, "--manifest", str(folder), "--as-norm"])
