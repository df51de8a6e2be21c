"""`ECGEmbedder` is a scikit-learn transformer: its own checks, and a linear probe in one pipeline."""

import warnings
from pathlib import Path
from unittest import SkipTest

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from fairseq_signals import ECGEmbedder, ECGModel, Recording, StoreRecord
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, SignalError

#: scikit-learn's checks whose data cannot be recordings, and why.
EXCUSED = {
    "check_estimators_dtypes": "its integers make recordings that are constant, which are refused as flat",
    "check_array_api_input": "needs SCIPY_ARRAY_API; PyTorch computes, whatever the array was",
}


@pytest.fixture
def signals(recording):
    """Six recordings of 12 leads, (6, 12, 1250)."""
    return np.stack([recording.mv[:, 300 * i : 300 * i + 1250] * (1 + i % 2) for i in range(6)])


def test_scikit_learns_own_checks_pass_with_recordings_of_one_lead(save_checkpoint, tmp_path):
    one_sample_a_frame = {"conv_feature_layers": "[(4, 1, 1)]", "encoder_layers": 1}
    path = save_checkpoint(tmp_path / "c.pt", "pretraining", **one_sample_a_frame)
    checks = estimator_checks.parametrize_with_checks([ECGEmbedder(str(path), leads="1")]).args[1]
    failed, n = {}, 0
    for estimator, check in checks:
        n += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its recordings last milliseconds
                check(estimator)
        except (Exception, SkipTest) as error:
            failed[check.func.__name__] = error
    assert {name: error for name, error in failed.items() if name not in EXCUSED} == {}
    assert n > 35


def test_rows_are_the_embeddings_of_the_model(models, signals):
    embedder = ECGEmbedder(models["pretraining"], fs=250).fit(signals)
    np.testing.assert_array_equal(embedder.transform(signals), models["pretraining"].embed(signals, fs=250))
    assert embedder.get_feature_names_out().tolist() == [f"ecgembedder{i}" for i in range(16)]


def test_paths_store_rows_and_arrays_of_any_length_are_taken(models, recording):
    embedder = ECGEmbedder(models["pretraining"], fs=500, leads="2").fit([recording.wfdb])
    expected = models["pretraining"].embed(recording.wfdb, leads="2")
    mixed = [
        recording.wfdb,
        str(recording.wfdb),
        StoreRecord(recording.store, "one"),
        Recording(recording.mv, 500.0, LEADS, "x"),
        recording.mv[:2],
    ]
    for row in embedder.transform(mixed):
        np.testing.assert_allclose(row, expected, atol=1e-6)
    paths = np.array([str(recording.wfdb)] * 2)
    assert embedder.transform(paths).shape == (2, 16)
    assert embedder.transform([recording.mv[:2, :900], recording.mv[:2]]).shape == (2, 16)


def test_a_table_column_of_paths_is_taken(models, recording):
    pandas = pytest.importorskip("pandas")
    column = pandas.Series([str(recording.wfdb)] * 3, index=[5, 7, 9])
    assert ECGEmbedder(models["pretraining"]).fit_transform(column).shape == (3, 16)


def test_a_linear_probe_is_a_pipeline_that_can_be_searched(models, signals):
    probe = make_pipeline(
        ECGEmbedder(models["pretraining"], fs=250), StandardScaler(), LogisticRegression(C=100.0)
    )
    search = GridSearchCV(probe, {"ecgembedder__leads": [None], "logisticregression__C": [1.0, 9.0]}, cv=2)
    search.fit(signals, [0, 1] * 3)
    assert search.best_estimator_[0].model is models["pretraining"]  # shared, not copied
    assert search.predict(signals).shape == (6,)


def test_cloning_keeps_the_options_and_forgets_the_fit(checkpoints, signals):
    embedder = ECGEmbedder(checkpoints["pretraining"], fs=250, batch_size=3).fit(signals)
    copy = clone(embedder)
    assert copy.get_params() == embedder.get_params()
    assert not hasattr(copy, "model_")
    copy.set_params(batch_size=5)
    assert (copy.batch_size, embedder.batch_size) == (5, 3)
    assert isinstance(embedder.model_, ECGModel)
    assert isinstance(embedder.model, Path)


def test_what_is_no_batch_of_recordings_is_refused(models, signals):
    embedder = ECGEmbedder(models["pretraining"])
    with pytest.raises(SignalError, match=r"X has the shape \(6, 1250\); recordings of several leads are"):
        embedder.fit(signals[:, 0])
    with pytest.raises(SignalError, match="Reshape your data"):
        embedder.fit(signals[0, 0])
    with pytest.raises(ConfigError, match="must name a checkpoint"):
        ECGEmbedder().fit(signals)
