"""ECGs and reports that find each other: against slow twins, by texts, in views, and in batches of one."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.clip import ClipConfig, ClipCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_text_clip import ECGTextClipConfig, ECGTextClipModel
from fairseq_signals.modules.nt_xent import nt_xent_loss
from tests.criterions.learning import SMALL, batch, beats, learn

TEXTS = torch.tensor([[0, 7, 9, 2], [0, 8, 2, 1], [0, 5, 6, 2]])
TEXT_IDS = torch.tensor([4, 2, 4, 7, 2, 4])


@pytest.fixture
def model(tiny) -> ECGTextClipModel:
    torch.manual_seed(0)
    return ECGTextClipModel(ECGTextClipConfig(**tiny, vocab_size=12, joint_dim=8)).eval()


@pytest.fixture
def make_batch(views):
    """`make_batch(n_views)`: one segment each of six patients, of whom three and two have one text."""

    def make(n_views: int = 1) -> dict:
        sample = views(tuple(range(6)), n_segments=1, n_views=n_views)
        label = TEXT_IDS.repeat_interleave(n_views)
        sample["net_input"]["text"] = TEXTS[(label == 2) * 1 + (label == 7) * 2]
        return {**sample, "label": label}

    return make


def criterion(**options: object) -> ClipCriterion:
    return ClipCriterion(ClipConfig(**options), None)


def test_softmax_is_over_the_texts_of_the_batch_and_over_its_ecgs(model, make_batch):
    sample = make_batch()
    loss, n, log = criterion()(model, sample)
    found = model(**sample["net_input"])
    scores = found.a @ found.b.T / 0.07
    terms = [-s.log_softmax(0)[i] for each in (scores, scores.T) for i, s in enumerate(each)]
    assert n == 6
    assert loss.item() / n == pytest.approx(sum(terms).item() / 12, rel=1e-5)
    assert float(log["floor"]) / n == pytest.approx((3 * math.log(3) + 2 * math.log(2)) / 6)
    nearest = TEXT_IDS[scores.argmax(dim=1)] == TEXT_IDS, TEXT_IDS[scores.argmax(dim=0)] == TEXT_IDS
    assert (log["text_recall"], log["ecg_recall"]) == tuple(int(each.sum()) for each in nearest)


def test_sigmoids_tell_of_each_two_whether_they_have_one_text(model, make_batch):
    sample = make_batch()
    loss, n, log = criterion(contrast="sigmoid")(model, sample)
    found = model(**sample["net_input"])
    scores = found.a @ found.b.T / 0.07 - math.log(5)
    slow = sum(
        -F.logsigmoid(scores[i, j] * (1 if TEXT_IDS[i] == TEXT_IDS[j] else -1))
        for i in range(6)
        for j in range(6)
    )
    assert loss.item() / n == pytest.approx(slow.item() / 6, rel=1e-5)
    assert float(log["floor"]) == 0


def test_views_of_a_segment_find_each_other_too(model, make_batch):
    sample = make_batch(n_views=2)
    plain, n, _ = criterion()(model, sample)
    both, _, _ = criterion(uni_modal_weight=0.5, temp=0.2)(model, sample)
    positive = torch.block_diag(*torch.ones(6, 2, 2)).bool()
    term = nt_xent_loss(model(**sample["net_input"]).a, positive, 0.2)
    assert n == 6
    assert both.item() == pytest.approx(plain.item() + 0.5 * 6 * term.item(), rel=1e-5)


def test_every_parameter_of_the_softmax_form_but_the_bias_learns(model, make_batch):
    loss, _, _ = criterion()(model, make_batch())
    loss.backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    assert model.joint.bias.grad.item() == pytest.approx(0, abs=1e-5)
    assert idle <= {"joint.bias", *(name for name in idle if name.endswith("k_proj.bias"))}


def test_sigmoids_learn_the_bias(model, make_batch):
    criterion(contrast="sigmoid")(model, make_batch())[0].backward()
    assert model.joint.bias.grad.abs().item() > 0.1


def test_a_batch_of_one_pair_costs_nothing_and_is_counted(model, make_batch, reduced):
    sample = make_batch()
    one = {key: value[:1] for key, value in sample.items() if key != "net_input"}
    one["net_input"] = {
        key: None if value is None else value[:1] for key, value in sample["net_input"].items()
    }
    loss, _, log = criterion()(model, one)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    several = criterion()(model, sample)[2]
    assert reduced(ClipCriterion, [log, several])["batches_of_one_pair"] == 1
    assert "batches_of_one_pair" not in reduced(ClipCriterion, [several])


def test_what_is_logged_is_the_mean_over_segments_and_shares_of_rows(reduced):
    logs = [
        {"loss": 4.0, "floor": 2.0, "scale": 20.0, "text_recall": 1, "ecg_recall": 2, "rows": 4,
         "alone": 0, "sample_size": 2, "nsignals": 4},
        {"loss": 6.0, "floor": 0.0, "scale": 36.0, "text_recall": 1, "ecg_recall": 0, "rows": 4,
         "alone": 0, "sample_size": 3, "nsignals": 4},
    ]  # fmt: skip
    found = reduced(ClipCriterion, logs)
    assert set(ClipCriterion.logged) <= set(found)
    assert {name: found[name] for name in ClipCriterion.logged} == pytest.approx(
        {"loss": 2.0, "floor": 0.4, "scale": 11.2, "text_recall": 0.25, "ecg_recall": 0.25}
    )


def test_a_batch_without_texts_is_refused(model, make_batch):
    sample = make_batch()
    del sample["net_input"]["text"]
    with pytest.raises(ConfigError, match="use task ecg_text_pretraining"):
        criterion()(model, sample)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contrast": "hinge"}, r"criterion\.contrast must be one of softmax, sigmoid"),
        ({"temp": 0.0}, r"criterion\.temp must be > 0"),
        ({"uni_modal_weight": 1.0}, r"task\.views is 1: set that to 2"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    class OneView:
        n_views = 1

    with pytest.raises(ConfigError, match=message):
        ClipCriterion(ClipConfig(**options), OneView())


FORMS = beats(torch.Generator().manual_seed(7), 4)  # of four kinds of ECG, one text each
KINDS = torch.tensor([[0, 7, 9, 2], [0, 8, 2, 1], [0, 5, 6, 2], [0, 3, 4, 2]])


def draw_kinds(generator: torch.Generator, b: int) -> dict:
    """ECGs of these kinds, shifted in time and with noise, with their texts."""
    kind = torch.randint(4, (b,), generator=generator)
    shifts = torch.randint(16, (b,), generator=generator).tolist()
    source = torch.stack([FORMS[k].roll(shift, 1) for k, shift in zip(kind.tolist(), shifts)])
    sample = batch(source + 0.1 * torch.randn(source.shape, generator=generator))
    sample["net_input"]["text"] = KINDS[kind]
    return {**sample, "label": kind}


def draw_shuffled(generator: torch.Generator, b: int) -> dict:
    sample = draw_kinds(generator, b)
    order = torch.randperm(b, generator=generator)
    sample["net_input"]["text"], sample["label"] = sample["net_input"]["text"][order], sample["label"][order]
    return sample


@pytest.mark.parametrize("contrast", ["softmax", "sigmoid"])
@pytest.mark.parametrize(("draw", "right"), [(draw_kinds, True), (draw_shuffled, False)])
def test_classes_are_told_by_their_texts_where_pairs_were_right(contrast, draw, right):
    torch.manual_seed(0)
    options = {"initial_scale": 10.0} if contrast == "sigmoid" else {}
    model = ECGTextClipModel(ECGTextClipConfig(**SMALL, vocab_size=12, joint_dim=8, text_layers=1, **options))
    log = learn(model, criterion(contrast=contrast), draw, 60)
    sample = draw_kinds(torch.Generator().manual_seed(9), 100)
    with torch.no_grad():
        ecgs, texts = model.eval()(sample["net_input"]["source"]).a, model.of_texts(KINDS)
    accuracy = ((ecgs @ texts.T).argmax(dim=1) == sample["label"]).float().mean().item()
    assert accuracy > 0.9 if right else accuracy < 0.6
    if contrast == "softmax":
        assert log["loss"] - log["floor"] < 0.4 if right else log["loss"] - log["floor"] > 0.9
