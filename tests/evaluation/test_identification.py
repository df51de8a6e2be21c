"""Scores of an identification model from given embeddings."""

import numpy as np
import pytest

from fairseq_signals.errors import CheckpointError, ManifestError
from fairseq_signals.evaluation.identification import evaluate_identification
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.metrics.identification import mean_by_record

GALLERY = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])


@pytest.fixture
def folder(tmp_path, write_store):
    """Three patients; a gallery and a probe recording of two segments each."""
    sides = ("gallery", "probe")
    write_store(tmp_path, [f"{side}{i}" for side in sides for i in range(3)])
    for first, side in zip((0, 3), sides):
        rows = [
            Row(f"s/shard-00000.arrow#{first + i}:{250 * k}", 250, f"x/{side}{i}", f"x/p{i}", k)
            for i in range(3)
            for k in (0, 1)
        ]
        (tmp_path / f"test_{side}.tsv").write_text("".join(format_manifest(".", rows)))
    return tmp_path


def evaluate(folder, probe, gallery=GALLERY, per="record"):
    embeddings = {"test_gallery.tsv": gallery[None], "test_probe.tsv": np.asarray(probe, float)[None]}
    return evaluate_identification(lambda m: embeddings[m.path.name], folder, ("12",), "test", per)


def test_each_probe_recording_takes_the_patient_of_the_nearest_gallery_recording(folder):
    probe = GALLERY.copy()
    probe[2:4] = [[0.9, 1, 0], [1, 0.8, 0]]  # the two segments of patient 1: on average nearer to patient 0
    outcome = evaluate(folder, probe)
    assert outcome.values == {"12": {"accuracy": pytest.approx(2 / 3), "chance": pytest.approx(1 / 3)}}
    assert (outcome.n, outcome.counted) == (3, "probe records")
    header, *lines = outcome.predictions()
    assert header == [
        *("leads", "probe_record_id", "probe_patient_id"),
        *("nearest_record_id", "nearest_patient_id", "similarity", "correct"),
    ]
    assert lines[0] == ["12", "x/probe0", "x/p0", "x/gallery0", "x/p0", "1.000000", 1]
    assert lines[1][1:5] == ["x/probe1", "x/p1", "x/gallery0", "x/p0"]
    assert lines[1][-1] == 0


def test_segments_are_probes_of_their_own_when_asked(folder):
    probe = GALLERY.copy()
    probe[2] = [1, 0.9, 0]
    outcome = evaluate(folder, probe, per="segment")
    assert outcome.values["12"] == {"accuracy": pytest.approx(5 / 6), "chance": pytest.approx(1 / 3)}
    assert outcome.n == 6
    assert list(outcome.predictions())[3][:4] == ["12", "x/probe1", "x/p1", 0]


def test_probes_of_unknown_patients_are_wrong_and_mentioned(folder):
    path = folder / "test_probe.tsv"
    path.write_text(path.read_text().replace("x/p2", "x/p9"))
    outcome = evaluate(folder, GALLERY)
    assert outcome.values["12"] == {"accuracy": pytest.approx(2 / 3), "chance": pytest.approx(2 / 9)}
    assert "1 probe patients have no gallery record" in outcome.notes[-1]


def test_an_embedding_without_direction_is_a_fault_of_the_checkpoint(folder):
    with pytest.raises(CheckpointError, match="12 leads: segment 0: the embedding is all zeros"):
        evaluate(folder, np.zeros((6, 3)))


def test_manifests_of_the_other_task_are_recognised(folder):
    (folder / "test_gallery.tsv").rename(folder / "test.tsv")
    with pytest.raises(ManifestError, match="holds classification manifests"):
        evaluate(folder, GALLERY)


def test_similarities_are_normalised_by_those_with_the_training_patients(folder, write_store):
    (folder / "more").mkdir()
    write_store(folder / "more", [f"t{i}" for i in range(12)])
    rows = [Row(f"more/s/shard-00000.arrow#{i}:0", 250, f"x/t{i}", f"x/t{i // 2}", 0) for i in range(12)]
    (folder / "train.tsv").write_text("".join(format_manifest(".", rows)))
    rng = np.random.default_rng(0)
    embeddings = {f"test_{side}.tsv": rng.normal(size=(6, 4)) for side in ("gallery", "probe")}
    embeddings["train.tsv"] = rng.normal(size=(12, 4))

    def predicted(top):
        args = (lambda m: embeddings[m.path.name][None], folder, ("12",), "test", "record")
        return evaluate_identification(*args, as_norm_top=top)

    before, after = predicted(0), predicted(5)
    note = f"AS-norm: by the 5 highest scores with 6 people of {folder / 'train.tsv'}"
    assert [n for n in after.notes if n not in before.notes] == [note]
    gallery, probe = before.arrays["gallery"][0], before.arrays["probe"][0]  # of length 1
    cohort, _ = mean_by_record(embeddings["train.tsv"], np.arange(12) // 2)
    expected = np.array([[_as_norm(g, p, cohort, 5) for g in gallery] for p in probe])
    assert not after.arrays["normalize"]
    np.testing.assert_allclose(after.arrays["probe"][0] @ after.arrays["gallery"][0].T, expected, rtol=1e-4)
    assert after.values["12"]["accuracy"] == (expected.argmax(axis=1) == np.arange(3)).mean()


def _as_norm(g, p, cohort, top):
    of_g, of_p = (np.sort(cohort @ x)[-top:] for x in (g, p))
    return ((g @ p - of_g.mean()) / of_g.std() + (g @ p - of_p.mean()) / of_p.std()) / 2
