"""A model that says how unlike its training data a recording is: fitted, saved, used, tested."""

import csv
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fairseq_signals import ECGModel
from fairseq_signals.commands.main import main
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError
from fairseq_signals.evaluation.saved_results import read_evaluation
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.metrics.outlier import OutlierScore
from fairseq_signals.modules.middle import middle_layer, middle_pooled
from fairseq_signals.store.shards import StoreRow, write_shard

N, T = 40, 500
ADU = np.random.default_rng(0).integers(-999, 999, (N, 12, 2 * T)).astype("i2")
ADU[30:] = np.cumsum(ADU[30:] // 40, axis=2)  # slow, unlike the others
SPLITS = {"train": range(20), "valid": range(20, 25), "test": range(25, 30), "test_unseen": range(30, N)}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """Records of noise in the manifests of training, validation and test, and slow ones as unseen."""
    folder = tmp_path_factory.mktemp("manifests")
    rows = [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.001), signal) for i, signal in enumerate(ADU)]
    write_shard(folder / "shard-00000.arrow", rows)
    for name, records in SPLITS.items():
        listed = [
            Row(f"shard-00000.arrow#{i}:{k * T}", T, f"x/r{i}", f"x/p{i}", k, str(i % 3))
            for i in records for k in (0, 1)
        ]  # fmt: skip
        (folder / f"{name}.tsv").write_text("".join(format_manifest(folder, listed)))
    return folder


@pytest.fixture(scope="module")
def checkpoint(save_checkpoint, tmp_path_factory):
    """A classifier of segments of a second."""
    path = tmp_path_factory.mktemp("checkpoint") / "c.pt"
    return save_checkpoint(path, "classification", {"segment_s": 1.0})


@pytest.fixture(scope="module")
def fitted(checkpoint, manifests, tmp_path_factory):
    """The saved folder of the model with its score."""
    out = tmp_path_factory.mktemp("fitted") / "saved"
    argv = ["--manifest", str(manifests), "--leads", "12", "--out", str(out)]
    assert main(["outlier", str(checkpoint), *argv]) == 0
    return out


@pytest.fixture
def again(fitted, tmp_path):
    """`again(name, tensor)`: a copy of the folder, without its checksum, with another tensor or without."""

    def write(name, tensor):
        config = json.loads((fitted / "config.json").read_text())
        del config["weights_sha256"]
        (tmp_path / "config.json").write_text(json.dumps(config))
        tensors = load_file(fitted / "model.safetensors")
        del tensors[name]
        save_file(tensors if tensor is None else {**tensors, name: tensor}, tmp_path / "model.safetensors")
        return tmp_path

    return write


def test_the_middle_layer_is_the_same_in_a_pass_through_all_layers(models):
    model, signal = models["classification"], ADU[0] / 1000
    (done,) = model.stream([signal], 500, outputs=("logit", "middle"))
    assert middle_layer(model.network) == 1
    segment = torch.from_numpy(signal.astype(np.float32))[None]
    expected = middle_pooled(model.network, segment)[0].detach().numpy()
    np.testing.assert_allclose(done.middle, expected, atol=1e-6)
    assert not np.allclose(done.middle, model.embed(signal, 500), atol=1e-3)
    assert not any(module._forward_pre_hooks for module in model.network.modules())


def test_recordings_are_as_far_as_their_records_were(fitted, manifests):
    model = ECGModel.load(fitted)
    found = model.predict([signal / 1000 for signal in ADU[20:25]], 500)
    np.testing.assert_allclose(
        sorted(each.outlier.distance for each in found), model.outlier.usual, rtol=1e-4
    )
    assert [each.outlier.quantile for each in model.predict(list(ADU[35:] / 1000), 500)] == [1] * 5


def test_the_score_survives_saving_pickling_and_calibration_and_changes_no_prediction(
    checkpoint, fitted, manifests, tmp_path
):
    plain, model, signal = ECGModel.load(checkpoint), ECGModel.load(fitted), ADU[0] / 1000
    assert plain.predict(signal, 500).outlier is None
    np.testing.assert_array_equal(model.predict_proba(signal, 500), plain.predict_proba(signal, 500))
    assert model.fingerprint != plain.fingerprint
    model.save(tmp_path / "again")
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (fitted / name).read_bytes(), name
    expected = model.predict(signal, 500).outlier
    assert pickle.loads(pickle.dumps(model)).predict(signal, 500).outlier == expected
    told = json.loads((fitted / "config.json").read_text())["provenance"]["outlier"]
    assert (told["splits"], told["records"], told["lead_sets"]) == (["train", "valid"], [20, 5], ["12"])
    assert (
        "- Outlier score: Mahalanobis distance, in the middle layer, from 20 of train"
        in (fitted / "README.md").read_text()
    )


def test_predict_writes_both_columns_and_a_folder_without_a_score_none(
    checkpoint, fitted, manifests, tmp_path
):
    found = {}
    for name, model in (("plain", checkpoint), ("fitted", fitted)):
        out = tmp_path / f"{name}.csv"
        assert main(["predict", str(model), str(manifests / "test_unseen.tsv"), "--out", str(out)]) == 0
        with out.open() as file:
            found[name] = list(csv.DictReader(file))
    columns = list(found["plain"][0])
    assert list(found["fitted"][0]) == [*columns, "outlier", "outlier_distance"]
    assert [{name: row[name] for name in columns} for row in found["fitted"]] == found["plain"]
    score = ECGModel.load(fitted).outlier
    distances = [float(row["outlier_distance"]) for row in found["fitted"]]
    assert [float(row["outlier"]) for row in found["fitted"]] == score.quantile(distances).tolist()


def test_unseen_records_are_told_from_seen_ones_with_intervals(
    fitted, checkpoint, manifests, tmp_path, capsys
):
    results, arrays = tmp_path / "r.json", tmp_path / "r.npz"
    argv = ["--manifest", str(manifests), "--leads", "12,1", "--intervals", "50"]
    files = ["--json", str(results), "--save", str(arrays)]
    assert main(["evaluate", str(fitted), *argv, *files]) == 0
    rows = {(row["leads"], row["metric"]): row for row in json.loads(results.read_text())}
    area, taken = rows["12", "outlier_auroc"], rows["12", "outlier_fpr95"]
    assert (area["value"], area["n"], area["high"]) == (1, 15, 1)
    assert (taken["value"], taken["low"]) == (0, 0)
    assert rows["12", "macro_auroc"]["n"] == 5
    assert "outlier score: 5 records of seen classes, 10 of unseen ones" in capsys.readouterr().out
    saved = read_evaluation(arrays)
    assert saved.arrays["outlier"].shape == (2, 15)
    assert saved.arrays["unseen"].sum() == 10
    assert main(["evaluate", str(checkpoint), *argv]) == 0
    shown = capsys.readouterr().out
    assert "outlier AUROC" not in shown
    assert "the model has no outlier score, see `fairseq-signals outlier`" in shown


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("mean", None, "of an outlier score it has usual, whitening, not mean, whitening, usual"),
        ("mean", torch.zeros(15), r"outlier\.mean must be finite float32 of shape \(16,\)"),
        ("whitening", torch.eye(16, dtype=torch.int32), r"but is torch\.int32"),
        ("whitening", torch.full((16, 16), torch.nan), "not finite"),
        ("usual", torch.zeros(0), r"outlier\.usual must be"),
        ("usual", torch.tensor([2.0, 1.0]), r"outlier\.usual must ascend from 0"),
        ("usual", torch.tensor([-1.0, 1.0]), r"outlier\.usual must ascend from 0"),
    ],
)
def test_a_damaged_score_is_refused(again, name, tensor, message):
    with pytest.raises(CheckpointError, match=message):
        ECGModel.load(again(f"outlier.{name}", tensor))


def test_models_that_predict_nothing_and_data_that_do_not_differ_are_refused(
    checkpoints, checkpoint, manifests, tmp_path, capsys
):
    argv = ["--manifest", str(manifests), "--out", str(tmp_path / "m")]
    assert main(["outlier", str(checkpoints["pretraining"]), *argv]) == 1
    assert "a model of pretraining predicts nothing" in capsys.readouterr().err
    one = (manifests / "train.tsv").read_text().splitlines()[:2]
    (tmp_path / "one.tsv").write_text("\n".join([*one, ""]))
    argv = ["--manifest", str(tmp_path), "--split", "one", "--usual", "one", "--out", str(tmp_path / "m")]
    assert main(["outlier", str(checkpoint), *argv]) == 1
    assert "no outlier score: the embeddings of 1 training records do not differ" in capsys.readouterr().err


def test_a_class_called_like_a_column_of_the_score_is_refused(
    checkpoint, fitted, manifests, tmp_path, capsys
):
    model = ECGModel.load(checkpoint, labels=["a", "outlier", "b"])
    model.set_outlier(ECGModel.load(fitted).outlier)
    model.save(tmp_path / "m")
    argv = [str(manifests / "test.tsv"), "--out", str(tmp_path / "p.csv")]
    assert main(["predict", str(tmp_path / "m"), *argv]) == 1
    assert "a class is called 'outlier', but so is another column" in capsys.readouterr().err


def test_a_score_of_ones_own_embeddings_can_be_given_to_a_model(checkpoint):
    model, before = ECGModel.load(checkpoint), ECGModel.load(checkpoint).fingerprint
    rows = np.stack([d.middle for d in model.stream(list(ADU[:9] / 1000), 500, outputs=("middle",))])
    assert model.fingerprint == before
    model.set_outlier(OutlierScore.fit(rows, rows))
    assert model.fingerprint != before
    assert model.predict(ADU[0] / 1000, 500).outlier.distance == pytest.approx(
        float(model.outlier.distance(rows[:1])[0])
    )
