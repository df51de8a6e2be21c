"""Nearest-neighbour identification."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.metrics.identification import chance_level, mean_by_record, rank1_accuracy


def test_each_probe_takes_the_id_of_the_most_similar_direction_whatever_its_length():
    gallery = np.array([[10.0, 0.0], [0.0, 0.1], [-3.0, -3.0]])
    probe = np.array([[0.01, 0.001], [1.0, 50.0], [-1.0, 0.1]])
    found = rank1_accuracy(gallery, ["a", "b", "c"], probe, ["a", "b", "b"])
    np.testing.assert_array_equal(found.nearest, [0, 1, 2])
    np.testing.assert_array_equal(found.correct, [True, True, False])
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.similarity[2] == pytest.approx(0.9 / np.sqrt(2 * 1.01))


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
def test_chunks_do_not_change_the_result(chunk):
    rng = np.random.default_rng(0)
    gallery, probe = rng.normal(size=(50, 8)).astype("float32"), rng.normal(size=(23, 8)).astype("float32")
    gallery[31] = gallery[4] * 2  # a tie across chunks
    probe[5] = gallery[31]
    ids, probe_ids = np.arange(50), rng.integers(0, 50, 23)
    whole, parts = (rank1_accuracy(gallery, ids, probe, probe_ids, c) for c in (2048, chunk))
    np.testing.assert_array_equal(parts.nearest, whole.nearest)
    np.testing.assert_array_equal(parts.similarity, whole.similarity)
    assert parts.accuracy == whole.accuracy
    assert whole.nearest[5] == 4


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 30), copies=st.integers(2, 4), chunk=st.integers(1, 40), seed=st.integers(0, 999))
def test_of_equal_gallery_entries_one_of_another_patient_comes_first_and_then_the_lowest(
    n, copies, chunk, seed
):
    base = np.random.default_rng(seed).normal(size=(n, 5))
    gallery = np.tile(base, (copies, 1))
    same = rank1_accuracy(gallery, np.tile(np.arange(n), copies), base, np.arange(n), chunk)
    np.testing.assert_array_equal(same.nearest, np.arange(n))
    assert same.accuracy == 1.0
    others = rank1_accuracy(gallery, np.arange(n * copies), base, np.arange(n), chunk)
    np.testing.assert_array_equal(others.nearest, np.arange(n) + n)
    assert others.accuracy == 0.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 12), st.integers(1, 13))
def test_ties_do_not_make_the_accuracy_depend_on_the_order(seed, n_gallery, n_probes, chunk):
    """Few directions, so that most probes have a tie; the twin goes through the patients of each probe."""
    rng = np.random.default_rng(seed)
    gallery, probe = (rng.integers(1, 3, (n, 2)).astype(float) for n in (n_gallery, n_probes))
    gallery_ids, probe_ids = (rng.integers(0, 3, n) for n in (n_gallery, n_probes))
    g, p = rng.permutation(n_gallery), rng.permutation(n_probes)
    found = rank1_accuracy(gallery, gallery_ids, probe, probe_ids, chunk)
    turned = rank1_accuracy(gallery[g], gallery_ids[g], probe[p], probe_ids[p], chunk)
    np.testing.assert_array_equal(turned.correct, found.correct[p])
    np.testing.assert_array_equal(found.correct, gallery_ids[found.nearest] == probe_ids)
    for row, patient, correct in zip(probe, probe_ids, found.correct):
        cosines = np.round(gallery @ row / np.linalg.norm(gallery, axis=1) / np.linalg.norm(row), 12)
        own = cosines[gallery_ids == patient]
        others = cosines[gallery_ids != patient]
        assert correct == (len(own) > 0 and own.max() > others.max(initial=-2))


def test_one_embedding_a_patient_is_always_right_and_one_for_all_never():
    embeddings = np.random.default_rng(0).normal(size=(20, 6))
    assert rank1_accuracy(embeddings, np.arange(20), 3 * embeddings, np.arange(20)).accuracy == 1.0
    collapsed = np.ones((20, 6))
    assert rank1_accuracy(collapsed, np.arange(20), collapsed, np.arange(20)).accuracy == 0.0


def test_random_embeddings_are_right_as_often_as_guessing():
    rng = np.random.default_rng(0)
    accuracy = [
        rank1_accuracy(
            rng.normal(size=(10, 8)), np.arange(10), rng.normal(size=(500, 8)), np.arange(500) % 10
        )[0]
        for _ in range(20)
    ]
    assert np.mean(accuracy) == pytest.approx(0.1, abs=0.01)


def test_accuracy_does_not_depend_on_the_order_of_gallery_and_probes():
    rng = np.random.default_rng(1)
    gallery, probe = rng.normal(size=(40, 4)), rng.normal(size=(30, 4))
    ids, probe_ids = rng.integers(0, 5, 40), rng.integers(0, 5, 30)
    g, p = rng.permutation(40), rng.permutation(30)
    expected = rank1_accuracy(gallery, ids, probe, probe_ids)
    found = rank1_accuracy(gallery[g], ids[g], probe[p], probe_ids[p])
    assert found.accuracy == expected.accuracy
    np.testing.assert_array_equal(g[found.nearest], expected.nearest[p])


def test_a_probe_unknown_to_the_gallery_is_wrong():
    assert rank1_accuracy([[1.0, 0.0]], [7], [[1.0, 0.0]], [8]).accuracy == 0.0


def test_chance_is_the_share_of_right_gallery_entries():
    assert chance_level(["a", "b", "c", "d"], ["d", "a"]) == 0.25
    # "a": 3 of 4 entries are right, "b": 1 of 4, "z": none
    assert chance_level(["a", "a", "b", "a"], ["a", "b", "z"]) == pytest.approx((3 / 4 + 1 / 4 + 0) / 3)


def test_segments_of_a_record_are_averaged_as_directions():
    embeddings = np.array([[2.0, 0.0], [0.0, 5.0], [0.0, 100.0]])
    means, records = mean_by_record(embeddings, ["r2", "r1", "r2"])
    np.testing.assert_array_equal(records, ["r1", "r2"])
    np.testing.assert_allclose(means, [[0, 1], [np.sqrt(0.5), np.sqrt(0.5)]], atol=1e-12)


def test_record_means_equal_a_loop_and_do_not_depend_on_segment_order():
    rng = np.random.default_rng(2)
    embeddings, index = rng.normal(size=(60, 6)), rng.integers(0, 9, 60)
    means, records = mean_by_record(embeddings, index)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    for row, record in zip(means, records):
        mean = unit[index == record].mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-12)
    order = rng.permutation(60)
    np.testing.assert_allclose(mean_by_record(embeddings[order], index[order])[0], means, atol=1e-12)


ONE = np.ones((1, 2))


@pytest.mark.parametrize(
    ("gallery", "gallery_ids", "probe", "probe_ids", "message"),
    [
        (np.zeros((1, 2)), [0], ONE, [0], "gallery 0: the embedding is all zeros"),
        (ONE, [0], np.array([[1, 1], [np.nan, 1]]), [0, 1], "probe 1: the embedding is not finite"),
        (np.zeros((0, 2)), [], ONE, [0], "gallery: there is no embedding"),
        (ONE, [0], np.zeros((0, 2)), [], "probe: there is no embedding"),
        (ONE, [0], np.ones((1, 3)), [0], "as many features, but have 2 and 3"),
        (ONE, [0, 1], ONE, [0], "one id a row"),
        (ONE, ["0"], ONE, [0], "ids must be of one kind"),
    ],
)
def test_what_cannot_be_compared_is_refused(gallery, gallery_ids, probe, probe_ids, message):
    with pytest.raises(ValueError, match=message):
        rank1_accuracy(gallery, gallery_ids, probe, probe_ids)


def test_a_bad_row_is_named_by_its_place_in_the_whole_array():
    gallery = np.ones((5, 2))
    gallery[3] = 0
    with pytest.raises(ValueError, match="gallery 3"):
        rank1_accuracy(gallery, np.arange(5), ONE, [0], chunk=2)


def test_segments_that_cancel_out_are_refused():
    with pytest.raises(ValueError, match="mean of the segments of record 4: the embedding is all zeros"):
        mean_by_record([[1.0, 0.0], [-1.0, 0.0]], [4, 4])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6, 1e-9, 0.0])
@pytest.mark.parametrize("scale", [1.0, 1e25])
def test_near_ties_are_decided_as_in_double_precision(normalize, spread, scale):
    rng = np.random.default_rng(4)
    gallery = scale * (rng.standard_normal(24) + spread * rng.standard_normal((70, 24)))
    probe = scale * (rng.standard_normal(24) + spread * rng.standard_normal((30, 24)))
    ids = np.arange(70)
    found = rank1_accuracy(gallery, ids, probe, ids[:30], chunk=16, normalize=normalize)
    if normalize:
        gallery, probe = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (gallery, probe))
    similarity = np.round(np.array([[p @ g for g in gallery] for p in probe]), 12)
    if normalize or scale == 1.0:  # else no two of these large numbers are rounded to a tie
        others_first = [np.lexsort((ids, ids == own, -row))[0] for own, row in enumerate(similarity)]
        assert found.nearest.tolist() == others_first
    np.testing.assert_allclose(found.similarity, similarity.max(axis=1), rtol=1e-11)
