"""`ecg_text_masked`: closed forms of its four terms; texts of others are never taken for an ECG's own."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.ecg_text_masked import TERMS, ECGTextMaskedConfig, ECGTextMaskedCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_mae import Reconstruction
from fairseq_signals.models.ecg_text_fusion import FusionOutput
from tests.models.test_ecg_text_fusion import make as make_fusion

B, N, M, V = 4, 6, 5, 7


def criterion(task=None, **weights):
    return ECGTextMaskedCriterion(ECGTextMaskedConfig(**{"_name": "ecg_text_masked", **weights}), task)


def output(**given) -> FusionOutput:
    """Nothing is known: uniform pieces, zeros for samples, matches at 0; first half of tokens masked."""
    target = torch.randn(B, N, 2, 3, generator=torch.Generator().manual_seed(0))
    masked = (torch.arange(N) < N // 2).expand(B, -1)
    valid = torch.ones(B, N, 2, dtype=torch.bool)
    redrawn = Reconstruction(
        torch.zeros_like(target), target, masked, valid, torch.zeros_like(valid), torch.zeros(B, 1)
    )
    vectors = torch.eye(B)
    made = {"redrawn": redrawn, "pieces": torch.zeros(B, M, V), "match": torch.zeros(B)}
    made |= {"a": vectors, "b": vectors, "scale": torch.tensor(0.0), "bias": torch.tensor(0.0)}
    return FusionOutput(**{**made, **given})


def sample(shown=(0, 1, 2, 3), label=(0, 1, 2, 3)) -> dict:
    asked = torch.ones(B, M, dtype=torch.long)
    asked[:, 1] = torch.tensor([5, 6, 5, 6])
    return {"net_input": {}, "label": torch.tensor(label), "text_id": torch.tensor(shown), "asked": asked}


def terms(made: FusionOutput, batch: dict, **weights) -> dict:
    loss, n, log = criterion(**weights)(lambda **_: made, batch)
    found = {name[:-5]: float(value) / n for name, value in log.items() if name.endswith("_loss")}
    return {**found, "loss": loss.item() / n, "log": log}


def test_with_nothing_known_each_term_is_its_closed_form():
    found = terms(output(), sample())
    assert found["mlm"] == pytest.approx(math.log(V))
    assert found["match"] == pytest.approx(math.log(2))
    assert found["mem"] == pytest.approx(found["zero"])
    prior = -math.log(B - 1)  # the scores of all pairs
    expected = math.log1p(math.exp(-prior)) + (B - 1) * math.log1p(math.exp(prior))
    assert found["contrast"] == pytest.approx(expected)
    assert found["loss"] == pytest.approx(sum(found[name] for name in ("mlm", "mem", "match", "contrast")))


def test_the_loss_is_the_weighted_sum():
    made, batch = output(), sample()
    plain = terms(made, batch)
    found = terms(made, batch, mlm=0.5, mem=0.0, match=2.0, contrast=0.25)
    expected = 0.5 * plain["mlm"] + 2 * plain["match"] + 0.25 * plain["contrast"]
    assert found["loss"] == pytest.approx(expected)


def test_samples_that_are_told_right_cost_nothing_and_those_that_were_seen_never_do():
    made = output()
    made.redrawn.prediction = made.redrawn.target.clone()
    made.redrawn.prediction[:, N // 2 :] += 9
    assert terms(made, sample())["mem"] == 0


def test_where_nothing_is_masked_there_is_a_loss_of_0_and_no_nan():
    made, batch = output(), sample()
    made.redrawn.masked = torch.zeros(B, N, dtype=torch.bool)
    batch["asked"] = torch.ones(B, M, dtype=torch.long)
    found = terms(made, batch)
    assert (found["mem"], found["mlm"]) == (0, 0)
    assert math.isfinite(found["loss"])


def test_pieces_that_were_not_masked_do_not_count():
    pieces = torch.zeros(B, M, V)
    pieces[:, [0, 2, 3, 4]] = 9 * torch.randn(B, 4, V)
    found = terms(output(pieces=pieces), sample())
    assert found["mlm"] == pytest.approx(math.log(V))
    right = F.one_hot(sample()["asked"], V).float() * 20
    told = terms(output(pieces=right), sample())
    assert told["mlm"] == pytest.approx(0, abs=1e-6)
    assert told["log"]["mlm_right"] == told["log"]["asked"] == B


def test_a_text_of_another_does_not_match_and_is_the_other_ecgs_partner():
    batch = sample(shown=(0, 3, 2, 3))  # ECG 1 has the text of ECG 3
    g = torch.Generator().manual_seed(0)
    a, b = (F.normalize(torch.randn(B, 3, generator=g), dim=1) for _ in range(2))
    made = output(match=torch.tensor([20.0, -20, 20, 20]), a=a, b=b, scale=torch.tensor(2.0))
    found = terms(made, batch)
    assert found["match"] == pytest.approx(0, abs=1e-6)
    assert found["log"]["match_right"] == B
    partners = {(0, 0), (2, 2), (3, 1), (3, 3)}
    expected = 0.0
    for i in range(B):
        for j in range(B):
            sign = 1 if (i, j) in partners else -1
            score = 2 * float(a[i] @ b[j]) - math.log(B - 1)
            expected += math.log1p(math.exp(-sign * score)) / B
    assert found["contrast"] == pytest.approx(expected, rel=1e-5)


def test_texts_that_are_alike_are_one_text():
    batch = sample(label=(0, 0, 2, 3), shown=(0, 0, 2, 3))
    vectors = torch.eye(B)[[0, 0, 2, 3]]
    found = terms(output(a=vectors, b=vectors, scale=torch.tensor(50.0), bias=torch.tensor(-20.0)), batch)
    assert found["contrast"] == pytest.approx(0, abs=1e-6)


TAUGHT = {
    "mlm": {"encoder", "text", "fusion", "words"},
    "mem": {"encoder", "text", "fusion", "decoders"},
    "match": {"encoder", "text", "fusion", "match"},
    "contrast": {"encoder", "text", "joint"},  # before they see each other
}


@pytest.mark.parametrize("term", TERMS)
def test_a_term_alone_teaches_what_it_is_told_from_and_nothing_else(term, ecg_batch):
    model = make_fusion()
    text = torch.tensor([[0, 7, 4, 8, 2], [0, 4, 5, 2, 1], [0, 8, 4, 2, 1], [0, 5, 4, 9, 2]])
    batch = sample(shown=(0, 3, 2, 3))
    batch["net_input"] = {"source": ecg_batch(B), "text": text}
    loss, _, _ = criterion(**{**dict.fromkeys(TERMS, 0.0), term: 1.0})(model, batch)
    loss.backward()
    moved = {
        name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert moved == TAUGHT[term]


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ({"mlm": -1.0}, {}, "criterion.mlm must be"),
        (dict.fromkeys(("mlm", "mem", "match", "contrast"), 0.0), {}, "all weights are 0"),
        ({}, {"mask_words": 0.0, "other_texts": 0.5}, "task.mask_words is 0"),
        ({}, {"mask_words": 0.3, "other_texts": 0.0}, "task.other_texts is 0"),
    ],
)
def test_what_teaches_nothing_is_refused(weights, options, message):
    with pytest.raises(ConfigError, match=message):
        criterion(SimpleNamespace(cfg=SimpleNamespace(**options)), **weights)
