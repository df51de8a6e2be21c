"""AS-norm: scores of gallery entries and probes against those with a cohort of other people."""

import numpy as np
import pytest

from fairseq_signals.metrics.identification import as_norm, l2_normalize, rank1_accuracy


def normalised(gallery, probe, cohort, top):
    """(P, G) scores."""
    return as_norm(probe, cohort, top)[1] @ as_norm(gallery, cohort, top)[0].T


def slow_twin(gallery, probe, cohort, top):
    scores = np.zeros((len(probe), len(gallery)))
    for i, p in enumerate(probe):
        for j, g in enumerate(gallery):
            of_p, of_g = (np.array(sorted((x @ c for c in cohort), reverse=True)[:top]) for x in (p, g))
            s = p @ g
            scores[i, j] = ((s - of_g.mean()) / of_g.std() + (s - of_p.mean()) / of_p.std()) / 2
    return scores


@pytest.fixture
def drawn():
    """Gallery, probes and cohort of 5 features."""
    rng = np.random.default_rng(0)
    return tuple(l2_normalize(rng.normal(size=(n, 5))) for n in (6, 7, 20))


@pytest.mark.parametrize("top", [2, 5, 20, 300])
def test_inner_products_are_the_normalised_scores(drawn, top):
    np.testing.assert_allclose(normalised(*drawn, top), slow_twin(*drawn, top), rtol=1e-9)


def test_two_scores_with_a_cohort_of_known_moments():
    """g meets the cohort at 0.6 and 0.8 (mean .7, deviation .1), p at 0 and 1 (.5, .5), each other at 0.6."""
    gallery, probe, cohort = np.array([[0.6, 0.8]]), np.array([[1.0, 0.0]]), np.eye(2)
    assert normalised(gallery, probe, cohort, 2)[0, 0] == pytest.approx(
        ((0.6 - 0.7) / 0.1 + (0.6 - 0.5) / 0.5) / 2
    )


@pytest.mark.parametrize("constant", [-3.0, 0.5, 40.0])
def test_a_constant_added_to_all_scores_changes_nothing(drawn, constant):
    """By a further feature: the root of the constant, of a negative one with another sign on one side."""
    root = np.sqrt(abs(constant))
    as_gallery, as_probe, cohort_g, cohort_p = (
        np.hstack([rows, np.full((len(rows), 1), sign * root)])
        for rows, sign in zip(
            (drawn[0], drawn[1], drawn[2], drawn[2]), (1, np.sign(constant), np.sign(constant), 1)
        )
    )
    np.testing.assert_allclose(as_probe @ as_gallery.T, drawn[1] @ drawn[0].T + constant)
    found = as_norm(as_probe, cohort_p, 8)[1] @ as_norm(as_gallery, cohort_g, 8)[0].T
    np.testing.assert_allclose(found, normalised(*drawn, 8), rtol=1e-9)


@pytest.mark.parametrize("factor", [0.01, 2.0, 1000.0])
def test_scores_of_another_scale_change_nothing(drawn, factor):
    scaled = (rows * np.sqrt(factor) for rows in drawn)
    np.testing.assert_allclose(normalised(*scaled, 8), normalised(*drawn, 8), rtol=1e-9)


def test_a_cohort_that_meets_everybody_alike_keeps_the_order(drawn):
    """Of all signed unit vectors in every order everybody's scores have one mean and one deviation."""
    cohort = np.vstack([np.eye(5), -np.eye(5)])
    before, after = drawn[1] @ drawn[0].T, normalised(drawn[0], drawn[1], cohort, 10)
    np.testing.assert_array_equal(np.argsort(before, axis=None), np.argsort(after, axis=None))
    np.testing.assert_allclose(after, before * np.sqrt(5))  # the mean is 0, the deviation 1 / root 5


def test_who_is_near_to_everybody_is_no_longer_everybodys_nearest():
    """A hub of the gallery meets all at high scores; the probe's own score is lower, but unusual."""
    rng = np.random.default_rng(1)
    people, hub = l2_normalize(rng.normal(size=(30, 16))), np.ones(16)
    rows = l2_normalize(people + 0.9 * hub / 4)
    cohort, own = rows[:20], rows[20:]
    gallery = np.vstack([l2_normalize(own + 0.35 * rng.normal(size=own.shape)), l2_normalize(hub[None])])
    ids = np.arange(len(gallery))
    before = rank1_accuracy(gallery, ids, own, ids[:-1])
    as_gallery, as_probe = as_norm(gallery, cohort, 20)[0], as_norm(own, cohort, 20)[1]
    after = rank1_accuracy(as_gallery, ids, as_probe, ids[:-1], normalize=False)
    assert (before.nearest == 10).any()
    assert after.accuracy > before.accuracy


@pytest.mark.parametrize(
    ("cohort", "top", "message"),
    [
        (np.ones((4, 3)), 300, "must be .people, features. of .5,., but is .4, 3."),
        (np.ones((1, 5)), 300, "two people or more, but top is 1"),
        (np.ones((4, 5)), 1, "two people or more, but top is 1"),
        (np.ones((4, 5)), 4, "embedding 0: its 4 highest scores with the cohort are all"),
    ],
)
def test_a_cohort_that_tells_nothing_is_refused(drawn, cohort, top, message):
    with pytest.raises(ValueError, match=message):
        as_norm(drawn[0], cohort, top)
