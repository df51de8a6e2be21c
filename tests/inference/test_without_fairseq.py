"""Trained models are used where fairseq is not installed, and importing the package stays cheap."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fairseq_signals import ECGModel
from tests.ecg_text import save_ecg_text

#: Run first: as if fairseq, and what only training takes, were not installed.
BLOCK = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("fairseq", "fairseq_cli", "hydra", "omegaconf"):
            raise ImportError(f"No module named {name!r} (blocked)")

sys.meta_path.insert(0, NotInstalled())
try:
    import fairseq
except ImportError:
    pass
else:
    raise SystemExit("fairseq was not blocked")
"""

USE = """
import json
import numpy as np
from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_model

out = {}
for name, path in json.loads(sys.argv[1]).items():
    model = ECGModel.load(path)
    out[name] = {"embedding": model.embed(sys.argv[2]).tolist()}
    if model.kind == "classification":
        assert type(load_model(path)[0]) is type(model.network)
        out[name]["probabilities"] = dict(model.predict(sys.argv[2]))
    if model.kind == "identification":
        model.enroll([sys.argv[2]], ["somebody"])
        out[name]["patient"] = model.predict(sys.argv[2]).patient_id
json.dump(out, open(sys.argv[3], "w"))
"""

LIGHT = """
import sys
import fairseq_signals
assert "ECGModel" in dir(fairseq_signals)
heavy = {"torch", "numpy", "fairseq", "sklearn", "pyarrow", "scipy"} & set(sys.modules)
assert not heavy, heavy
from fairseq_signals import read_recording, read_recordings
heavy = {"torch", "fairseq", "sklearn", "pyarrow", "wfdb"} & set(sys.modules)
assert not heavy, heavy
from fairseq_signals import ECGModel
heavy = {"fairseq", "sklearn", "pyarrow", "wfdb", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""


def run(script, *arguments, cwd):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_models_of_every_kind_are_used_without_fairseq(models, checkpoints, recording, tmp_path):
    paths = {kind: str(path) for kind, path in checkpoints.items()}
    try:
        import safetensors  # noqa: F401
    except ImportError:
        pass
    else:
        models["classification"].save(tmp_path / "saved")
        paths["saved"] = str(tmp_path / "saved")
    paths["ecg_text"] = str(save_ecg_text(tmp_path / "ecg_text.pt"))
    ECGModel.load(paths["ecg_text"]).save(tmp_path / "saved_ecg_text")
    paths["saved_ecg_text"] = str(tmp_path / "saved_ecg_text")
    run(BLOCK + USE, json.dumps(paths), recording.wfdb, tmp_path / "out.json", cwd=tmp_path)
    found = json.loads((tmp_path / "out.json").read_text())
    for name, path in paths.items():
        model = ECGModel.load(path)
        np.testing.assert_allclose(found[name]["embedding"], model.embed(recording.wfdb), atol=1e-6)
        if model.kind == "classification":
            assert found[name]["probabilities"] == pytest.approx(
                dict(model.predict(recording.wfdb)), abs=1e-6
            )
    assert found["identification"]["patient"] == "somebody"


def test_importing_the_package_loads_next_to_nothing(tmp_path):
    run(LIGHT, cwd=tmp_path)


def test_other_names_are_no_attributes():
    import fairseq_signals

    with pytest.raises(AttributeError, match="has no attribute 'ECGModle'"):
        fairseq_signals.ECGModle  # noqa: B018
    assert set(fairseq_signals.__all__) <= set(dir(fairseq_signals))
    for name in fairseq_signals.__all__:
        assert getattr(fairseq_signals, name) is not None
