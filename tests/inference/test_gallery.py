"""Enrolment, and whose recording another one is most similar to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals import ECGModel, Gallery
from fairseq_signals.errors import CheckpointError, ConfigError, OutputError
from fairseq_signals.inference.gallery import enrolled
from fairseq_signals.metrics.identification import rank1_accuracy
from fairseq_signals.metrics.verification import false_match_threshold
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.record import make_record


@pytest.fixture(scope="module")
def people():
    """Two sessions of three people, (3, 2, 12, 5000) in mV."""
    config = CorpusConfig(patients=3, sessions=(2, 2), seed=2)
    return np.stack([[make_record(config, p, s).adu / 1000.0 for s in (0, 1)] for p in range(3)])


@pytest.fixture
def identifier(checkpoints):
    return ECGModel.load(checkpoints["identification"])


def gallery_of(rows, ids, threshold=None):
    return enrolled(np.asarray(rows, float), ids, [f"g{i}" for i in range(len(rows))], "m").with_threshold(
        threshold
    )


def test_a_recording_is_found_again_with_similarity_one(identifier, people):
    gallery = identifier.enroll(people[:, 0], ["a", "b", "c"], fs=500)
    assert (len(gallery), gallery.n_patients) == (3, 3)
    matches = identifier.predict(people[:, 0], fs=500)
    assert [m.patient_id for m in matches] == ["a", "b", "c"]
    np.testing.assert_allclose([m.similarity for m in matches], 1.0, atol=1e-6)
    one = identifier.predict(people[1, 0], fs=500)
    assert (one.patient_id, one.accepted, one.record_id) == ("b", None, "array")
    assert one.ranked[0] == ("b", one.similarity)
    assert len(one.ranked) == 3


def test_the_nearest_is_that_of_rank1_accuracy(identifier, people):
    ids = np.array([7, 8, 9])
    gallery = identifier.enroll(people[:, 0], ids, fs=500)
    expected = rank1_accuracy(gallery.embeddings, ids, identifier.embed(people[:, 1], fs=500), ids)
    matches = identifier.predict(people[:, 1], fs=500, gallery=gallery)
    assert [m.patient_id for m in matches] == ids[expected.nearest].tolist()
    np.testing.assert_allclose([m.similarity for m in matches], expected.similarity, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 6))
def test_ranked_patients_are_those_of_a_plain_loop(seed, n, top):
    rng = np.random.default_rng(seed)
    rows, ids = rng.normal(size=(n, 3)), rng.integers(0, 4, n)
    probe = rng.normal(size=3)
    gallery = gallery_of(rows, ids)
    (match,) = gallery.match(probe[None], ["p"], top)
    best = {}
    for row, patient in zip(gallery.embeddings, ids.tolist()):
        similarity = float(np.round(row @ probe / np.linalg.norm(probe), 12))
        best[patient] = max(best.get(patient, -2), similarity)
    expected = sorted(best.items(), key=lambda pair: -pair[1])[:top]
    assert [patient for patient, _ in match.ranked] == [patient for patient, _ in expected]
    np.testing.assert_allclose([s for _, s in match.ranked], [s for _, s in expected], atol=1e-12)
    assert (match.patient_id, match.similarity) == match.ranked[0]


def test_of_equal_similarities_the_one_enrolled_first_is_ahead():
    gallery = gallery_of([[0, 1], [1, 0], [1, 0], [1, 0], [1, 0]], ["d", "c", "a", "d", "b"])
    (match,) = gallery.match(np.array([[2.0, 0.0]]), ["p"])
    assert [patient for patient, _ in match.ranked] == ["c", "a", "d", "b"]


def test_matches_are_accepted_from_the_threshold_on():
    gallery = gallery_of([[1, 0], [0, 1]], ["a", "b"], threshold=0.8)
    near, far = gallery.match(np.array([[1.0, 0.1], [1.0, 0.9]]), ["x", "y"])
    assert (near.accepted, far.accepted) == (True, False)
    with pytest.raises(ConfigError, match="threshold is a cosine"):
        gallery.with_threshold(1.2)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3, 0.9])
def test_the_threshold_of_a_false_match_rate_is_that_of_all_pairs_of_different_people(rate):
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 30, 60)
    gallery = gallery_of(rng.normal(size=(60, 5)), ids)
    similarity = gallery.embeddings @ gallery.embeddings.T
    impostors = np.array([similarity[i, j] for i in range(60) for j in range(i) if ids[i] != ids[j]])
    assert gallery.false_match_threshold(rate) == pytest.approx(false_match_threshold(impostors, rate))


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.6])
def test_only_the_highest_similarities_of_each_block_are_kept(monkeypatch, rate):
    rng = np.random.default_rng(2)
    gallery = gallery_of(rng.normal(size=(60, 5)), rng.integers(0, 30, 60))
    whole = gallery.false_match_threshold(rate)
    kept = []

    def recorded(impostor, rate, n_pairs):
        kept.append((len(impostor), n_pairs))
        return false_match_threshold(impostor, rate, n_pairs)

    monkeypatch.setattr("fairseq_signals.inference.gallery._BLOCK_PAIRS", 7 * 60)
    monkeypatch.setattr("fairseq_signals.inference.gallery.false_match_threshold", recorded)
    assert gallery.false_match_threshold(rate) == pytest.approx(whole, abs=1e-12)
    ((n_kept, n_pairs),) = kept
    assert n_pairs == np.triu(gallery.patient_ids[:, None] != gallery.patient_ids).sum()
    assert n_kept <= rate * n_pairs + 2


def test_a_rate_that_the_gallery_cannot_measure_is_refused():
    gallery = gallery_of(np.eye(3), ["a", "b", "c"])
    with pytest.raises(
        ConfigError, match="takes 1000 impostor pairs or more to measure, but there are 3; enroll"
    ):
        gallery.false_match_threshold(0.001)
    with pytest.raises(ConfigError, match="there is no impostor pair"):
        gallery_of(np.eye(3), ["a", "a", "a"]).false_match_threshold(0.1)


@pytest.mark.parametrize("ids", [["a", "b", "ä"], [3, 1, 2]])
def test_a_gallery_comes_back_from_its_file(identifier, people, tmp_path, ids):
    gallery = identifier.enroll(people[:, 0], ids, fs=500).with_threshold(0.25)
    gallery.save(tmp_path / "g" / "gallery.npz")
    loaded = Gallery.load(tmp_path / "g" / "gallery.npz")
    np.testing.assert_array_equal(loaded.embeddings, gallery.embeddings)
    assert loaded.patient_ids.tolist() == ids
    assert (loaded.record_ids, loaded.model, loaded.threshold) == (gallery.record_ids, gallery.model, 0.25)
    assert identifier.predict(people[2, 0], fs=500, gallery=loaded).patient_id == ids[2]
    assert [path.name for path in (tmp_path / "g").iterdir()] == ["gallery.npz"]


def test_a_gallery_that_the_disk_does_not_take_is_named(tmp_path, monkeypatch):
    def full(*arguments, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(OutputError, match=r"g\.npz: cannot be written \(No space left on device\)"):
        enrolled(np.eye(2), ["a", "b"], ["1", "2"], "model").save(tmp_path / "g.npz")
    assert not list(tmp_path.iterdir())


def test_what_is_no_gallery_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        Gallery.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", features=np.zeros(2))
    (tmp_path / "pipe.npz").symlink_to("/dev/zero")
    for name in ("text.npz", "other.npz", "pipe.npz"):
        with pytest.raises(CheckpointError, match=rf"{name}: not a gallery"):
            Gallery.load(tmp_path / name)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("embeddings", np.eye(2)[:, :0], "must be 2 x at least 1, but its shape is"),
        ("embeddings", np.full((2, 2), np.nan), "must be finite"),
        ("embeddings", np.ones((2, 2)), "must be of length 1, but row 0 is of length 1.41"),
        ("embeddings", np.array([{}], dtype=object), "must hold floating-point numbers, but holds object"),
        ("patient_ids", np.array([0.5, 1.5]), "must hold texts or integers"),
        ("record_ids", np.array(["a"]), "must be 2, but its shape is"),
        ("model", np.array(["a", "b"]), "must have 0 axes"),
        ("threshold", 2.0, "is a cosine, from -1 to 1, but is 2"),
    ],
)
def test_an_array_of_a_gallery_that_cannot_be_is_named(tmp_path, key, value, message):
    arrays = {"embeddings": np.eye(2), "patient_ids": [1, 2], "record_ids": ["a", "b"], "model": "m"}
    np.savez(tmp_path / "g.npz", **{**arrays, "threshold": np.nan, key: value})
    with pytest.raises(CheckpointError, match=rf"g\.npz: {key} {message}"):
        Gallery.load(tmp_path / "g.npz")


def test_damage_to_a_gallery_is_noticed_or_without_effect(tmp_path):
    path = tmp_path / "g.npz"
    gallery = Gallery(np.eye(8), np.arange(8), tuple("abcdefgh"), "model", 0.5)
    gallery.save(path)
    whole = path.read_bytes()
    for start in range(0, len(whole), 61):
        path.write_bytes(whole[:start] + bytes(16) + whole[start + 16 :])
        try:
            found = Gallery.load(path)
        except CheckpointError:
            continue
        assert np.array_equal(found.embeddings, gallery.embeddings)
        rest = (found.patient_ids.tolist(), found.record_ids, found.model, found.threshold)
        assert rest == (list(range(8)), gallery.record_ids, "model", 0.5)


def test_an_identification_model_wants_a_gallery_of_its_own(identifier, models, checkpoints, people):
    with pytest.raises(ConfigError, match="there is nobody to compare with"):
        identifier.predict(people[0, 0], fs=500)
    foreign = models["pretraining"].enroll(people[:, 0], ["a", "b", "c"], fs=500)
    with pytest.raises(CheckpointError, match="enrolled with another model"):
        identifier.predict(people[0, 0], fs=500, gallery=foreign)
    scaled = ECGModel.load(checkpoints["identification"], normalize=True)
    with pytest.raises(CheckpointError, match="enrolled with another model"):
        scaled.predict(people[0, 0], fs=500, gallery=identifier.enroll(people[:, 0], [1, 2, 3], fs=500))


def test_a_pretrained_model_tells_people_apart_with_a_gallery_that_is_named(models, people):
    encoder = models["pretraining"]
    gallery = encoder.enroll(people[:, 0], ["a", "b", "c"], fs=500)
    assert encoder.predict(people[1, 0], fs=500, gallery=gallery).patient_id == "b"


def test_one_id_a_recording_is_wanted(identifier, people):
    with pytest.raises(ConfigError, match="2 recordings need one patient id each"):
        identifier.enroll(people[:2, 0], ["a"], fs=500)
    with pytest.raises(ConfigError, match="texts or integers"):
        identifier.enroll(people[:2, 0], [0.5, 1.5], fs=500)
    assert len(identifier.enroll(people[0, 0], "a", fs=500)) == 1
