"""Masked autoencoders on unusual input, and what positions are for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from fairseq_signals.criterions.masked_reconstruction import (
    MaskedReconstructionConfig,
    MaskedReconstructionCriterion,
)
from fairseq_signals.errors import ConfigError, LeadError
from fairseq_signals.models.ecg_mae import ECGMAEConfig, ECGMAEModel
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig

TASK = SimpleNamespace(pairs=True, student_views=0)
ST_MEM = {
    "frontend": "lead_patch",
    "lead_encoding": "tokens",
    "separators": True,
    "mask_unit": "token_of_lead",
    "decoder": "per_lead",
    "patch_samples": 20,
    "decoder_dim": 16,
    "layer_norm_first": True,
}
MTECG = {**ST_MEM, "frontend": "patch", "lead_encoding": "zeros", "separators": False, "decoder": "joint"}
MTECG |= {"mask_unit": "token", "target": "demeaned", "registers": 1}


def loss_of(model: ECGMAEModel, source: torch.Tensor, **inputs: torch.Tensor) -> tuple:
    criterion = MaskedReconstructionCriterion(MaskedReconstructionConfig(), TASK)
    ids = torch.arange(len(source))
    return criterion(model, {"id": ids, "net_input": {"source": source, **inputs}})


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny model, in training mode."""

    def build(**options: object) -> ECGMAEModel:
        torch.manual_seed(0)
        return ECGMAEModel(ECGMAEConfig(**{**tiny, **options}))

    return build


@pytest.mark.parametrize("options", [ST_MEM, MTECG], ids=["st_mem", "mtecg"])
@pytest.mark.parametrize("norm", ["none", "joint", "lead"])
def test_flat_leads_make_a_finite_loss_and_gradient(make, ecg_batch, options, norm):
    source = ecg_batch(2)
    source[0, 3] = 0
    source[1] = 0.2
    model = make(**options, input_norm=norm)
    loss, n, _ = loss_of(model, source)
    (loss / n).backward()
    assert loss.isfinite()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_the_loss_is_the_mean_over_masked_tokens_of_all_leads(make):
    source = torch.randn(2, 12, 2500)
    _, n, log = loss_of(make(**{**ST_MEM, "patch_samples": 125}), source)
    assert n == 2 * 12 * 15
    assert (log["zero_loss"] / n).item() == pytest.approx(124 / 125, abs=1e-4)


@pytest.mark.parametrize(
    "options", [{"mask_ratio": 0.0}, {"mask_unit": "both", "decoder": "joint", "mask_lead_ratio": 0.0}]
)
def test_masks_of_nothing_are_refused_where_no_lead_is_hidden_either(make, ecg_batch, options):
    with pytest.raises(ConfigError, match=r"leave nothing to tell .* or set task\.student_views"):
        loss_of(make(**{**ST_MEM, **options}), ecg_batch(2))
    is_teacher = torch.tensor([True, False])
    assert make(**MTECG, mask_ratio=0.0)(ecg_batch(2), is_teacher=is_teacher)
    assert make(**{**ST_MEM, "mask_unit": "union", "decoder": "joint"}, mask_ratio=0.0)(ecg_batch(2))


def test_a_segment_without_any_lead_is_refused(make, ecg_batch):
    present = torch.tensor([[True], [False]]).expand(2, 12)
    with pytest.raises(LeadError):
        loss_of(make(**ST_MEM), ecg_batch(2), lead_present=present)


@pytest.fixture
def encode(tiny):
    """`encode(position, source, keep)`: frames of the tokens that are kept, of random position vectors."""

    def run(position: str, source: torch.Tensor, keep: list[int], swap: bool = False) -> torch.Tensor:
        torch.manual_seed(0)
        options = {"frontend": "patch", "patch_samples": 20, "max_positions": 16, "position": position}
        encoder = ECGEncoder(EncoderConfig(**{**tiny, "layer_norm_first": True, **options})).eval()
        if swap:
            with torch.no_grad():
                table = encoder.table_pos.get_parameter("table")
                table[[3, 7]] = table[[7, 3]].clone()
        with torch.no_grad():
            return encoder(source, keep=torch.tensor([keep])).x[0]

    return run


def exchanged(source: torch.Tensor) -> torch.Tensor:
    """Samples of tokens 3 and 7, each in place of the other's."""
    patches = source.unflatten(2, (16, 20)).clone()
    patches[:, :, [3, 7]] = patches[:, :, [7, 3]]
    return patches.flatten(2)


def test_without_positions_tokens_are_a_set_and_with_them_they_are_not(encode, ecg_batch):
    source, keep, order = ecg_batch(1), [1, 3, 7, 9], [0, 2, 1, 3]
    assert torch.allclose(
        encode("none", exchanged(source), keep)[order], encode("none", source, keep), atol=1e-5
    )
    plain = encode("learned", source, keep)
    assert not torch.allclose(encode("learned", exchanged(source), keep)[order], plain, atol=1e-2)
    assert torch.allclose(encode("learned", exchanged(source), keep, swap=True)[order], plain, atol=1e-5)
