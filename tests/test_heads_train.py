"""Every kind of head from its shipped configuration to predictions, results, a saved folder and a program.

A head trains for two updates (`fairseq-hydra-train`) on a tiny pre-trained encoder.
"""

import math
import re

import numpy as np
import pytest

from fairseq_signals import ECGModel, StoreRecord
from fairseq_signals.commands.main import main
from fairseq_signals.evaluation.evaluate import evaluate
from fairseq_signals.manifest.table import read_manifest

CLASSES = {"cinc_score", "macro_auroc", "macro_auprc"}
#: By configuration: its manifests, its best checkpoint's metric, and what `evaluate` measures.
HEADS = {
    "asymmetric": ("classification", "auroc", CLASSES),
    "multiclass": ("one_class", "auroc", CLASSES | {"accuracy", "macro_f_measure"}),
    "regression": ("regression", "mae", {"mae", "rmse", "r2", "pearson"}),
}
CHANGES = ("common.log_format=simple", "common.cpu=true", "dataset.batch_size=8", "optimization.max_update=2")


@pytest.fixture(scope="module")
def runs(start_training, corpus, pretrained, repo_dir, tmp_path_factory) -> dict:
    """A training of each configuration, and its manifests."""
    folder, configs = tmp_path_factory.mktemp("heads"), repo_dir / "examples/w2v_cmsc/config/finetuning"
    found = {}
    for name, (manifests, *_) in HEADS.items():
        data, changes = getattr(corpus, manifests), (*CHANGES, f"model.model_path={pretrained}")
        found[name] = start_training(configs / f"{name}.yaml", data, folder / name, *changes), data
    return found


@pytest.mark.parametrize("name", list(HEADS))
def test_a_head_trains_and_its_model_is_used_evaluated_saved_and_exported(
    name, runs, corpus, tmp_path, capsys
):
    (run, data), (_, metric, measured) = runs[name], HEADS[name]
    output = run.wait()
    losses = [float(loss) for loss in re.findall(r" loss=([\d.]+)", output)]
    assert len(losses) == 2
    assert all(0 < loss < math.inf for loss in losses)
    assert f" | best_{metric} " in output or f" | {metric} " in output
    path = run.save_dir / "checkpoint_best.pt"
    model = ECGModel.load(path)
    manifest = read_manifest(data / "test.tsv")
    records = list(dict.fromkeys(manifest.record_ids))[:3]
    recordings = [StoreRecord(corpus.store, record.split("/")[1]) for record in records]
    found = model.predict(recordings)

    assert main(["predict", str(path), str(data / "test.tsv"), "--out", str(tmp_path / "p.csv")]) == 0
    header, *lines = (tmp_path / "p.csv").read_text().replace('"', "").splitlines()
    assert len(lines) == len(set(manifest.record_ids))
    assert [record in lines[i] for i, record in enumerate(records)] == [True] * 3

    outcome = evaluate(path, data, {"12": tuple(range(12)), "I": (0,)})
    assert {frozenset(values) for values in outcome.values.values()} == {frozenset(measured)}
    numbers = outcome.arrays["predicted" if name == "regression" else "probabilities"][0]
    given = np.array([list(one.values()) for one in found])
    np.testing.assert_allclose(numbers[:3], given, rtol=1e-4, atol=1e-6)

    for library in ("safetensors", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    model.save(tmp_path / "saved")
    again = ECGModel.load(tmp_path / "saved").predict(recordings)
    np.testing.assert_array_equal([list(one.values()) for one in again], given)
    model.export(tmp_path / "m.onnx")  # compares it with the model

    assert main(["info", str(tmp_path / "saved")]) == 0
    told = capsys.readouterr().out
    if name == "regression":
        assert header == "record,age"
        assert 0 < found[0]["age"] < 120
        assert str(found[0]).startswith(f"Estimate({found[0].record_id}: age ")
        assert outcome.notes == ["MAE and RMSE of age in years"]
        assert f"age  {model.targets.means[0]:.4g} ± {model.targets.stds[0]:.4g} years" in told
    else:
        assert header.startswith("record,positive,")
        assert model.exclusive == (name == "multiclass")
        assert ("exactly one holds" in told) == model.exclusive
