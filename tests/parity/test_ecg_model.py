"""Checkpoints of the authors' trainer through `ECGModel`: their features, with and without fairseq."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fairseq_signals import ECGModel

pytestmark = pytest.mark.shared

#: Arguments: pairs of a checkpoint and a folder with `source.npy`, which gets `outputs.npz`.
WITHOUT_FAIRSEQ = """
import sys
sys.modules["fairseq"] = None  # importing it is an ImportError
import numpy as np
from fairseq_signals import ECGModel
for path, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    source = np.load(f"{folder}/source.npy")
    model = ECGModel.load(path)
    frames = np.stack(model.embed(source, fs=500, frames=True))
    np.savez(f"{folder}/outputs.npz", frames=frames, embedding=model.embed(source, fs=500))
assert sys.modules["fairseq"] is None
"""


def outputs_with_fairseq(model: ECGModel, source: np.ndarray) -> dict:
    """What `ECGModel` gives, under the names of what was saved."""
    frames = np.stack(model.embed(source, fs=500, frames=True))
    if model.kind != "classification":
        return {"encoder_out": frames, "aggregated": model.embed(source, fs=500)}
    probability = model.predict_proba(source, fs=500)
    return {"encoder_out": frames, "probability": probability}


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_checkpoint_gives_the_authors_features(pretrained, saved_checkpoints, close_where_saved):
    for checkpoint, theirs in saved_checkpoints(pretrained):
        model = ECGModel.load(checkpoint.path)
        assert (model.kind, model.dim) == (checkpoint.kind, checkpoint.config.encoder_embed_dim)
        if "logits" in theirs:
            assert len(model.labels) == theirs["logits"].shape[1]
            theirs["probability"] = theirs["logits"].double().sigmoid()
        ours = outputs_with_fairseq(model, theirs["source"].numpy())
        close_where_saved(f"ECGModel of {checkpoint.path.name}", theirs, ours)


def test_a_checkpoint_gives_them_without_fairseq(saved_checkpoints, close_where_saved, tmp_path):
    found = saved_checkpoints(True) + saved_checkpoints(False)
    arguments = []
    for i, (checkpoint, theirs) in enumerate(found):
        (tmp_path / str(i)).mkdir()
        np.save(tmp_path / str(i) / "source.npy", theirs["source"].numpy())
        arguments += [str(checkpoint.path), str(tmp_path / str(i))]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITHOUT_FAIRSEQ, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for i, (checkpoint, theirs) in enumerate(found):
        with np.load(tmp_path / str(i) / "outputs.npz") as arrays:
            ours = {"encoder_out": arrays["frames"], "aggregated": arrays["embedding"]}
            close_where_saved(f"{checkpoint.path.name} without fairseq", theirs, ours)


def test_saved_form_of_the_authors_checkpoint_is_the_same_model(saved_checkpoints, tmp_path):
    for checkpoint, theirs in saved_checkpoints(True):
        model, source = ECGModel.load(checkpoint.path), theirs["source"].numpy()
        folder = tmp_path / checkpoint.path.stem
        model.save(folder)
        np.testing.assert_array_equal(
            ECGModel.load(folder).embed(source, fs=500), model.embed(source, fs=500)
        )
        assert json.loads((folder / "config.json").read_text())["provenance"]["authors_code"]
