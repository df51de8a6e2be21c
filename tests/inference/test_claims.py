"""Whether recordings are of whom they are said to be of."""

import numpy as np
import pytest

from fairseq_signals import Gallery
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.inference.gallery import enrolled
from fairseq_signals.metrics.identification import as_norm, l2_normalize
from fairseq_signals.metrics.verification import ClaimErrors, false_match_threshold


def gallery_of(rows, ids, threshold=None):
    names = [f"g{i}" for i in range(len(rows))]
    return enrolled(np.asarray(rows, float), ids, names, "m").with_threshold(threshold)


def test_a_claim_is_compared_with_the_recordings_of_this_patient_alone():
    gallery = gallery_of([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], ["a", "a", "b", "c"], threshold=0.7)
    right, wrong, unknown = gallery.verify(
        np.array([[2.0, 0], [1, 0], [1, 0]]), ["a", "b", "z"], ["p", "q", "r"]
    )
    assert (right.n_recordings, right.highest, right.mean) == (2, 1.0, pytest.approx(0.8))
    assert (right.accepted, right.nearest_id, right.nearest) == (True, "a", 1.0)
    assert (wrong.record_id, wrong.patient_id, wrong.n_recordings, wrong.accepted) == ("q", "b", 1, False)
    assert (wrong.highest, wrong.mean, wrong.nearest_id) == (0.0, 0.0, "a")
    assert (unknown.n_recordings, unknown.accepted, unknown.nearest_id) == (0, None, "a")
    assert np.isnan([unknown.highest, unknown.mean]).all()
    assert gallery.with_threshold(None).verify(np.eye(2), ["a", "b"], ["p", "q"])[0].accepted is None
    assert gallery.verify([], [], []) == []


def test_of_a_history_of_one_recording_every_aggregate_is_the_similarity_of_the_pair():
    rng = np.random.default_rng(0)
    rows, probes = l2_normalize(rng.normal(size=(9, 5))), l2_normalize(rng.normal(size=(9, 5)))
    for i, found in enumerate(gallery_of(rows, np.arange(9)).verify(probes, np.arange(9), list("abcdefghi"))):
        assert found.highest == found.mean == pytest.approx(rows[i] @ probes[i], abs=1e-11)
        assert found.nearest == pytest.approx((rows @ probes[i]).max(), abs=1e-11)


def test_a_recording_that_is_enrolled_is_not_compared_with_itself():
    gallery = gallery_of([[1, 0], [0.6, 0.8], [0, 1]], ["a", "a", "b"], threshold=0.9)
    first, last = gallery.verify(np.array([[1.0, 0], [0, 1]]), ["a", "b"], ["g0", "g2"], [0, 2])
    assert (first.n_recordings, first.highest, first.accepted) == (1, pytest.approx(0.6), False)
    assert (last.n_recordings, last.nearest_id, last.accepted) == (0, "a", None)


@pytest.mark.parametrize("with_cohort", [False, True])
def test_errors_of_claims_are_those_of_a_plain_loop(with_cohort):
    rng = np.random.default_rng(3)
    rows, ids = l2_normalize(rng.normal(size=(30, 4))), rng.integers(0, 12, 30)
    gallery, similarity = gallery_of(rows, ids), rows @ rows.T
    if with_cohort:
        cohort = l2_normalize(rng.normal(size=(25, 4)))
        gallery = gallery.with_cohort(cohort, top=10)
        similarity = np.matmul(as_norm(rows, cohort, 10)[1], as_norm(rows, cohort, 10)[0].T)
    limit, similarity = gallery.false_match_threshold(0.1), np.round(similarity, 12)
    pairs = np.triu(ids[:, None] != ids)
    assert limit == pytest.approx(false_match_threshold(similarity[pairs], 0.1))
    np.fill_diagonal(similarity, -np.inf)
    counts = np.zeros(4, int)
    for i in range(30):
        for patient in set(ids.tolist()):
            highest = similarity[i][ids == patient].max()
            if patient != ids[i]:
                counts += [highest >= limit, 1, 0, 0]
            elif highest > -np.inf:
                counts += [0, 0, highest < limit, 1]
    assert gallery.with_threshold(limit).claim_errors() == ClaimErrors(*counts)
    with pytest.raises(ConfigError, match="decided by a threshold, but the gallery has none"):
        gallery.claim_errors()


def test_a_gallery_with_a_cohort_ranks_by_normalised_similarities_and_comes_back_from_its_file(tmp_path):
    rng = np.random.default_rng(4)
    rows, probes, cohort = (l2_normalize(rng.normal(size=(n, 4))) for n in (8, 5, 12))
    plain = gallery_of(rows, np.arange(8), threshold=0.5)
    gallery = plain.with_cohort(3 * cohort, top=6)
    assert gallery.threshold is None  # that was a cosine
    scores = as_norm(probes, cohort, 6)[1] @ as_norm(rows, cohort, 6)[0].T
    matches = gallery.match(probes, list("abcde"))
    assert [match.patient_id for match in matches] == scores.argmax(axis=1).tolist()
    np.testing.assert_allclose([match.similarity for match in matches], scores.max(axis=1), atol=1e-9)
    gallery.with_threshold(3.5).save(tmp_path / "g.npz")
    loaded = Gallery.load(tmp_path / "g.npz")
    assert (loaded.threshold, loaded.cohort_top) == (3.5, 6)
    assert loaded.match(probes, list("abcde"))[0].similarity == matches[0].similarity
    with pytest.raises(ConfigError, match="AS-norm: AS-norm takes the scores with two people or more"):
        plain.with_cohort(cohort[:1])


@pytest.mark.parametrize(
    ("patients", "message"),
    [
        (["a"], r"2 recordings take a patient each, but there are 1 patients"),
        ([1, 2], "patients are <U1 in the gallery, but int64 in the claims"),
        (["a", None], "none may be missing"),
    ],
)
def test_claims_that_cannot_be_are_refused(patients, message):
    with pytest.raises(ConfigError, match=message):
        gallery_of(np.eye(2), ["a", "b"]).verify(np.eye(2), patients, ["p", "q"])


def test_a_model_verifies_recordings(models, ecg_adu):
    model = models["identification"]
    people = np.stack([ecg_adu(12, 3000, seed=i) / 1000.0 for i in range(3)])
    gallery = model.enroll(people, ["a", "b", "c"], fs=500).with_threshold(0.999)
    one = model.verify(people[1], "b", fs=500, gallery=gallery)
    assert (one.accepted, one.patient_id, one.n_recordings) == (True, "b", 1)
    many = model.verify(people[:2], ["b", "b"], fs=500, gallery=gallery)
    assert [found.nearest_id for found in many] == ["a", "b"]
    with pytest.raises(CheckpointError, match="enrolled with another model"):
        models["pretraining"].verify(people[1], "b", fs=500, gallery=gallery)


def test_rare_mistakes_make_a_rejection_mean_little():
    errors = ClaimErrors(1, 100, 5, 100)  # 1 % of the wrong claims accepted, 5 % of the right ones rejected
    rejected, accepted = errors.at(0.001)
    assert rejected == pytest.approx(0.001 * 0.99 / (0.001 * 0.99 + 0.999 * 0.05))  # 2 %
    assert accepted == pytest.approx(0.001 * 0.01 / (0.001 * 0.01 + 0.999 * 0.95))
    assert errors.at(0.5)[0] > 0.95


@pytest.mark.parametrize("prevalence", [1e-6, 0.001, 0.5])
def test_of_a_perfect_scorer_every_rejection_is_right_however_rare_mistakes_are(prevalence):
    perfect = ClaimErrors(0, 50, 0, 50)
    assert perfect.at(prevalence) == (1.0, 0.0)
    assert perfect.false_match == 0.0  # recall is 1
    assert np.isnan(ClaimErrors(0, 50, 0, 0).at(prevalence)).all()
    assert np.isnan(ClaimErrors(50, 50, 0, 50).at(prevalence)[0])  # nothing is rejected
