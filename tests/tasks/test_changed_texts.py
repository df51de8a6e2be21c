"""Texts of others and masked words in batches: what is asked belongs to the text that is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.manifest.texts import TextTable
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.text.tokenizer import MASK, PAD, train_tokenizer

TEXTS = ("atrial flutter", "left axis deviation", "normal ecg", "sinus rhythm")
#: Of each segment, its text and its patient: of p0 all texts but one.
SEGMENTS = [(0, "p0"), (1, "p0"), (2, "p0"), (3, "p1"), (0, "p2"), (3, "p3"), (3, "p0")]
N, T = len(SEGMENTS), 64


@pytest.fixture
def folder(tmp_path):
    signal = np.ones((12, T), "i2")
    write_shard(
        tmp_path / "shard-00000.arrow",
        [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), signal) for i in range(N)],
    )
    rows = [
        Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", f"x/{patient}", 0, str(text))
        for i, (text, patient) in enumerate(SEGMENTS)
    ]
    for split in ("train", "valid"):
        (tmp_path / f"{split}.tsv").write_text("".join(format_manifest(tmp_path, rows)))
    table = TextTable(TEXTS, (1,) * 4, (("train", "valid"),) * 4)
    (tmp_path / "texts.tsv").write_text("".join(table.lines()))
    (tmp_path / "text.model").write_bytes(train_tokenizer(TEXTS, 60))
    return tmp_path


@pytest.fixture
def batch(folder, setup):
    """`batch(items, epoch=1, split="train", **options)`: the task and a batch."""

    def make(items=range(N), epoch=1, split="train", **options):
        task = setup("ecg_text_pretraining", folder, **options)
        task.load_dataset(split)
        task.dataset(split).set_epoch(epoch)
        return task, task.dataset(split).collater(list(items))

    return make


def true_text(task, found) -> list:
    """The texts of a batch with what was masked put back."""
    pieces = torch.where(found["asked"] != PAD, found["asked"], found["net_input"]["text"])
    return [task.tokenizer.decode(row) for row in pieces.tolist()]


def test_what_is_asked_are_the_pieces_of_the_text_that_is_shown_though_it_be_of_another(batch):
    task, found = batch(mask_words=0.5, other_texts=0.9)
    assert true_text(task, found) == [TEXTS[i] for i in found["text_id"]]
    assert found["label"].tolist() == [text for text, _ in SEGMENTS]
    changed = found["text_id"] != found["label"]
    assert 0 < changed.sum() < N
    assert (found["net_input"]["text"] == MASK).any()


def test_texts_of_others_are_of_other_patients_and_say_otherwise(batch):
    patients_of = {i: {p for text, p in SEGMENTS if text == i} for i in range(len(TEXTS))}
    for epoch in range(1, 30):
        found = batch(epoch=epoch, other_texts=0.9)[1]
        for shown, own, (_, patient) in zip(
            found["text_id"].tolist(), found["label"].tolist(), SEGMENTS, strict=True
        ):
            assert shown == own or patients_of[shown] - {patient}


def test_as_many_are_shown_with_others_as_asked(batch):
    found = [batch([3, 4, 5], epoch, other_texts=0.3)[1] for epoch in range(1, 300)]
    share = np.mean([(b["text_id"] != b["label"]).float().mean().item() for b in found])
    assert share == pytest.approx(0.3, abs=4 * (0.21 / 900) ** 0.5)


def test_a_segment_is_changed_alike_whatever_is_beside_it_and_anew_each_epoch(batch):
    options = {"mask_words": 0.5, "other_texts": 0.5}
    whole, alone = (batch(items, **options)[1] for items in (range(N), [4]))
    width = alone["asked"].shape[1]
    assert torch.equal(whole["net_input"]["text"][4, :width], alone["net_input"]["text"][0])
    assert whole["text_id"][4] == alone["text_id"][0]
    other = batch(epoch=2, **options)[1]
    assert not torch.equal(whole["text_id"], other["text_id"])


def test_every_validation_is_the_same(batch):
    options = {"mask_words": 0.5, "other_texts": 0.5, "split": "valid"}
    first, second = (batch(epoch=epoch, **options)[1] for epoch in (1, 2))
    for name in ("text_id", "asked"):
        assert torch.equal(first[name], second[name])


def test_without_these_options_texts_are_as_they_are(batch):
    task, found = batch()
    assert torch.equal(found["text_id"], found["label"])
    assert (found["asked"] == PAD).all()
    assert task.dataset("train").batch_texts.mask_words == 0


@pytest.mark.parametrize("name", ["mask_words", "other_texts"])
def test_a_criterion_that_takes_texts_as_they_are_is_refused(name, folder, setup, build_criterion):
    task = setup("ecg_text_pretraining", folder, **{name: 0.25})
    with pytest.raises(ConfigError, match=rf"task\.{name}=0\.25 changes texts, but criterion clip"):
        build_criterion(task, "clip")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_words": 1.0}, "task.mask_words must be from 0 to below 1"),
        ({"other_texts": -0.1}, "task.other_texts must be from 0"),
        ({"mask_words": 0.2, "text_vectors": True}, "masks words, but task.text_vectors"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message, folder, setup):
    with pytest.raises(ConfigError, match=message):
        setup("ecg_text_pretraining", folder, **options)


def test_the_criterion_trains_on_such_batches(folder, setup, build_criterion, tiny):
    from omegaconf import OmegaConf

    task = setup("ecg_text_pretraining", folder, mask_words=0.3, other_texts=0.5)
    task.load_dataset("train")
    criterion = build_criterion(task, "ecg_text_masked")
    options = {"patch_samples": 16, "decoder_dim": 16, "decoder_heads": 2, "joint_dim": 8, "fusion_layers": 1}
    model = task.build_model(OmegaConf.create({"_name": "ecg_text_fusion", **tiny, **options}))
    loss, n, log = criterion(model, task.dataset("train").collater(range(N)))
    loss.backward()
    assert n == N
    assert log["asked"] > 0
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []  # data-parallel training needs one of each
