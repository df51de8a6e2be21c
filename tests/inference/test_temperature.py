"""Temperature scaling, from scores that are too sure to a saved model that is not."""

import json

import numpy as np
import pytest
from scipy.special import expit

from fairseq_signals.commands.calibrate import main
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError, LabelError
from fairseq_signals.evaluation.temperature import fit_temperature
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.inference.temperature import fold_temperature
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.metrics.calibration import negative_log_likelihood
from fairseq_signals.store.shards import StoreRow, write_shard

N, T = 300, 500
NOISE = np.random.default_rng(0).integers(-999, 999, (N, 12, T)).astype("i2")
LABELS = "index,name,abbreviation,codes\n0,one,A,1\n1,two,B,2\n2,three,C,3\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Records of noise in one shard."""
    folder = tmp_path_factory.mktemp("noise")
    rows = [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.001), NOISE[i]) for i in range(N)]
    write_shard(folder / "shard-00000.arrow", rows)
    return folder


@pytest.fixture
def write_manifest(store, tmp_path):
    """`write_manifest(labels)`: a folder with `valid.tsv`, one segment a record, its classes (N, C) bool."""

    def write(labels):
        targets = [",".join(map(str, np.flatnonzero(row))) for row in labels]
        rows = [Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", f"x/p{i}", 0, t) for i, t in enumerate(targets)]
        (tmp_path / "valid.tsv").write_text("".join(format_manifest(store, rows)))
        (tmp_path / "labels.csv").write_text(LABELS)
        return tmp_path

    return write


def drawn(probabilities):
    """Labels that have these probabilities."""
    return np.random.default_rng(1).random(probabilities.shape) < probabilities


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_factor_by_which_logits_are_too_large_is_found(write_manifest, exclusive):
    logits = np.random.default_rng(2).normal(0, 2, (N, 3))
    labels = drawn(expit(logits))
    if exclusive:  # the largest of logits with Gumbel noise has the probability of a softmax
        noisy = logits + np.random.default_rng(3).gumbel(size=logits.shape)
        labels = np.arange(3) == noisy.argmax(axis=1)[:, None]
    how = write_manifest(labels), "valid", ["mean"] * 3, exclusive
    found = fit_temperature(lambda _: 3 * logits[None], *how)
    assert found.temperature == pytest.approx(3, rel=0.15)
    assert found.nll[1] < found.nll[0]
    assert found.ece[1] < found.ece[0] / 2
    again = fit_temperature(lambda _: 3 * logits[None] / found.temperature, *how)
    assert again.temperature == pytest.approx(1, abs=1e-3)


def test_the_likelihood_is_that_of_scikit_learn():
    from sklearn.metrics import log_loss

    rng = np.random.default_rng(4)
    happened, p = rng.random((50, 3)) < 0.5, rng.random((50, 3))
    by_class = [log_loss(happened[:, c], p[:, c]) for c in range(3)]
    assert negative_log_likelihood(happened, p) == pytest.approx(np.mean(by_class))
    one, p = np.arange(3) == rng.integers(0, 3, (50, 1)), p / p.sum(axis=1, keepdims=True)
    assert negative_log_likelihood(one, p, True) == pytest.approx(log_loss(one.argmax(axis=1), p))
    assert np.isfinite(negative_log_likelihood(one, 1.0 - one, True))


@pytest.mark.parametrize(("sign", "what"), [(1, "all"), (-1, "nothing")])
def test_scores_that_tell_all_or_nothing_have_no_temperature(write_manifest, sign, what):
    labels = drawn(np.full((N, 3), 0.5))
    folder = write_manifest(labels)
    with pytest.raises(CheckpointError, match=f"the scores tell {what} of the labels"):
        fit_temperature(lambda _: sign * (2.0 * labels[None] - 1), folder, "valid", ["mean"] * 3)


def test_manifests_of_other_classes_are_refused(write_manifest):
    folder = write_manifest(np.ones((N, 3), bool))
    with pytest.raises(LabelError, match=r"has 2 classes, but .*labels\.csv has 3"):
        fit_temperature(lambda _: np.zeros((1, N, 2)), folder, "valid", ["mean"] * 2)


def test_the_saved_model_applies_its_temperature(write_manifest, checkpoints, tmp_path, capsys):
    model = ECGModel.load(checkpoints["classification"])
    signals = list(NOISE * 0.001)
    logits = np.stack([done.logit for done in model.stream(signals, 500, outputs=("logit",))])
    folder = write_manifest(drawn(expit(logits / 2)))
    out = tmp_path / "calibrated"
    argv = [str(checkpoints["classification"]), "--manifest", str(folder), "--leads", "12", "--out", str(out)]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "leads 12): NLL" in shown
    told = json.loads((out / "config.json").read_text())["provenance"]["calibration"]
    assert (told["records"], told["split"], told["lead_sets"]) == (N, "valid", ["12"])
    assert f"temperature {told['temperature']:.4f} from 300 records" in shown
    calibrated = ECGModel.load(out)
    expected = expit(logits[:5] / told["temperature"])
    np.testing.assert_allclose(calibrated.predict_proba(signals[:5], 500), expected, rtol=1e-4)
    assert "- Calibration: temperature" in (out / "README.md").read_text()
    assert calibrated.fingerprint != model.fingerprint


def test_thresholds_keep_what_a_segment_is_said_to_have_and_temperatures_multiply(checkpoints):
    model = ECGModel.load(checkpoints["classification"])
    model.thresholds = [0.5, 0.2, 0.9]
    signal = np.random.default_rng(5).normal(size=(20, 12, 500))
    before = [each.positive for each in model.predict(list(signal), 500)]
    proba = model.predict_proba(signal[0], 500)
    for _ in range(2):
        fold_temperature(model, 2.0, {"temperature": 2.0})
    assert model.provenance["calibration"]["temperature"] == 4
    assert list(model.thresholds.values()) == pytest.approx([0.5, *expit(np.log([0.25, 9]) / 4)])
    assert [each.positive for each in model.predict(list(signal), 500)] == before
    np.testing.assert_allclose(model.predict_proba(signal[0], 500), expit(np.log(proba / (1 - proba)) / 4))


def test_only_classifiers_can_be_calibrated(checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match="a pretraining model has no probabilities to calibrate"):
        main([str(checkpoints["pretraining"]), "--manifest", str(tmp_path), "--out", str(tmp_path / "o")])
