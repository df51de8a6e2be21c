"""`ecg_question_answering`: one ECG and two, what is absent, and controls that cannot see."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.ecg_question_answering import (
    ECGQuestionAnsweringConfig,
    ECGQuestionAnsweringModel,
)
from tests.models.test_ecg_text_fusion import OPTIONS as FUSION
from tests.models.test_ecg_text_fusion import make as make_fusion
from tests.objectives import TOKENS

TEXT = torch.tensor([[0, 7, 9, 2], [0, 8, 2, 1], [0, 5, 6, 2]])
ECGS = torch.tensor([[0, -1], [1, 0], [1, 1]])
OPTIONS = {**TOKENS, "vocab_size": 12, "fusion_layers": 1, "num_labels": 5}
PRODUCT = {"fusion_layers": 0, "product_dim": 8}


def make(**options) -> ECGQuestionAnsweringModel:
    torch.manual_seed(0)
    return ECGQuestionAnsweringModel(ECGQuestionAnsweringConfig(**{**OPTIONS, **options})).eval()


def test_each_question_is_answered_of_its_own_ecgs(ecg_batch):
    model, x = make(), ecg_batch(2)
    scores = model(x, text=TEXT, ecgs=ECGS)
    assert scores.shape == (3, 5)
    for i in range(3):
        alone = model(x, text=TEXT[i : i + 1], ecgs=ECGS[i : i + 1])
        torch.testing.assert_close(alone[0], scores[i], atol=1e-5, rtol=1e-4)


def test_of_an_absent_second_ecg_nothing_is_seen_whatever_else_is_in_the_batch(ecg_batch):
    model = make()
    found = [
        model(torch.cat([ecg_batch(1), x]), text=TEXT, ecgs=ECGS)
        for x in (ecg_batch(1, seed=1), 9 * ecg_batch(1, seed=2))
    ]
    torch.testing.assert_close(found[0][0], found[1][0])
    assert not torch.allclose(found[0][1], found[1][1])


def test_padding_of_a_segment_changes_nothing(ecg_batch):
    model, x = make(), ecg_batch(2)
    longer = torch.nn.functional.pad(x, (0, 160))
    mask = (torch.arange(480) >= 320).expand(2, -1)
    found = model(longer, mask, text=TEXT, ecgs=ECGS)
    torch.testing.assert_close(found, model(x, text=TEXT, ecgs=ECGS), atol=1e-5, rtol=1e-4)


def test_the_order_of_two_ecgs_counts(ecg_batch):
    model, x = make(), ecg_batch(2)
    found = model(x, text=TEXT[:1].expand(2, -1), ecgs=torch.tensor([[0, 1], [1, 0]]))
    assert not torch.allclose(found[0], found[1])


def test_the_blind_see_no_ecg_and_the_deaf_no_question(ecg_batch):
    blind, deaf = make(modality="text"), make(modality="ecg")
    x, other = ecg_batch(2), ecg_batch(2, seed=1)
    assert torch.equal(blind(x, text=TEXT, ecgs=ECGS), blind(other, text=TEXT, ecgs=ECGS.flip(0)))
    assert not torch.allclose(blind(x, text=TEXT, ecgs=ECGS)[0], blind(x, text=TEXT, ecgs=ECGS)[1])
    assert torch.equal(deaf(x, text=TEXT, ecgs=ECGS), deaf(x, text=TEXT.flip(0), ecgs=ECGS))
    assert not torch.allclose(deaf(x, text=TEXT, ecgs=ECGS), deaf(other, text=TEXT, ecgs=ECGS))


@pytest.mark.parametrize("options", [{}, PRODUCT])
@pytest.mark.parametrize("modality", ["both", "text", "ecg"])
def test_all_that_trains_has_a_gradient_be_there_pairs_or_not(modality, options, ecg_batch):
    for n in (1, 3):
        model = make(modality=modality, **options).train()
        model(ecg_batch(2), text=TEXT[:n], ecgs=ECGS[:n]).square().sum().backward()
        without = [k for k, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert without == []


def test_with_a_product_the_head_reads_what_ecgs_and_question_have_in_common(ecg_batch):
    model, x = make(**PRODUCT), ecg_batch(2)
    frames, pieces = model.encoder(x).x, model.text.of_pieces(TEXT)
    ecg, text = model.fusion.ecg, model.fusion.text
    first, second = (ecg.layer_norm(frames + part + ecg.kind).mean(dim=1) for part in model.part)
    seen = [[first[0], torch.zeros_like(first[0])], [first[1], second[0]], [first[1], second[1]]]
    for i, scores in enumerate(model(x, text=TEXT, ecgs=ECGS)):
        said = text.layer_norm(pieces + text.kind)[i][TEXT[i] != 1].mean(dim=0)
        product = model.of_ecgs(torch.cat(seen[i])) * model.of_question(said)
        torch.testing.assert_close(scores, model.answer(product), atol=1e-5, rtol=1e-4)


def test_a_question_that_asks_of_nothing_sees_nothing_of_the_ecg(ecg_batch):
    model = make(**PRODUCT)
    torch.nn.init.zeros_(model.of_question[-1].weight)
    torch.nn.init.zeros_(model.of_question[-1].bias)
    scores = model(ecg_batch(2), text=TEXT, ecgs=ECGS)
    assert torch.equal(scores, scores[:1].expand(3, -1))


def test_pieces_that_training_leaves_out_are_not_seen(ecg_batch, monkeypatch):
    model, x = make(piece_dropout=0.5), ecg_batch(2)
    whole = model(x, text=TEXT, ecgs=ECGS)
    drawn = torch.ones(3, 4)
    drawn[:, 0] = drawn[0, 2] = 0.4
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: drawn)
    torch.testing.assert_close(model(x, text=TEXT, ecgs=ECGS), whole)  # in evaluation all are there
    found = model.train()(x, text=TEXT, ecgs=ECGS)
    model.cfg.piece_dropout = 0.0
    without = TEXT.clone()
    without[0, 2] = 1  # padding
    torch.testing.assert_close(found, model(x, text=without, ecgs=ECGS))
    assert not torch.allclose(found[0], whole[0])
    torch.testing.assert_close(found[1:], whole[1:])


def test_the_encoder_does_not_train_at_first(ecg_batch):
    model = make(freeze_finetune_updates=2).train()
    for update in range(3):
        model.zero_grad()
        model.set_num_updates(update)
        model(ecg_batch(2), text=TEXT, ecgs=ECGS).square().sum().backward()
        assert any(p.grad is not None for p in model.encoder.parameters()) == (update == 2)
        assert model.part.grad is not None


@pytest.fixture
def pretrained(tmp_path):
    model = make_fusion()
    cfg = {"model": {"_name": "ecg_text_fusion", **FUSION}}
    torch.save(
        {"model": model.state_dict(), "cfg": cfg, "task_state": {"tokenizer": b"pieces"}}, tmp_path / "f.pt"
    )
    return model, tmp_path / "f.pt"


def test_it_begins_with_all_that_a_pretrained_fusion_has(pretrained):
    fusion, path = pretrained
    model = make(model_path=str(path))
    for part in ("encoder", "text", "fusion"):
        expected = getattr(fusion, part).state_dict()
        found = getattr(model, part).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in found.items())


def test_a_fusion_of_another_size_is_refused(pretrained):
    with pytest.raises(CheckpointError, match="another architecture than the model's"):
        make(model_path=str(pretrained[1]), fusion_layers=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modality": "all"}, "model.modality must be"),
        ({"num_labels": 0}, "model.num_labels must be"),
        ({"piece_dropout": 1.0}, "model.piece_dropout must be"),
        ({"product_dim": -1}, "model.product_dim must be"),
        ({"freeze_finetune_updates": -1}, "model.freeze_finetune_updates must be"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_without_questions_it_names_the_task(ecg_batch):
    with pytest.raises(ConfigError, match="use task ecg_question_answering"):
        make()(ecg_batch(2))


@pytest.mark.parametrize("options", [{}, PRODUCT])
@pytest.mark.parametrize(("modality", "right"), [("both", 1.0), ("text", 0.5), ("ecg", 0.5)])
def test_what_only_ecg_and_question_together_tell_the_blind_and_the_deaf_do_not_know(
    modality, right, options
):
    # ECGs fast or slow; "is it fast?" and "is it slow?": neither alone tells yes from no
    generator = torch.Generator().manual_seed(0)
    time, kind = torch.arange(320) / 500, torch.arange(16) % 2
    wave = torch.sin(2 * torch.pi * (4 + 12 * kind[:, None]) * time)
    x = wave[:, None] + 0.1 * torch.randn(16, 12, 320, generator=generator)
    text = torch.tensor([[0, 5, 6, 2], [0, 5, 7, 2]]).repeat(16, 1)
    ecgs = torch.stack([torch.arange(16).repeat_interleave(2), torch.full((32,), -1)], dim=1)
    yes = kind.repeat_interleave(2) == torch.arange(2).repeat(16)
    label = torch.stack([yes, ~yes], dim=1).float()
    model = make(modality=modality, num_labels=2, **options).train()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x, text=text, ecgs=ecgs), label)
        loss.backward()
        optimizer.step()
    found = (model(x, text=text, ecgs=ecgs)[:, 0] > 0) == yes
    assert found.float().mean().item() == pytest.approx(right, abs=0.01)
