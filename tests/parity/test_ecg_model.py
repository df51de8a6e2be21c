"""Checkpoints of the authors' trainer through `ECGModel`: their features, with and without fairseq."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fairseq_signals import ECGModel

pytestmark = pytest.mark.shared

WITHOUT_FAIRSEQ = """
import json, sys
sys.modules["fairseq"] = None  # importing it is an ImportError
import numpy as np
from fairseq_signals import ECGModel
source = np.load(sys.argv[2])
model = ECGModel.load(sys.argv[1])
frames = np.stack(model.embed(source, fs=500, frames=True))
np.savez(sys.argv[3], frames=frames, embedding=model.embed(source, fs=500))
assert sys.modules["fairseq"] is None
"""


@pytest.fixture(scope="module")
def outputs(parity_dir) -> dict:
    with np.load(parity_dir / "orig_checkpoint.io.npz") as arrays:
        return {key: np.array(arrays[key]) for key in arrays.files}


def compute_without_fairseq(path: Path, source: np.ndarray, folder: Path) -> dict:
    np.save(folder / "source.npy", source)
    command = [
        sys.executable,
        "-c",
        WITHOUT_FAIRSEQ,
        str(path),
        str(folder / "source.npy"),
        str(folder / "o"),
    ]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "o.npz") as arrays:
        return {key: np.array(arrays[key]) for key in arrays.files}


def test_pretrained_checkpoint_gives_the_authors_features(parity_dir, outputs, close, tmp_path):
    path = parity_dir / "orig_checkpoint.pt"
    model = ECGModel.load(path)
    assert (model.kind, model.dim, model.provenance["authors_code"]) == ("pretraining", 64, True)
    frames = np.stack(model.embed(outputs["source"], fs=500, frames=True))
    close("ECGModel frames", frames, outputs["encoder_out"])
    close("ECGModel embedding", model.embed(outputs["source"], fs=500), outputs["aggregated"])
    alone = compute_without_fairseq(path, outputs["source"], tmp_path)
    close("ECGModel frames without fairseq", alone["frames"], outputs["encoder_out"])
    close("ECGModel embedding without fairseq", alone["embedding"], outputs["aggregated"])


def test_fine_tuned_checkpoint_gives_the_authors_probabilities(parity_dir, outputs, close, tmp_path):
    path = parity_dir / "orig_checkpoint_classifier.pt"
    model = ECGModel.load(path)
    assert (model.kind, len(model.labels)) == ("classification", 26)
    frames = np.stack(model.embed(outputs["source"], fs=500, frames=True))
    close("ECGModel classifier frames", frames, outputs["classifier_encoder_out"])
    expected = 1 / (1 + np.exp(-outputs["classifier_logits"].astype(np.float64)))
    close("ECGModel probabilities", model.predict_proba(outputs["source"], fs=500), expected)
    alone = compute_without_fairseq(path, outputs["source"], tmp_path)
    close("ECGModel classifier frames without fairseq", alone["frames"], outputs["classifier_encoder_out"])


def test_saved_form_of_the_authors_checkpoint_is_the_same_model(parity_dir, outputs, tmp_path):
    pytest.importorskip("safetensors")
    model = ECGModel.load(parity_dir / "orig_checkpoint.pt")
    model.save(tmp_path / "model")
    loaded = ECGModel.load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.embed(outputs["source"], fs=500), model.embed(outputs["source"], fs=500)
    )
    assert json.loads((tmp_path / "model" / "config.json").read_text())["provenance"]["authors_code"]
