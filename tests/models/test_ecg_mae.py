"""Masked autoencoders: counts, what must not leak, and that they learn."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from fairseq_signals.criterions.masked_reconstruction import (
    MaskedReconstructionConfig,
    MaskedReconstructionCriterion,
)
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_mae import ECGMAEConfig, ECGMAEModel
from fairseq_signals.modules.front_end import patches_of
from fairseq_signals.modules.reconstruction import target_of

SMALL = {"patch_samples": 20, "decoder_dim": 16}
ST_MEM = {
    "frontend": "lead_patch",
    "lead_encoding": "tokens",
    "separators": True,
    "mask_unit": "token_of_lead",
}
ST_MEM["decoder"] = "per_lead"
GRID = {"frontend": "lead_patch", "lead_encoding": "tokens"}
VARIANTS = {
    "mtae": {"registers": 1},
    "mtecg": {"mask_ratio": 0.5, "position": "learned", "target": "demeaned", "decoder_conv": 4},
    "mlae": {**GRID, "frontend": "lead", "patch_samples": 320, "position": "none", "mask_unit": "lead"},
    "st_mem": ST_MEM,
    "time": {**GRID, "mask_unit": "time"},
    "lead": {**GRID, "mask_unit": "lead"},
    "union": {**GRID, "mask_unit": "union", "mask_ratio": 0.5},
    "both": {**GRID, "mask_unit": "both"},
    "hu": {**GRID, "position": "sincos_2d"},
    "conv": {"frontend": "conv", "lead_encoding": "flags", "target": "raw", "decoder_head_conv": 5},
}
each_variant = pytest.mark.parametrize("options", list(VARIANTS.values()), ids=list(VARIANTS))
SEGMENTS = SimpleNamespace(pairs=True, student_views=0)


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny model, in evaluation mode."""

    def build(**options: object) -> ECGMAEModel:
        torch.manual_seed(0)
        return ECGMAEModel(ECGMAEConfig(**{**tiny, **SMALL, "layer_norm_first": True, **options})).eval()

    return build


def criterion(task: object = SEGMENTS, **options: object) -> MaskedReconstructionCriterion:
    return MaskedReconstructionCriterion(MaskedReconstructionConfig(**options), task)


def sample(source: torch.Tensor, **inputs: torch.Tensor) -> dict:
    b = len(source)
    ids = torch.arange(b)
    return {"id": ids, "patient_id": ids // 2, "segment": ids % 2, "net_input": {"source": source, **inputs}}


@each_variant
def test_all_weights_have_a_gradient(make, ecg_batch, options):
    model = make(**options).train()
    loss, n, _ = criterion()(model, sample(ecg_batch(4)))
    (loss / n).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


def test_counts_of_st_mem(make):
    model = make(**{**ST_MEM, "patch_samples": 125})
    (found,) = model(torch.randn(2, 12, 2500))
    assert found.prediction.shape == (2, 240, 1, 125)
    assert (found.masked.view(2, 12, 20).sum(dim=2) == 15).all()
    seen: list = []
    hook = model.encoder.encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model(torch.randn(2, 12, 2500))
    hook.remove()
    assert seen[0].shape[1] == 84


@each_variant
def test_masked_samples_do_not_reach_the_encoder(make, ecg_batch, options):
    if options.get("frontend") == "conv":
        pytest.skip("frames of convolutions overlap")
    model, source = make(**options), ecg_batch(2)
    torch.manual_seed(3)
    (found, *_) = model(source)
    grid, p = found.masked, model.encoder.stride
    masked = grid.view(2, -1, 320 // p) if model.encoder.per_lead else grid[:, None]
    hidden = masked.repeat_interleave(p, dim=2).expand(2, 12, -1)
    torch.manual_seed(3)
    (other, *_) = model(torch.where(hidden, source + 1, source))
    assert torch.equal(other.masked, found.masked)
    assert torch.equal(other.g, found.g)
    torch.manual_seed(3)
    (other, *_) = model(torch.where(hidden, source, source + torch.randn(2, 12, 320)))
    assert not torch.equal(other.g, found.g)


def test_visible_tokens_have_no_part_in_the_loss(make, ecg_batch):
    (found,) = make()(ecg_batch(2))
    prediction = found.prediction.detach().requires_grad_()
    found.prediction = prediction
    criterion().terms(found)["reconstruction"].backward()
    seen = prediction.grad.abs().sum(dim=(2, 3)) > 0
    assert torch.equal(seen, found.masked)


def test_a_decoder_of_leads_looks_at_one_lead_at_a_time(make, ecg_batch):
    model, source = make(**ST_MEM), ecg_batch(1).requires_grad_()
    given: list = []
    hook = model.decoders[0].embed.register_forward_hook(lambda module, args, out: given.append(args[0]))
    (found,) = model(source)
    hook.remove()
    tokens = given[0]  # (1, 12 x 4 kept, D)
    of_lead_3 = found.prediction.view(1, 12, -1)[:, 3].square().sum()
    (slope,) = torch.autograd.grad(of_lead_3, tokens, retain_graph=True)
    assert (slope.view(12, -1).abs().sum(dim=1) > 0).nonzero().flatten().tolist() == [3]
    (slope,) = torch.autograd.grad(of_lead_3, source)
    assert slope[0, 5].abs().sum() > 0


def test_absent_leads_change_nothing(make, ecg_batch):
    present = torch.ones(2, 12, dtype=torch.bool)
    present[:, 5:] = False
    source = ecg_batch(2) * present[..., None]
    for options in (ST_MEM, VARIANTS["union"], VARIANTS["conv"]):
        model, losses = make(**options), []
        for filled in (0.0, 7.0):
            torch.manual_seed(1)
            whole = torch.where(present[..., None], source, filled)
            loss, n, _ = criterion()(model, sample(whole, lead_present=present))
            losses.append((loss.item(), n))
        assert losses[0] == pytest.approx(losses[1])


def test_a_record_of_one_lead_adds_nothing_where_leads_are_masked(make, ecg_batch):
    present = torch.zeros(2, 12, dtype=torch.bool)
    present[:, 0] = True
    (found,) = make(**VARIANTS["lead"])(ecg_batch(2), lead_present=present)
    assert not found.masked.any()


@torch.no_grad()
def test_limb_leads_are_known_by_their_names_where_others_are_absent(make, ecg_batch):
    model = make(**GRID, mask_unit="lead", mask_ratio=0.5, independent_leads=True)
    present = torch.arange(12) >= 4  # aVL, aVF and the chest leads
    source = ecg_batch(1).expand(200, -1, -1) * present[:, None]
    (found,) = model(source, lead_present=present.expand(200, -1))
    kept = ~found.masked.view(200, 8, 16).all(dim=2)
    assert (kept.sum(dim=1) == 4).all()
    # a half, and 15 of 70 of the other half
    assert float((~kept[:, :2].any(dim=1)).float().mean()) == pytest.approx(0.5 + 0.5 * 15 / 70, abs=0.11)


def test_both_ways_of_masking_weigh_alike(make, ecg_batch):
    model = make(**VARIANTS["both"])
    passes = model(ecg_batch(2))
    means = [criterion().terms(found)["reconstruction"] for found in passes]
    means[1].backward()
    assert all(p.grad is None for p in model.decoders[0].parameters())
    torch.manual_seed(2)
    loss, n, _ = criterion()(model, sample(ecg_batch(2)))
    torch.manual_seed(2)
    parts = [criterion().terms(found)["reconstruction"] for found in model(ecg_batch(2))]
    assert (loss / n).item() == pytest.approx(torch.stack(parts).mean().item(), rel=1e-6)


def test_leads_that_the_input_lacks_are_told_too(make, ecg_batch):
    source = ecg_batch(2).repeat_interleave(2, dim=0)
    is_teacher = torch.tensor([True, False, True, False])
    present = torch.ones(4, 12, dtype=torch.bool)
    present[~is_teacher, 2:] = False
    model = make(**VARIANTS["conv"])
    (found,) = model(source * present[..., None], lead_present=present, is_teacher=is_teacher)
    assert found.valid.all()
    assert torch.equal(found.hidden[0, 0], torch.arange(12) >= 2)
    whole = model.encoder.normed(source[:1])[0, :, :16]
    assert torch.allclose(found.target[0, 0], whole)
    views = SimpleNamespace(pairs=True, student_views=1)
    batch = sample(source * present[..., None], lead_present=present, is_teacher=is_teacher)
    _, _, log = criterion(views, hidden_weight=0.5)(model, batch)
    assert log["hidden_loss"] > 0
    with pytest.raises(ConfigError, match=r"task\.student_views hides leads of a token"):
        make(**ST_MEM)(source, is_teacher=is_teacher)


def test_the_global_term_is_added(make, ecg_batch):
    model = make(projection="mlp", final_dim=8)
    torch.manual_seed(1)
    loss, n, log = criterion(cmsc_weight=0.1)(model, sample(ecg_batch(4)))
    assert (loss / n).item() == pytest.approx(
        (log["reconstruction_loss"] + 0.1 * log["cmsc_loss"]).item() / n
    )


@pytest.mark.parametrize("name", ["mtae", "st_mem", "hu"])
def test_a_segment_that_is_padded_is_redrawn_as_alone(make, ecg_batch, name):
    model = make(**VARIANTS[name])
    source, padding = ecg_batch(2), torch.zeros(2, 320, dtype=torch.bool)
    padding[1, 160:] = True
    leads, whole = (12 if model.encoder.per_lead else 1), model.encoder.n_frames(320)
    half = model.encoder.n_frames(160)
    keep = (torch.arange(leads)[:, None] * whole + torch.tensor([1, 2])).flatten()[None]
    alone = (torch.arange(leads)[:, None] * half + torch.tensor([1, 2])).flatten()[None]
    with torch.no_grad():
        padded = model(source, padding, keep=keep.expand(2, -1))[-1].prediction[1]
        expected = model(source[1:, :, :160], keep=alone)[-1].prediction[0]
    valid = padded.view(leads, whole, *padded.shape[1:])[:, :half]
    torch.testing.assert_close(valid, expected.view(leads, half, *padded.shape[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_absent_leads_make_no_nan_where_a_token_may_attend_to_nothing(make, ecg_batch, dropout):
    model = make(
        **{**ST_MEM, "separators": False}, attention="cross_pattern", attention_dropout=dropout
    ).train()
    present = torch.ones(4, 12, dtype=torch.bool)
    present[1:, 1:] = False
    found = model(ecg_batch(4), lead_present=present)[0]
    assert found.prediction.isfinite().all()


def test_targets_of_halves_are_as_exact_as_of_float32(make, ecg_batch):
    source = ecg_batch(2)
    target = make(target="standardised").bfloat16()(source.bfloat16())[0].target
    assert target.dtype == torch.float32
    assert torch.equal(target, target_of(patches_of(source.bfloat16().float(), 20), "standardised"))


def test_it_learns_a_batch_by_heart(make):
    torch.manual_seed(0)
    t = torch.arange(320) / 50
    source = torch.sin(2 * torch.pi * (t + torch.rand(8, 12, 1)))
    model = make(mask_ratio=0.25, target="raw", decoder_conv=4).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss, n, log = criterion()(model, sample(source))
        (loss / n).backward()
        optimizer.step()
    assert log["reconstruction_loss"] < 0.5 * log["zero_loss"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_unit": "lead"}, r"model\.mask_unit=lead needs tokens of each lead"),
        ({"decoder": "per_lead"}, r"model\.decoder=per_lead needs tokens of each lead"),
        ({**GRID, "decoder": "per_lead"}, r"set model\.mask_unit=token_of_lead"),
        ({**GRID, "decoder_conv": 4}, r"model\.decoder_conv is over frames in time"),
        ({**GRID, "decoder_head_conv": 3}, r"model\.decoder_head_conv is over frames in time"),
        (
            {**GRID, "frontend": "lead", "mask_unit": "time"},
            r"a token of model\.frontend=lead is a whole lead",
        ),
        ({"decoder_dim": 15}, r"model\.decoder_dim \(15\) must be a multiple of 2, of sines"),
        ({"decoder_dim": 12, "decoder_conv": 4}, r"multiple of 8, the groups of decoder_conv"),
        ({"position": "conv"}, r"model\.position=conv .* need all frames"),
        ({"context": "s4"}, r"model\.context=s4 need all frames"),
        (
            {**GRID, "independent_leads": True},
            r"model\.independent_leads is of masked leads on an axis of 12",
        ),
        ({"mask_ratio": 1.0}, r"model\.mask_ratio must be"),
        ({"target": "spectrum"}, r"model\.target must be one of raw"),
        ({"decoder_heads": 5}, r"model\.decoder_dim \(16\) must be a multiple of decoder_heads \(5\)"),
    ],
)
def test_options_that_contradict_each_other_are_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "huber"}, r"criterion\.loss must be one of mse, l1, smooth_l1"),
        ({"beta": 0.0}, r"criterion\.beta must be > 0"),
        ({"hidden_weight": 0.5}, r"task\.student_views is 0"),
        ({"cmsc_weight": -1.0}, r"criterion\.cmsc_weight must be >= 0"),
    ],
)
def test_options_of_the_criterion_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        criterion(**options)
