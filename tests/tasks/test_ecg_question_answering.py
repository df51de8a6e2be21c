"""Questions as fairseq trains and validates them: batches, exact match by type, what a checkpoint keeps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.labels import LabelTable
from fairseq_signals.manifest.questions import Question, question_lines
from fairseq_signals.manifest.record_labels import format_labels
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.tasks.ecg_question_answering import question_metrics
from fairseq_signals.text.tokenizer import Tokenizer, train_tokenizer

ANSWERS = ("af", "pac", "yes", "no")
QA, T = "ecg_question_answering", 64
VERIFY, QUERY = "single-verify", "comparison_consecutive-query"
QUESTIONS = [
    Question(VERIFY, "class", "is this af?", ("x/r0",), (2,), (2, 3)),
    Question(QUERY, "class", "what is new?", ("x/r2", "x/r0"), (0, 1), (0, 1)),
    Question(VERIFY, "class", "is this pac?", ("x/r0",), (3,), (2, 3)),
    Question(QUERY, "class", "what is new?", ("x/r1", "x/r2"), (), (0, 1)),
    Question(VERIFY, "class", "is this af?", ("x/r2",), (3,), (2, 3)),
]


@pytest.fixture
def folder(tmp_path):
    signals = np.random.default_rng(0).integers(-300, 300, (3, 12, T)).astype("i2")
    write_shard(
        tmp_path / "shard-00000.arrow",
        [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), signals[i]) for i in range(3)],
    )
    rows = [Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", f"x/p{i}", 0, "") for i in range(3)]
    for split in ("train", "valid"):
        (tmp_path / f"{split}.tsv").write_text("".join(format_manifest(tmp_path, rows)))
        (tmp_path / f"{split}.questions.tsv").write_text("".join(question_lines(QUESTIONS)))
    table = LabelTable(ANSWERS, ANSWERS, tuple((name,) for name in ANSWERS))
    (tmp_path / "answers.csv").write_text(format_labels(table))
    (tmp_path / "text.model").write_bytes(train_tokenizer([one.text for one in QUESTIONS], 40))
    return tmp_path


@pytest.fixture
def loaded(folder, setup):
    task = setup(QA, folder)
    task.load_dataset("train")
    task.load_dataset("valid")
    return task


def test_a_batch_has_each_ecg_once_and_says_which_each_question_is_about(loaded):
    dataset = loaded.dataset("train")
    assert len(dataset) == 5
    batch = dataset.collater([1, 0, 4])
    inputs = batch["net_input"]
    assert batch["id"].tolist() == [1, 0, 4]
    assert batch["segment_row"].tolist() == [0, 2]
    assert inputs["ecgs"].tolist() == [[1, 0], [0, -1], [1, -1]]
    assert torch.equal(inputs["source"][1], torch.from_numpy(dataset.reader.read(2)))
    assert batch["label"].tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert [loaded.tokenizer.decode(row) for row in inputs["text"].tolist()] == [
        "what is new?", "is this af?", "is this af?"
    ]  # fmt: skip
    assert dataset.collater([]) == {}
    assert dataset.collater([1, 3])["net_input"]["ecgs"].tolist() == [[2, 0], [1, 2]]
    assert dataset.num_tokens(1) == 2 * dataset.num_tokens(0) == 2 * T


def test_questions_about_an_ecg_follow_each_other_in_an_order_of_the_epoch(folder, setup):
    task = setup(QA, folder, batch_by_ecg=True)
    orders = {}
    for split in ("train", "valid"):
        task.load_dataset(split)
        dataset = task.dataset(split)
        orders[split] = set()
        for epoch in range(1, 9):
            dataset.set_epoch(epoch)
            order = dataset.ordered_indices().tolist()
            assert sorted(order) == [0, 1, 2, 3, 4]
            about = [QUESTIONS[i].ecgs[0] for i in order]
            assert sum(one != other for one, other in pairwise(about)) == 2
            orders[split].add(tuple(order))
    assert len(orders["train"]) > 2
    assert orders["valid"] == {(0, 2, 1, 4, 3)}


class Saying(torch.nn.Module):
    """Gives these scores, whatever it is asked."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def forward(self, **_):
        return self.scores


class Knowing(torch.nn.Module):
    """Answers every question as its label says, but for those that it has wrong."""

    def __init__(self, wrong=()):
        super().__init__()
        self.wrong = wrong

    def forward(self, source, padding_mask=None, lead_present=None, text=None, ecgs=None):
        scores = self.label * 20 - 10
        for i, own in enumerate(self.ids):
            if own in self.wrong:
                scores[i] = -scores[i]
        scores[:, 0] = torch.where(
            scores[:, 2:].max(dim=1).values > 0, 10.0, scores[:, 0]
        )  # af is no valid answer
        return scores


def test_validation_logs_exact_match_over_all_and_by_type(loaded, build_criterion, validate, monkeypatch):
    criterion = build_criterion(loaded, "binary_cross_entropy_with_logits")
    model = Knowing(wrong=(1, 2)).eval()
    step = type(loaded).valid_step

    def told(task, sample, model, criterion):
        model.label, model.ids = sample["label"], sample["id"].tolist()
        return step(task, sample, model, criterion)

    monkeypatch.setattr(type(loaded), "valid_step", told)
    found = validate(loaded, criterion, model, batch_size=2)
    assert found["exact_match"] == pytest.approx(3 / 5)
    assert found[f"exact_match_{VERIFY}"] == pytest.approx(2 / 3)
    assert found[f"exact_match_{QUERY}"] == pytest.approx(1 / 2)


def test_an_answer_that_a_question_cannot_have_costs_and_does_not_count(loaded, build_criterion):
    criterion = build_criterion(loaded, "binary_cross_entropy_with_logits")
    batch = loaded.dataset("train").collater(range(5))
    right = batch["label"] * 4 - 2

    def found(row, column):
        """Loss and exact match of right answers, but for one that is given as well."""
        scores = right.clone()
        scores[row, column] = 3
        columns = {
            "id": batch["id"].numpy(),
            "label": batch["label"].numpy(),
            "scores": scores.sigmoid().numpy(),
        }
        told = question_metrics(loaded.questions("train"), columns, criterion.threshold, ["exact_match"])
        return criterion(Saying(scores), batch)[0].item(), told["exact_match"]

    of_right = torch.nn.functional.binary_cross_entropy_with_logits(right, batch["label"], reduction="sum")
    more = torch.nn.functional.softplus(torch.tensor([3.0, -2.0])).diff().neg().item()
    assert found(0, 0) == (pytest.approx(of_right.item() + more), 1)  # "af" of a yes or no
    assert found(0, 3) == (pytest.approx(of_right.item() + more), 0.8)


def test_criterions_of_exactly_one_answer_are_refused(loaded, build_criterion):
    with pytest.raises(ConfigError, match="several answers or none may be true"):
        build_criterion(loaded, "cross_entropy_with_logits")


def test_the_model_has_the_answers_and_pieces_of_the_manifests_and_trains(loaded, build_criterion, tiny):
    model = loaded.build_model(OmegaConf.create({"_name": QA, **tiny, "fusion_layers": 1}))
    assert (model.cfg.num_labels, model.cfg.vocab_size) == (4, len(loaded.tokenizer))
    criterion = build_criterion(loaded, "binary_cross_entropy_with_logits")
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    batch = loaded.dataset("train").collater(range(5))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss, n, _ = criterion(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item() / n)
    assert losses[-1] < 0.5 * losses[0]


def test_a_checkpoint_keeps_answers_and_tokenizer(loaded, folder, setup):
    state = loaded.state_dict()
    assert state["answers"]["names"] == list(ANSWERS)
    assert Tokenizer(state["tokenizer"]).pieces == loaded.tokenizer.pieces
    setup(QA, folder).load_state_dict(state)


def test_a_pretrained_fusion_that_read_other_pieces_is_refused(loaded, tmp_path):
    from tests.models.test_ecg_text_fusion import OPTIONS, make

    model = make()
    noted = {"tokenizer": train_tokenizer(["other words"], 30)}
    cfg = {"model": {"_name": "ecg_text_fusion", **OPTIONS}}
    torch.save({"model": model.state_dict(), "cfg": cfg, "task_state": noted}, tmp_path / "f.pt")
    with pytest.raises(ManifestError, match=r"text\.model has \d+ pieces, but the checkpoint"):
        loaded.build_model(OmegaConf.create({"_name": QA, "model_path": str(tmp_path / "f.pt")}))


def test_ecgs_that_are_left_out_cannot_be_asked_about(folder, setup):
    lines = (folder / "train.tsv").read_text().replace(f"\t{T}\t", f"\t{T // 2}\t", 1)
    (folder / "train.tsv").write_text(lines)
    with pytest.raises(ConfigError, match=r"task\.min_sample_size leaves out ECGs"):
        setup(QA, folder, min_sample_size=T).load_dataset("train")


def test_max_text_must_leave_a_piece(folder, setup):
    with pytest.raises(ConfigError, match=r"task\.max_text must be 3 or more"):
        setup(QA, folder, max_text=2)
