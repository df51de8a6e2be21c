"""Our quantizer beside fairseq's, which it replaces."""

from __future__ import annotations

import pytest
import torch
from fairseq.modules import GumbelVectorQuantizer

from fairseq_signals.models.quantizer import VectorQuantizer, perplexity


@pytest.fixture
def make():
    """`make(**options)`: our quantizer and fairseq's with the same parameters."""

    def build(**options: object) -> tuple[VectorQuantizer, GumbelVectorQuantizer]:
        arguments = {
            "dim": 10, "num_vars": 7, "temp": (2.0, 0.5, 0.99), "groups": 2, "combine_groups": False,
            "vq_dim": 12, "time_first": True, **options,
        }  # fmt: skip
        torch.manual_seed(0)
        ours, theirs = VectorQuantizer(**arguments), GumbelVectorQuantizer(**arguments)
        theirs.load_state_dict(ours.state_dict())
        return ours, theirs

    return build


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("options", [{}, {"groups": 1}, {"groups": 4}, {"combine_groups": True}], ids=str)
def test_values_and_gradients_are_those_of_fairseqs_quantizer(make, train, options):
    ours, theirs = make(**options)
    for quantizer in (ours.train(train), theirs.train(train)):
        quantizer.set_num_updates(20)
    x = torch.randn(9, 10)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.manual_seed(3)
    quantized = ours(one)
    torch.manual_seed(3)
    expected = theirs(other[None], produce_targets=True)
    assert torch.allclose(quantized.x, expected["x"][0], atol=1e-6)
    assert torch.equal(quantized.codes, expected["targets"][0])
    assert torch.allclose(perplexity(quantized.avg_probs), expected["prob_perplexity"], atol=1e-5)
    assert torch.allclose(perplexity(quantized.hard_probs), expected["code_perplexity"], atol=1e-5)

    weight = torch.randn_like(quantized.x)
    ((quantized.x * weight).sum() + perplexity(quantized.avg_probs)).backward()
    ((expected["x"][0] * weight).sum() + expected["prob_perplexity"]).backward()
    assert torch.allclose(one.grad, other.grad, atol=1e-5)
    for (name, parameter), reference in zip(ours.named_parameters(), theirs.parameters()):
        assert torch.allclose(parameter.grad, reference.grad, atol=1e-5), name


def test_output_is_the_codebook_at_the_chosen_codes(make):
    ours, _ = make()
    quantized = ours.eval()(torch.randn(5, 10))
    book = ours.vars.view(2, 7, 6)  # groups, codes, width
    expected = torch.cat([book[g][quantized.codes[:, g]] for g in (0, 1)], dim=1)
    assert torch.allclose(quantized.x, expected)


def test_temperature_falls_to_its_end(make):
    ours, _ = make()
    temperatures = []
    for update in (0, 10, 10_000):
        ours.set_num_updates(update)
        temperatures.append(ours.curr_temp)
    assert temperatures == pytest.approx([2.0, 2.0 * 0.99**10, 0.5])


def test_perplexity_counts_the_codes_in_use():
    uniform, single = torch.full((1, 8), 1 / 8), torch.eye(8)[:1]
    assert perplexity(uniform).item() == pytest.approx(8, rel=1e-4)
    assert perplexity(single).item() == pytest.approx(1, rel=1e-4)
    assert perplexity(torch.cat([uniform, single])).item() == pytest.approx(9, rel=1e-4)


@pytest.mark.parametrize("combine", [False, True])
def test_codebook_samples_are_entries_of_the_codebook_drawn_uniformly(make, combine):
    ours, _ = make(combine_groups=combine)
    vectors, codes = ours.codebook_samples(7000)
    book = ours.vars.view(-1, 7, 6).expand(2, 7, 6)
    expected = torch.cat([book[g][codes[:, g]] for g in (0, 1)], dim=1)
    assert torch.equal(vectors, expected)
    for group in (0, 1):
        shares = torch.bincount(codes[:, group], minlength=7) / 7000
        assert torch.allclose(shares, torch.full((7,), 1 / 7), atol=0.02)


def test_no_frames_give_no_codes_and_a_finite_perplexity(make):
    ours, _ = make()
    quantized = ours(torch.zeros(0, 10))
    assert quantized.x.shape == (0, 12)
    assert quantized.codes.shape == (0, 2)
    assert bool(perplexity(quantized.avg_probs).isfinite())
