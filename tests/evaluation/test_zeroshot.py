"""Zero-shot classification: by hand, against slow twins, and beside what it must be above."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fairseq_signals.checkpoints.loading import build_model, load_checkpoint
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError, ConfigError, ManifestError
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.zeroshot import untrained, zero_shot
from fairseq_signals.evaluation.zeroshot_scores import (
    SHUFFLED,
    TEXT_ONLY,
    TRAINED,
    UNTRAINED,
    Scores,
    ZeroShot,
    evaluation_of,
    places_of,
)
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.metrics.bootstrap import intervals
from fairseq_signals.metrics.weighted import Areas
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.text.tokenizer import Tokenizer
from tests.ecg_text import WORDS, save_ecg_text

N, T = 8, 320
LABELS = "index,name,abbreviation,codes\n0,atrial fibrillation,AF,1\n1,sinus rhythm,,2\n2,block,B,3\n"


def manifest_of(folder, root, targets):
    """`test.tsv`: two segments each of the records, four patients."""
    rows = [
        Row(f"shard-00000.arrow#{i}:{T * k}", T, f"x/r{i}", f"x/p{i // 2}", k, target)
        for i, target in enumerate(targets)
        for k in (0, 1)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "test.tsv").write_text(
        "".join(format_manifest(root, [row for row in rows if row.target != "-"]))
    )
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Records, their classes and reports, and the model that scores them; the last record has no report."""
    root = tmp_path_factory.mktemp("zeroshot")
    signals = np.random.default_rng(0).integers(-90, 90, (N, 12, 2 * T)).cumsum(axis=2).astype(np.int16)
    rows = [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), signals[i]) for i in range(N)]
    write_shard(root / "shard-00000.arrow", rows)
    classes = manifest_of(root / "classes", root, ["0", "1", "0,1", "", "1", "0", "", "1"])
    (classes / "labels.csv").write_text(LABELS)
    texts = manifest_of(root / "texts", root, ["1", "0", "1", "2", "0", "1", "2", "-"])
    lines = [f"{i}\t{text}\t2\ttest\n" for i, text in enumerate((*WORDS[:3], "never used"))]
    (texts / "texts.tsv").write_text("text_id\ttext\tn\tsplit\n" + "".join(lines))
    (texts / "manifest.json").write_text('{"kind": "ecg_text"}')
    model = save_ecg_text(root / "clip.pt", {"segment_s": T / 500})
    return SimpleNamespace(root=root, classes=classes, texts=texts, model=model, signals=signals)


@pytest.fixture(scope="module")
def found(data) -> ZeroShot:
    return zero_shot(data.model, data.classes, parse_lead_sets(["12,1"]), texts=data.texts)


def vectors(network, data, texts, leads=range(12)):
    """Slowly, one by one: means over segments of ECGs (N, J), and vectors of texts (M, J)."""
    source = torch.zeros(N, 12, 2 * T)
    source[:, list(leads)] = torch.from_numpy(data.signals.astype(np.float32) * 0.01)[:, list(leads)]
    tokenizer = Tokenizer(torch.load(data.model, weights_only=True)["task_state"]["tokenizer"])
    with torch.no_grad():
        segments = [[network(x[None, :, :T])[0], network(x[None, :, T:])[0]] for x in source]
        of_texts = [
            network.of_texts(torch.tensor([[0, *tokenizer.encode(text), 2]]))[0].numpy() for text in texts
        ]
    return np.stack([((a + b) / 2).numpy() for a, b in segments]), np.stack(of_texts)


NAMES = ("atrial fibrillation", "sinus rhythm", "block")


@pytest.mark.parametrize(("name", "leads"), [("12", range(12)), ("1", [0])])
def test_scores_are_cosines_with_the_names_of_classes_averaged_over_segments(data, found, name, leads):
    ecgs, texts = vectors(build_model(load_checkpoint(data.model)), data, NAMES, leads)
    np.testing.assert_allclose(found.rows[TRAINED].cosines[name], ecgs @ texts.T, atol=2e-6)
    assert found.names == list(NAMES)
    assert found.rows[TRAINED].labels[:, 0].tolist() == [1, 0, 1, 0, 0, 1, 0, 0]


def test_several_prompts_are_averaged_and_of_length_1_again(data, tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text(
        "class,prompt\nAF,atrial fibrillation\nsinus rhythm,sinus rhythm\nB,block\nAF,no p wave\n"
    )
    found = zero_shot(data.model, data.classes, parse_lead_sets(["12"]), prompts=path)
    ecgs, texts = vectors(build_model(load_checkpoint(data.model)), data, (*NAMES, "no p wave"))
    mean = (texts[0] + texts[3]) / np.linalg.norm(texts[0] + texts[3])
    np.testing.assert_allclose(found.rows[TRAINED].cosines["12"][:, 0], ecgs @ mean, atol=2e-6)
    np.testing.assert_allclose(found.rows[TRAINED].cosines["12"][:, 1], ecgs @ texts[1], atol=2e-6)


def test_the_untrained_row_is_of_the_weights_that_the_seed_of_the_training_draws(data, found):
    info = load_checkpoint(data.model)
    network = untrained(info)
    again, trained = untrained(info).state_dict(), build_model(info).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in network.state_dict().items())
    assert torch.equal(again["tokenizer"], trained["tokenizer"])
    assert not torch.equal(again["joint.ecg.weight"], trained["joint.ecg.weight"])
    ecgs, texts = vectors(network, data, NAMES)
    np.testing.assert_allclose(found.rows[UNTRAINED].cosines["12"], ecgs @ texts.T, atol=2e-6)


def test_scores_do_not_depend_on_what_is_true_and_no_threshold_is_chosen(data, found, tmp_path):
    other = manifest_of(tmp_path / "classes", data.root, ["1", "0", "", "0,1", "0", "1", "1", "0"])
    (other / "labels.csv").write_text(LABELS)
    again = zero_shot(data.model, other, parse_lead_sets(["12,1"]), texts=data.texts)
    for title, row in found.rows.items():
        assert (again.rows[title].labels != row.labels).any()
        for leads, cosines in row.cosines.items():
            np.testing.assert_array_equal(again.rows[title].cosines[leads], cosines)
    ranked = {"macro_auroc", "median_rank", *(f"recall_at_{k}" for k in (1, 5, 10))}
    assert set(evaluation_of(found, TRAINED, 0).values["12"]) == ranked | {f"auroc_{n}" for n in found.names}


def test_shuffled_pairs_have_the_scores_of_other_records(found):
    trained, shuffled = (found.rows[row].cosines["12"] for row in (TRAINED, SHUFFLED))
    assert sorted(map(tuple, trained)) == sorted(map(tuple, shuffled))
    assert not np.array_equal(trained, shuffled)


def test_texts_alone_are_scored_by_the_same_prompts_where_there_is_one(data, found):
    _, texts = vectors(build_model(load_checkpoint(data.model)), data, (*NAMES, *WORDS[:3]))
    row = found.rows[TEXT_ONLY]
    expected = texts[3:][[1, 0, 1, 2, 0, 1, 2]] @ texts[:3].T
    np.testing.assert_allclose(row.cosines["texts"], expected, atol=2e-6)
    assert len(row.labels) == len(row.patients) == 7


def test_recall_is_of_the_own_text_among_those_of_the_split(data, found):
    ecgs, texts = vectors(build_model(load_checkpoint(data.model)), data, WORDS[:3])
    own = [1, 0, 1, 2, 0, 1, 2]
    ranks = [1 + int((row > row[i]).sum()) for row, i in zip(ecgs @ texts.T, own)]
    assert found.rows[TRAINED].ranks["12"].tolist()[:7] == ranks
    assert np.isnan(found.rows[TRAINED].ranks["12"][7])
    values = evaluation_of(found, TRAINED, 0).values["12"]
    assert values["recall_at_1"] == pytest.approx(np.mean(np.array(ranks) == 1))
    assert values["recall_at_5"] == 1
    assert values["median_rank"] == np.median(ranks)
    assert any("7 of 8 records have a text, one of 3" in note for note in found.notes)


def test_of_texts_that_are_as_near_as_the_own_half_come_before_it():
    cosines = np.array([[0.5, 0.5, 0.5, 0.9], [0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.1, 0.1]])
    assert places_of(cosines, np.array([1, 3, -1])).tolist()[:2] == [3.0, 1.0]
    assert np.isnan(places_of(cosines, np.array([1, 3, -1]))[2])


def by_hand(cosines: np.ndarray) -> ZeroShot:
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    scores = Scores(labels, np.array(["a", "a", "b", "c"]), {"12": cosines})
    return ZeroShot(["x", "y", "z"], {TRAINED: scores}, {}, [])


def test_the_mean_is_over_classes_with_both_outcomes():
    perfect = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.0], [0.7, 0.2, 0.0], [0.3, 0.4, 0.0]])
    values = evaluation_of(by_hand(perfect), TRAINED, 0).values["12"]
    assert values["macro_auroc"] == values["auroc_x"] == values["auroc_y"] == 1
    assert np.isnan(values["auroc_z"])
    one_wrong = perfect.copy()
    one_wrong[2, 0] = 0.2  # above one of two others
    values = evaluation_of(by_hand(one_wrong), TRAINED, 0).values["12"]
    assert values["auroc_x"] == 0.75
    assert values["macro_auroc"] == 0.875


def test_intervals_are_by_patient_of_each_class_and_of_their_mean(found):
    outcome, row = evaluation_of(found, TRAINED, 50), found.rows[TRAINED]
    expected = intervals([Areas(row.labels, row.cosines["12"], row.patients)], 50)["macro_auroc"]
    assert outcome.intervals["12"]["macro_auroc"] == expected
    of_one = intervals([Areas(row.labels[:, [1]], row.cosines["12"][:, [1]], row.patients)], 50)[
        "macro_auroc"
    ]
    name = f"auroc_{found.names[1]}"
    assert outcome.intervals["12"][name] == of_one
    expected = roc_auc_score(row.labels[:, 1], row.cosines["12"][:, 1])
    assert outcome.values["12"][name] == pytest.approx(expected)
    assert f"auroc_{found.names[2]}" not in outcome.intervals["12"]
    assert any("mean over 2 of 3 classes" in note for note in found.notes)


def test_a_model_that_takes_vectors_is_given_those_of_prompts_and_texts(data, tmp_path):
    model = save_ecg_text(tmp_path / "v.pt", {"segment_s": T / 500}, text_vector_dim=5)
    prompts, texts = np.random.default_rng(1).normal(size=(2, 4, 5)).astype(np.float32)
    np.save(tmp_path / "prompts.npy", prompts[:3])
    sets = parse_lead_sets(["12"])
    with pytest.raises(ConfigError, match="--prompt-vectors"):
        zero_shot(model, data.classes, sets)
    with pytest.raises(ManifestError, match=r"texts\.npy: the vectors of texts cannot be read"):
        zero_shot(model, data.classes, sets, prompt_vectors=tmp_path / "prompts.npy", texts=data.texts)
    np.save(data.texts / "texts.npy", texts)
    try:
        found = zero_shot(
            model, data.classes, sets, prompt_vectors=tmp_path / "prompts.npy", texts=data.texts
        )
    finally:
        (data.texts / "texts.npy").unlink()
    network = build_model(load_checkpoint(model))
    with torch.no_grad():
        of_prompts, of_texts = (network.of_texts(torch.from_numpy(x)).numpy() for x in (prompts[:3], texts))
    expected = of_texts[[1, 0, 1, 2, 0, 1, 2]] @ of_prompts.T
    np.testing.assert_allclose(found.rows[TEXT_ONLY].cosines["texts"], expected, atol=2e-6)
    with pytest.raises(ConfigError, match="takes texts"):
        zero_shot(data.model, data.classes, sets, prompt_vectors=tmp_path / "prompts.npy")


def test_what_cannot_be_scored_is_refused(data, tmp_path):
    sets = parse_lead_sets(["12"])
    raw = torch.load(data.model, weights_only=True)
    torch.save({**raw, "task_state": {}}, tmp_path / "mute.pt")
    with pytest.raises(CheckpointError, match="has no tokenizer"):
        zero_shot(tmp_path / "mute.pt", data.classes, sets)
    encoder = {key: value for key, value in raw["model"].items() if key.startswith("encoder.")}
    torch.save({**raw, "model": encoder}, tmp_path / "encoder.pt")
    with pytest.raises(CheckpointError, match="compares no ECGs with texts; train model ecg_text_clip"):
        zero_shot(tmp_path / "encoder.pt", data.classes, sets)
    others = tmp_path / "others"
    manifest_of(others, data.root, ["-", "-", "-", "-", "-", "-", "-", "0"])
    (others / "manifest.json").write_text('{"kind": "ecg_text"}')
    (others / "texts.tsv").write_text((data.texts / "texts.tsv").read_text())
    few = manifest_of(tmp_path / "few", data.root, ["0", "1", "-", "-", "-", "-", "-", "-"])
    (few / "labels.csv").write_text(LABELS)
    with pytest.raises(ManifestError, match="has no text of any record"):
        zero_shot(data.model, few, sets, texts=others)
