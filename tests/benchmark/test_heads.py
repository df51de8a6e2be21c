"""What heads can tell of features, and what they choose on the valid split."""

import numpy as np
import pytest

from fairseq_signals.benchmark import heads


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(heads, "PATIENCE_UPDATES", 20)
    monkeypatch.setattr(heads, "MAX_UPDATES", 60)
    monkeypatch.setattr(heads, "LEARNING_RATE", 0.02)


def frames(n, seed, place):
    """Noise; in half of them one frame says so, in a channel that has a mean of zero in all."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2 == 0
    x = rng.normal(size=(n, 10, 8)).astype(np.float32) * 0.1
    for row in np.flatnonzero(labels):
        at = rng.integers(10)
        x[row, at, 0] += place
        x[row, at, 1] += 3
        x[row, (at + 5) % 10, 0] -= place
    return x, np.stack([labels, ~labels], axis=1)


@pytest.mark.parametrize("head", ["logistic", "neighbours", "attentive"])
def test_a_head_finds_a_class_that_its_features_tell(head):
    (train, y), (valid, v), (test, t) = (frames(n, seed, 0.0) for n, seed in ((120, 0), (40, 1), (40, 2)))
    if head != "attentive":
        train, valid, test = (x.mean(axis=1) for x in (train, valid, test))
    fitted = getattr(heads, f"fit_{head}")(train, y, valid, v, 1)
    logits = fitted.outputs(test)
    assert logits.shape == (40, 2)
    assert heads.score(logits, t) > 0.95


def test_attention_is_the_same_for_the_same_seed():
    train, labels = frames(70, 0, 2.0)
    fit = heads.fit_attentive
    first, again, other = (fit(train, labels, train, labels, seed).outputs(train) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_classes_that_are_always_or_never_there_are_constant():
    features = np.random.default_rng(0).normal(size=(20, 3))
    labels = np.stack([np.ones(20, bool), np.zeros(20, bool), np.arange(20) % 2 == 0], axis=1)
    logits = heads.logistic(features, labels, [1.0])[0].outputs(features)
    assert (logits[:, 0] > 5).all()
    assert (logits[:, 1] < -5).all()
    assert len(set(logits[:, 2].tolist())) == 20


def test_the_attentive_head_learns_which_layer_tells():
    (train, y), (valid, v) = (frames(n, seed, 2.0) for n, seed in ((120, 0), (40, 1)))
    noise = np.random.default_rng(3)
    train, valid = (
        np.stack([noise.normal(0, 0.5, x.shape), x, noise.normal(0, 0.5, x.shape)], axis=1).astype(np.float32)
        for x in (train, valid)
    )
    fitted = heads.fit_attentive(train, y, valid, v, 1)
    assert heads.score(fitted.outputs(valid), v) > 0.95
    assert int(fitted.mix.argmax()) == 1


def test_noise_tells_nothing():
    rng = np.random.default_rng(0)
    train, valid, test = (rng.normal(size=(300, 20)) for _ in range(3))
    y, v, t = (rng.random((300, 3)) < 0.4 for _ in range(3))
    for fit in (heads.fit_logistic, heads.fit_neighbours):
        assert heads.score(fit(train, y, valid, v).outputs(test), t) == pytest.approx(0.5, abs=0.07)


def test_ridge_regression_finds_a_linear_map():
    rng = np.random.default_rng(0)
    x, map_ = rng.normal(5, 3, size=(90, 4)), rng.normal(size=(4, 2))
    y = x @ map_ + 1
    fitted = heads.fit_ridge(x[:50], y[:50], x[50:70], y[50:70])
    np.testing.assert_allclose(fitted.outputs(x[70:]), y[70:], rtol=0.1, atol=0.5)


def test_a_penalty_is_chosen_that_generalises():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 100))
    y = x[:, :1] * 0.1 + rng.normal(size=(60, 1))  # next to nothing is to be learnt
    fitted = heads.fit_ridge(x[:30], y[:30], x[30:], y[30:])
    assert np.abs(fitted.weight).max() < 0.05


def test_neighbours_count_by_their_cosine():
    features = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])  # mean 0, deviations alike
    targets = np.array([[1.0], [2.0], [3.0], [4.0]])
    head = heads.Neighbours(features, targets, 2)
    angle = np.arctan2(0.6, 0.8)
    weights = np.exp(np.array([np.cos(angle), np.sin(angle)]) / heads.TEMPERATURE)
    expected = weights @ [1.0, 2.0] / weights.sum()
    assert head.outputs(np.array([[0.8, 0.6]])) == pytest.approx(expected, rel=1e-5)
    assert heads.Neighbours(features, targets, 1).outputs(np.array([[0.1, -0.9]])) == pytest.approx(4.0)


def test_there_are_no_more_neighbours_than_training_recordings():
    features, labels = np.eye(5), np.eye(5, dtype=bool)
    fitted = heads.fit_neighbours(features, labels, features, labels)
    assert fitted.nearest.n_neighbors in (1, 3)
    assert (fitted.outputs(features).argmax(axis=1) == np.arange(5)).all()


def test_strengths_are_those_that_scikit_learn_finds_one_by_one():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5))
    y = (x[:, :1] + rng.normal(size=(80, 1))) > 0
    for head, strength in zip(heads.logistic(x, y), heads.STRENGTHS):
        scaled = (x - head.mean) / head.std
        alone = LogisticRegression(C=strength, tol=1e-8).fit(scaled, y[:, 0])
        np.testing.assert_allclose(head.outputs(x)[:, 0], alone.decision_function(scaled), atol=2e-3)
