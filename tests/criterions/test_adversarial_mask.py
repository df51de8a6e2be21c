"""A network that masks segments against the encoder: gradients, and what becomes of the masks."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.criterions.byol import BYOLConfig, BYOLCriterion
from fairseq_signals.criterions.clocs import CLOCSCriterion, CLOCSCriterionConfig
from fairseq_signals.criterions.contrast import ContrastCriterion
from fairseq_signals.criterions.simclr import SimCLRCriterion, SimCLRCriterionConfig
from fairseq_signals.criterions.ts2vec import TS2VecCriterion, TS2VecCriterionConfig
from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.models import adversary
from fairseq_signals.models.ecg_contrastive import ECGContrastiveModel
from fairseq_signals.modules.adversarial_mask import binarised, share_penalty

NETWORK = {"adversarial_mask": 1, "adversary_width": 2}
ONLY_LOSS = 1e-6  # a weight that counts for nothing


def simclr(weight: float = 0.1, **options: object) -> SimCLRCriterion:
    return SimCLRCriterion(SimCLRCriterionConfig(adversary_weight=weight, **options), None)


def gradients(model: ECGContrastiveModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def part(values: dict, prefix: str) -> torch.Tensor:
    return torch.cat([value.flatten() for name, value in values.items() if name.startswith(prefix)])


@pytest.fixture
def without_reversal(monkeypatch) -> None:
    """The sign of the adversary's gradient stays what it is."""
    monkeypatch.setattr(adversary, "GradMultiply", SimpleNamespace(apply=lambda x, factor: x))


@pytest.fixture
def adversarial(make_contrastive):
    """`adversarial(**options)`: a tiny model with such a network, without noise."""
    off = {"dropout": 0.0, "attention_dropout": 0.0, "lead_mixer_dropout": 0.0}
    return lambda **options: make_contrastive(**{**off, **NETWORK, **options})


@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_the_network_gets_the_opposite_of_what_the_loss_has_for_it_and_the_encoder_its_own(
    factor, adversarial, views, request
):
    model, sample = adversarial(feature_grad_mult=factor), views()
    found = gradients(model, simclr(ONLY_LOSS)(model, sample)[0])
    model.cfg.feature_grad_mult = 1.0
    request.getfixturevalue("without_reversal")
    plain = gradients(model, simclr(ONLY_LOSS)(model, sample)[0])
    assert part(plain, "adversary.").norm() > 1e-2
    assert torch.allclose(part(found, "adversary."), -part(plain, "adversary."), atol=1e-4)
    assert torch.equal(part(found, "encoder.encoder."), part(plain, "encoder.encoder."))
    front_end = "encoder.feature_extractor."
    assert torch.allclose(part(found, front_end), factor * part(plain, front_end), atol=1e-5)
    assert part(plain, "encoder.").norm() > 0.1


def test_the_penalty_reaches_the_network_alone_with_its_own_sign(adversarial, views):
    model, sample = adversarial(), views()
    little, much = (gradients(model, simclr(weight)(model, sample)[0]) for weight in (1.0, 3.0))
    assert torch.equal(part(little, "encoder."), part(much, "encoder."))
    share = model(**sample["net_input"], masked_rows=sample["view"] == 1).masked_shares
    penalty = gradients(model, share_penalty(share, 0.5) * 6)
    expected = 2 * part(penalty, "adversary.")
    assert torch.allclose(part(much, "adversary.") - part(little, "adversary."), expected, atol=1e-4)


def step(model: ECGContrastiveModel, part_of_model: str, sample: dict, rate: float) -> tuple[float, float]:
    """The contrast before and after one step of a part of the model along its gradient."""
    before = simclr(ONLY_LOSS)(model, sample)[0]
    grads = gradients(model, before)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(part_of_model):
                parameter -= rate * grads[name] / part(grads, part_of_model).norm()
        return before.item(), simclr(ONLY_LOSS)(model, sample)[0].item()


def test_a_step_of_the_network_makes_the_loss_larger_and_one_of_the_encoder_smaller(adversarial, views):
    before, after = step(adversarial(), "adversary.", views(), 0.002)
    assert after > before
    before, after = step(adversarial(), "encoder.", views(), 0.002)
    assert after < before


def trained(model: ECGContrastiveModel, weight: float) -> tuple[float, float]:
    """The share that is masked and the contrast, after some updates of both."""
    source, row = torch.randn(12, 12, 320).repeat_interleave(2, dim=0), torch.arange(24)
    sample = {"id": row // 2, "segment_row": row // 2, "segment": row * 0, "view": row % 2}
    sample["net_input"] = {"source": source}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        loss, n, log = simclr(weight)(model, sample)
        (loss / n).backward()
        optimizer.step()
    return float(log["masked_share"]) / n, float(log["loss"]) / n


def test_masks_stay_hard_and_neither_hide_all_nor_nothing(adversarial):
    share, loss = trained(adversarial(), 0.1)
    assert 0.3 < share < 0.7
    assert loss > 0.5


def test_control_without_the_penalty_the_network_hides_everything(adversarial):
    share, loss = trained(adversarial(), ONLY_LOSS)
    assert share > 0.95
    assert loss == pytest.approx(math.log(23), abs=0.1)


def test_control_without_the_reversal_the_network_helps_and_the_contrast_is_trivial(
    adversarial, without_reversal
):
    assert trained(adversarial(), 0.1)[1] < 0.1


def test_only_second_views_are_masked_and_second_segments_where_there_is_one_view(adversarial, views):
    seen = []
    model = adversarial()
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    sample = views()
    simclr()(model, sample)
    hidden = binarised(model.adversary(sample["net_input"]["source"]))
    masked = sample["net_input"]["source"] * (1 - hidden)
    assert torch.equal(seen[-1][0::2], sample["net_input"]["source"][0::2])
    assert torch.allclose(seen[-1][1::2], masked[1::2])
    pairs = views(n_views=1)
    clocs = CLOCSCriterion(CLOCSCriterionConfig(mode="cmsc", adversary_weight=0.1), None)
    clocs(model, pairs)
    changed = (seen[-1] != pairs["net_input"]["source"]).flatten(1).any(dim=1)
    assert changed.tolist() == (pairs["segment"] == 1).tolist()


@pytest.mark.parametrize("lead_encoding", ["zeros", "tokens"])
@pytest.mark.parametrize("n_masks", [1, 3, 12])
def test_absent_leads_and_padding_stay_what_they_are(adversarial, views, n_masks, lead_encoding):
    model, sample = adversarial(adversarial_mask=n_masks, lead_encoding=lead_encoding), views()
    inputs = sample["net_input"]
    present = torch.ones(12, 12, dtype=torch.bool)
    present[1, 3:] = False
    inputs["padding_mask"] = torch.zeros(12, 320, dtype=torch.bool)
    inputs["padding_mask"][3, 200:] = True
    inputs["source"] = inputs["source"] * present[..., None] * ~inputs["padding_mask"][:, None]
    inputs["lead_present"] = present
    source, masked = model.adversary.masked(**inputs, rows=sample["view"] == 1)
    assert not source[1, 3:].any()
    assert not source[3, :, 200:].any()
    assert masked.shape == (6, n_masks)
    assert masked.isnan()[0].tolist() == ([False] * 3 + [True] * 9 if n_masks == 12 else [False] * n_masks)
    loss, _, log = simclr()(model, sample)
    loss.backward()
    assert log["masked_share"].isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_frames_are_contrasted_too(adversarial, views):
    model = adversarial()
    criterion = TS2VecCriterion(TS2VecCriterionConfig(adversary_weight=0.1), None)
    loss, _, log = criterion(model, views())
    loss.backward()
    assert log["mask_penalty"] > 0
    assert any(p.grad.any() for p in model.adversary.parameters())


def test_shares_and_penalty_are_logged_and_are_no_part_of_the_contrast(adversarial, views, reduced):
    model, sample, criterion = adversarial(), views(), simclr(0.5)
    loss, n, log = criterion(model, sample)
    assert loss.item() == pytest.approx(float(log["loss"] + 0.5 * log["mask_penalty"]))
    assert set(reduced(SimCLRCriterion, [log])) == set(criterion.logged)
    assert isinstance(criterion, ContrastCriterion)
    assert reduced(SimCLRCriterion, [log])["masked_share"] == pytest.approx(
        float(log["masked_share"]) / n, abs=1e-3
    )


def test_what_does_not_go_together_is_refused(adversarial, make_contrastive, views):
    with pytest.raises(ConfigError, match=r"criterion\.adversary_weight above 0"):
        simclr(0.0)(adversarial(), views())
    with pytest.raises(ConfigError, match=r"with model\.adversarial_mask above 0"):
        simclr()(make_contrastive(), views())
    with pytest.raises(ConfigError, match=r"criterion that tells which segments to mask"):
        BYOLCriterion(BYOLConfig(), SimpleNamespace())(adversarial(teacher=True), views())
    with pytest.raises(ConfigError, match=r"model\.feature_grad_mult=0 lets nothing through"):
        adversarial(feature_grad_mult=0.0)
    with pytest.raises(ConfigError, match=r"criterion\.adversary_share must be a number from 0.05 to 0.95"):
        simclr(adversary_share=1.0)


def test_the_encoder_of_a_checkpoint_is_without_the_network(adversarial, tiny, ecg_adu, tmp_path):
    model = adversarial().eval()
    options = {**tiny, **NETWORK, "final_dim": 8, "_name": "ecg_contrastive"}
    torch.save({"model": model.state_dict(), "cfg": {"model": options, "task": {}}}, tmp_path / "c.pt")
    checkpoint = load_checkpoint(tmp_path / "c.pt")
    assert any(name.startswith("adversary.") for name in checkpoint.state)
    assert checkpoint.encoder_state.keys() == model.encoder.state_dict().keys()
    loaded = ECGModel.load(tmp_path / "c.pt")
    assert not any("adversary" in name for name, _ in loaded.network.named_parameters())
