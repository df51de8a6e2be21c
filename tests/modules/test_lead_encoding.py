"""Absent leads are absent: what an encoder with flags or tokens makes of the leads that a segment has."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from fairseq_signals.errors import ConfigError, LeadError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import LEAD_MIXERS, EncoderConfig
from fairseq_signals.modules.lead_mixer import LeadMixer
from fairseq_signals.modules.present_leads import PresentLeads
from tests.sizes import TINY

FORMS = [
    {"lead_encoding": "flags"},
    *({"lead_encoding": "tokens", "lead_mixer": mixer} for mixer in LEAD_MIXERS),
    {"lead_encoding": "tokens", "extractor_mode": "layer_norm", "conv_bias": True},
]
TOKENS = FORMS[1:]
SUBSETS = torch.tensor(
    [[i in chosen for i in range(12)] for chosen in ({0}, {1, 7}, set(range(12)), {3, 4, 11})]
)


def encoder(**options: Any) -> ECGEncoder:
    torch.manual_seed(1)
    return ECGEncoder(EncoderConfig(**{**TINY, **options})).eval()


def source(b: int = 4) -> torch.Tensor:
    return torch.randn(b, 12, 160, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_stands_in_an_absent_lead_changes_nothing(form):
    model, x = encoder(**form), source()
    noisy = torch.where(SUBSETS[..., None], x, 100 * torch.randn(4, 12, 160))
    given = model(torch.where(SUBSETS[..., None], x, 0.0), lead_present=SUBSETS).x
    assert torch.equal(model(noisy, lead_present=SUBSETS).x, given)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_an_absent_lead_and_a_flat_one_are_told_apart(form):
    model, x = encoder(**form), source()
    x[:, 5] = 0.0
    present = torch.arange(12).expand(4, -1) != 5
    assert not torch.allclose(model(x, lead_present=present).x, model(x).x, atol=1e-4)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_segment_is_the_same_whatever_leads_its_neighbours_have(form):
    model, x = encoder(**form), source()
    together = model(x, lead_present=SUBSETS).x
    alone = [model(x[i : i + 1], lead_present=SUBSETS[i : i + 1]).x for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-5, rtol=1e-4)


def test_zeros_do_not_look_at_which_leads_are_present():
    model, x = encoder(), source()
    assert torch.equal(model(x, lead_present=SUBSETS).x, model(x).x)
    assert {"lead_flags.weight", "lead_names.vectors"}.isdisjoint(model.state_dict())


@pytest.mark.parametrize("form", TOKENS, ids=str)
def test_leads_may_come_in_any_order_if_their_names_come_with_them(form):
    model, x = encoder(**form), source()
    expected = model(x, lead_present=SUBSETS).x
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.lead_names.vectors.copy_(model.lead_names.vectors[order].clone())
    found = model(x[:, order], lead_present=SUBSETS[:, order]).x
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("form", TOKENS, ids=str)
def test_without_names_leads_are_a_set(form):
    model, x = encoder(**form), source()
    with torch.no_grad():
        model.lead_names.vectors.zero_()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    found = model(x[:, order]).x
    torch.testing.assert_close(found, model(x).x, atol=2e-5, rtol=1e-4)
    assert not torch.allclose(found, model(x[:, [0] * 12]).x, atol=1e-3)


@pytest.mark.parametrize("form", TOKENS, ids=str)
def test_the_front_end_reads_present_leads_only(form):
    model, x = encoder(**form), source()
    rows = []
    for block in model.feature_extractor.conv_layers[1:]:
        block.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    model(x, lead_present=SUBSETS)
    model(x)
    assert rows == 3 * [int(SUBSETS.sum())] + 3 * [48]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_one_lead_trains_with_a_finite_gradient(form):
    model = encoder(**form).train()
    one = torch.arange(12).expand(4, -1) == 7
    model(source(), lead_present=one).x.square().mean().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if name.startswith(("lead", "feature"))}
    assert all(g is None or torch.isfinite(g).all() for g in gradients.values())
    name = "lead_flags.weight" if model.lead_flags is not None else "lead_names.vectors"
    by_lead = gradients[name].abs().sum(dim=0 if model.lead_flags is not None else 1)
    assert by_lead.nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_segment_without_a_lead_is_an_error(form):
    present = SUBSETS.clone()
    present[1] = False
    with pytest.raises(LeadError, match="segment 1 of the batch has no lead"):
        encoder(**form)(source(), lead_present=present)


def test_which_leads_are_present_must_fit_the_batch():
    with pytest.raises(ValueError, match=r"lead_present must be bool of shape \(4, 12\)"):
        encoder(lead_encoding="flags")(source(), lead_present=SUBSETS[:2])


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_encoding_in_chunks_and_all_layers_see_the_same_leads(form):
    model, x = encoder(**form, lead_mixer_dropout=0.0, dropout=0.0, attention_dropout=0.0).train(), source()
    whole = model(x, lead_present=SUBSETS).x
    model.cfg = replace(model.cfg, encoder_chunk=3)
    torch.testing.assert_close(model(x, lead_present=SUBSETS).x, whole, atol=2e-5, rtol=1e-4)
    last = list(model.each_layer(x, SUBSETS))[-1]
    torch.testing.assert_close(last, whole, atol=2e-5, rtol=1e-4)


def test_messages_are_those_of_every_pair_of_leads():
    """The slow twin: W [h_i; h_j] made for each pair, of segments with one, three and four leads."""
    torch.manual_seed(4)
    mixer = LeadMixer("message", 6, 2, 0.1).eval()
    present = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 1]], dtype=torch.bool)
    leads = PresentLeads.of(present)
    rows = torch.randn(8, 5, 6)
    expected = []
    for b in range(3):
        h = list(rows[leads.segment == b])
        for layer in mixer.layers:
            before, scale = h, max(len(h) - 1, 1)
            h = []
            for j, receiver in enumerate(before):
                sent = [
                    torch.relu(layer.sender(sender) + layer.receiver(receiver)) / scale
                    for i, sender in enumerate(before)
                    if i != j
                ]
                h.append(receiver + sum(sent))
        expected.append(mixer.readout(sum(h) / len(h)))
    torch.testing.assert_close(mixer(rows, leads), torch.stack(expected), atol=1e-6, rtol=1e-5)


def test_rows_go_to_their_segments_and_means_are_of_present_leads():
    leads = PresentLeads.of(torch.tensor([[False, True, False], [True, True, True], [False, False, True]]))
    assert leads.segment.tolist() == [0, 1, 1, 1, 2]
    assert leads.lead.tolist() == [1, 0, 1, 2, 2]
    assert leads.valid.tolist() == [[True, False, False], [True] * 3, [True, False, False]]
    grouped = leads.grouped(torch.tensor([1.0, 2.0, 3.0, 7.0, 5.0]))
    assert grouped.tolist() == [[1, 0, 0], [2, 3, 7], [5, 0, 0]]
    assert leads.mean(grouped).tolist() == [1.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("option", "value"), [("lead_encoding", "flag"), ("lead_mixer", "max"), ("lead_mixer_rounds", 0)]
)
def test_an_option_that_cannot_be_is_named(option, value):
    with pytest.raises(ConfigError, match=f"model.{option}"):
        encoder(**{option: value})
