"""Segments with their texts: which text, its pieces, vectors in their place, what a checkpoint keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from fairseq.models import MODEL_DATACLASS_REGISTRY
from omegaconf import OmegaConf

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.manifest.texts import TextTable
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.text.cleaning import lines_of
from fairseq_signals.text.tokenizer import PAD, Tokenizer, train_tokenizer

TEXTS = ("atrial flutter", "sinus rhythm; left axis deviation; t wave inversion; abnormal ecg", "normal ecg")
N, T = 9, 64
CLIP = "ecg_text_pretraining"


@pytest.fixture
def write(tmp_path):
    """`write(targets=None)`: manifests of records whose texts are by turns the three of `TEXTS`."""

    def make(targets=None):
        rng = np.random.default_rng(0)
        signals = rng.integers(-300, 300, (N, 12, T)).astype("i2")
        write_shard(
            tmp_path / "shard-00000.arrow",
            [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), signals[i]) for i in range(N)],
        )
        targets = targets or [str(i % 3) for i in range(N)]
        rows = [Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", "x/p", 0, t) for i, t in enumerate(targets)]
        for split in ("train", "valid"):
            (tmp_path / f"{split}.tsv").write_text("".join(format_manifest(tmp_path, rows)))
        table = TextTable(TEXTS, (3, 3, 3), (("train", "valid"),) * 3)
        (tmp_path / "texts.tsv").write_text("".join(table.lines()))
        (tmp_path / "text.model").write_bytes(train_tokenizer(TEXTS, 80))
        return tmp_path

    return make


@pytest.fixture
def batch(write, setup):
    """`batch(split="train", items=range(N), epoch=1, **options)`: the task, and a batch of it."""

    def make(split="train", items=range(N), epoch=1, **options):
        task = setup(CLIP, write(), **options)
        task.load_dataset(split)
        task.dataset(split).set_epoch(epoch)
        return task, task.dataset(split).collater(items)

    return make


def told(task, rows):
    """The texts of rows of pieces."""
    return [task.tokenizer.decode(row) for row in rows.tolist()]


def test_each_segment_has_the_text_of_its_record_and_its_number(batch):
    task, found = batch()
    assert found["label"].tolist() == [i % 3 for i in range(N)]
    assert found["net_input"]["source"].shape == (N, 12, T)
    text = found["net_input"]["text"]
    assert text.dtype == found["label"].dtype == torch.int64
    assert told(task, text) == [TEXTS[i % 3] for i in range(N)]
    shortest = task.tokenizer.encode(TEXTS[2])
    assert text[2].tolist() == [0, *shortest, 2] + [PAD] * (text.shape[1] - len(shortest) - 2)


def test_a_batch_is_as_wide_as_its_longest_text_and_never_wider_than_the_limit(batch):
    task, found = batch(items=[0, 3])
    assert found["net_input"]["text"].shape == (2, len(task.tokenizer.encode(TEXTS[0])) + 2)
    assert batch(max_text=5)[1]["net_input"]["text"].shape == (N, 5)


def test_all_views_of_a_segment_have_one_text_whatever_is_changed_in_it(batch):
    _, found = batch(views=2, shuffle_lines=True, drop_lines=0.5)
    text = found["net_input"]["text"].reshape(N, 2, -1)
    assert torch.equal(text[:, 0], text[:, 1])
    assert found["label"].tolist() == [i % 3 for i in range(N) for _ in range(2)]


def test_an_empty_batch_stays_empty(batch):
    assert batch(items=[])[1] == {}


def test_lines_are_shuffled_anew_each_epoch_in_training_alone(batch):
    options = {"items": [1, 4, 7], "shuffle_lines": True}
    found = {epoch: told(*_texts(batch(epoch=epoch, **options))) for epoch in (1, 2)}
    assert all(sorted(lines_of(text)) == sorted(lines_of(TEXTS[1])) for text in found[1] + found[2])
    assert len(set(found[1])) > 1
    assert found[1] != found[2]
    assert told(*_texts(batch(epoch=1, **options))) == found[1]
    assert set(told(*_texts(batch("valid", **options)))) == {TEXTS[1]}


def test_lines_are_left_out_in_their_order_but_never_all(batch):
    found = [told(*_texts(batch(epoch=epoch, drop_lines=0.9))) for epoch in range(1, 6)]
    assert all(all(texts) for texts in found)
    lines = lines_of(TEXTS[1])
    of_longest = [lines_of(texts[i]) for texts in found for i in (1, 4, 7)]
    assert all([line for line in lines if line in kept] == kept for kept in of_longest)
    assert min(map(len, of_longest)) == 1
    assert len({tuple(kept) for kept in of_longest}) > 2


def _texts(made):
    task, found = made
    return task, found["net_input"]["text"]


def test_vectors_can_stand_in_for_pieces(batch, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(3, 5))
    np.save(tmp_path / "texts.npy", vectors)
    task, found = batch(text_vectors=True)
    expected = torch.from_numpy(vectors[np.arange(N) % 3]).float()
    assert torch.equal(found["net_input"]["text"], expected)
    assert "tokenizer" not in task.state_dict()


def test_vectors_that_are_not_of_these_texts_are_refused(write, setup, tmp_path):
    np.save(tmp_path / "texts.npy", np.zeros((2, 5)))
    with pytest.raises(ManifestError, match=r"texts\.npy: must be finite numbers of shape \(3, any width\)"):
        setup(CLIP, write(), text_vectors=True).load_dataset("train")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_text": 2}, "task.max_text must be 3 or more"),
        ({"drop_lines": 1.0}, "task.drop_lines must be from 0 to below 1"),
        ({"text_vectors": True, "shuffle_lines": True}, "vectors of them as they are"),
    ],
)
def test_options_that_cannot_be_are_refused(write, setup, options, message):
    with pytest.raises(ConfigError, match=message):
        setup(CLIP, write(), **options)


@pytest.mark.parametrize("target", ["3", ""])
def test_a_target_beyond_the_texts_is_refused_with_its_line(write, setup, target):
    folder = write(["0"] * (N - 1) + [target])
    with pytest.raises(ManifestError, match=rf"train\.tsv:{N + 1}: target must be a text_id of the 3"):
        setup(CLIP, folder).load_dataset("train")


# --- the model and the checkpoint ------------------------------------------------------------------------


@dataclass
class ReaderConfig:
    """Options of a model that reads texts."""

    vocab_size: int = 0
    text_vector_dim: int = 0


@pytest.fixture
def complete(write, setup, monkeypatch, tmp_path):
    """`complete(model, **task)`: the options of a model after the task has seen them."""
    monkeypatch.setitem(MODEL_DATACLASS_REGISTRY, "reader", ReaderConfig)

    def call(model=None, from_checkpoint=False, **options):
        cfg = OmegaConf.create({"_name": "reader", **(model or {})})
        OmegaConf.set_struct(cfg, True)
        setup(CLIP, write(), **options).complete_model(cfg, from_checkpoint)
        return cfg

    return call


def test_a_model_has_as_many_pieces_as_the_tokenizer(complete, tmp_path):
    cfg = complete()
    assert cfg.vocab_size == len(Tokenizer((tmp_path / "text.model").read_bytes()))
    assert cfg.text_vector_dim == 0
    assert complete({"vocab_size": cfg.vocab_size}) == cfg


def test_or_vectors_as_wide_as_those_that_are_given(complete, tmp_path):
    np.save(tmp_path / "texts.npy", np.zeros((3, 5)))
    cfg = complete(text_vectors=True)
    assert (cfg.vocab_size, cfg.text_vector_dim) == (0, 5)


def test_a_checkpoint_knows_its_own_pieces(complete):
    assert "vocab_size" not in complete(from_checkpoint=True)


def test_another_number_of_pieces_is_refused(complete):
    with pytest.raises(ConfigError, match=r"model\.vocab_size is 7, but by the manifests it is \d+"):
        complete({"vocab_size": 7})


def test_a_model_that_reads_no_texts_is_refused(write, setup, tiny):
    task = setup(CLIP, write())
    with pytest.raises(ConfigError, match="model ecg_contrastive does not read texts"):
        task.build_model(OmegaConf.create({"_name": "ecg_contrastive", **tiny}))


def test_a_checkpoint_keeps_the_tokenizer_and_goes_on_with_no_other(write, setup, tmp_path):
    folder = write()
    kept = setup(CLIP, folder).state_dict()
    torch.save(kept, tmp_path / "kept.pt")
    kept = torch.load(tmp_path / "kept.pt", weights_only=True)
    assert Tokenizer(kept["tokenizer"]).encode(TEXTS[0])
    setup(CLIP, folder).load_state_dict(kept)
    (folder / "text.model").write_bytes(train_tokenizer(TEXTS[:1], 80))
    with pytest.raises(ManifestError, match=r"text\.model has .* use the manifests of its training"):
        setup(CLIP, folder).load_state_dict(kept)


def test_manifests_without_a_tokenizer_are_refused(write, setup):
    folder = write()
    (folder / "text.model").unlink()
    with pytest.raises(ManifestError, match=r"text\.model.*manifests/ecg_text\.py"):
        setup(CLIP, folder).load_dataset("train")
