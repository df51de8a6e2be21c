"""Sentences of beats: a tokenizer, the codes of masked beats, and what must not leak."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.criterions.masked_cluster_prediction import cluster_costs, label_entropy
from fairseq_signals.criterions.masked_sentence import (
    MaskedSentenceConfig,
    MaskedSentenceCriterion,
    best_constant,
)
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.models.ecg_beat_tokens import ECGBeatTokensConfig, ECGBeatTokensModel
from fairseq_signals.models.ecg_mae import ECGMAEConfig, ECGMAEModel
from fairseq_signals.models.finetuning import FinetuningConfig, build_encoder

SMALL = {"patch_samples": 96, "codes": 32, "code_dim": 8, "decoder_dim": 16, "decoder_layers": 1}
OFF = {"dropout": 0.0, "attention_dropout": 0.0}
KINDS = 3  #: of beats, by their width
T = 640


def source(b: int = 4) -> torch.Tensor:
    """(B, 12, T): five beats of different kinds in each segment, alike in all leads but for their size."""
    time = torch.arange(T)
    x = torch.zeros(b, 12, T)
    for row in range(b):
        for beat in range(5):
            width = (3.0, 6.0, 12.0)[(row + beat) % KINDS]
            x[row] += torch.exp(-(((time - 70 - 120 * beat - 5 * row) / width) ** 2))
    return x * torch.linspace(1, -1, 12)[:, None]


def sample(b: int = 4) -> dict:
    return {"id": torch.arange(b), "net_input": {"source": source(b)}}


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny model, in evaluation mode."""

    def build(**options: object) -> ECGBeatTokensModel:
        torch.manual_seed(0)
        return ECGBeatTokensModel(ECGBeatTokensConfig(**{**tiny, **SMALL, **OFF, **options})).eval()

    return build


@pytest.fixture
def tokenizer(make, tiny, tmp_path):
    """The checkpoint of a tokenizer whose codes have been started."""
    model = make().train()
    model(source())
    options = {**tiny, **SMALL, "frontend": "beat", "lead_encoding": "tokens", "position": "sincos"}
    path = tmp_path / "tokenizer.pt"
    torch.save({"model": model.state_dict(), "cfg": {"model": {"_name": "ecg_beat_tokens", **options}}}, path)
    return path


def updated(model: ECGBeatTokensModel, n: int, rate: float = 0.01) -> list[dict]:
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    criterion, logs = MaskedSentenceCriterion(MaskedSentenceConfig(), None), []
    for _ in range(n):
        optimizer.zero_grad()
        loss, size, log = criterion(model.train(), sample())
        (loss / size).backward()
        optimizer.step()
        logs.append({key: float(log[key]) / size for key in MaskedSentenceCriterion.logged})
    return logs


def test_a_tokenizer_redraws_beats_better_than_their_mean(make):
    logs = updated(make(), 60)
    assert logs[-1]["loss"] < 0.7 * logs[-1]["trivial_loss"]
    assert logs[-1]["code_entropy"] > 0.5  # more than one code is in use


def test_the_encoder_gets_the_gradient_of_the_codes(make):
    model = make().train()
    found = model(source())
    found.told.retain_grad()
    handed = []
    model.decoder.register_forward_pre_hook(lambda module, inputs: handed.append(inputs[0]))
    found = model(source())
    handed[0].retain_grad()
    found.told.retain_grad()
    found.redrawn[found.valid].square().sum().backward()
    assert torch.allclose(found.told.grad, handed[0].grad[found.valid])
    assert model.encoder.feature_extractor.projection.weight.grad.any()


def test_redrawing_all_words_as_their_mean_costs_their_variance():
    words = torch.randn(50, 96)
    assert best_constant(words) == pytest.approx(words.var(dim=0, unbiased=False).mean().item())


@pytest.mark.parametrize("used", [1, 6])
def test_perplexity_of_codes(used):
    codes = torch.arange(60).view(3, 20) % used
    entropy = label_entropy(codes, torch.ones(3, 20, dtype=torch.bool), 6)
    assert entropy.exp().item() == pytest.approx(used, abs=1e-5)


def test_equal_logits_cost_the_logarithm_of_the_number_of_codes():
    cost = cluster_costs(torch.zeros(1, 2, 8192), torch.zeros(1, 2, dtype=torch.long))
    assert cost[0].tolist() == pytest.approx([9.010913] * 2, abs=1e-6)


def test_half_of_the_real_words_are_masked_and_nothing_else(make, tokenizer):
    model = make(tokenizer=str(tokenizer), apply_mask=True)
    present = torch.ones(4, 12, dtype=torch.bool)
    present[2, 5:] = False
    found = model(source() * present[..., None], lead_present=present)
    words = torch.tensor([60, 60, 25, 60])
    assert torch.equal(found.valid.sum(dim=1), words)
    assert torch.equal(found.masked.sum(dim=1), words // 2)
    assert not (found.masked & ~found.valid).any()


@torch.no_grad()
def test_a_masked_word_reaches_its_code_alone(make, tokenizer):
    model, x = make(tokenizer=str(tokenizer), apply_mask=True), source(1)
    spans = torch.zeros(1, 12 * model.encoder.n_frames(T), dtype=torch.bool)
    spans[0, 1] = True  # the second beat of lead I
    found, (_, beats) = model(x, spans=spans), model.encoder.feature_extractor.words(x)
    start, stop = int(beats.centre[0, 1]) - 48, int(beats.centre[0, 1]) + 48
    changed = x.clone()
    changed[0, 0, start:stop] += 0.001 * torch.randn(96)
    assert torch.equal(model.encoder.feature_extractor.words(changed)[1].centre, beats.centre)
    assert torch.equal(model(changed, spans=spans).logits, found.logits)
    assert not torch.equal(model(changed, spans=~spans).logits, model(x, spans=~spans).logits)


def test_padding_does_not_count(make, tokenizer):
    model = make(tokenizer=str(tokenizer), apply_mask=True)
    torch.manual_seed(1)
    plain = model(source())
    padded = torch.nn.functional.pad(source(), (0, 100))
    padding = (torch.arange(T + 100) >= T).expand(4, -1)
    n = plain.valid.view(4, 12, -1).shape[2]
    found = model(padded, padding, spans=nn.functional.pad(plain.masked.view(4, 12, -1), (0, 4)).flatten(1))
    assert found.logits.view(4, 12, -1, 32).shape[2] == n + 4
    assert found.valid.sum() == plain.valid.sum()
    kept = found.logits.view(4, 12, n + 4, 32)[:, :, :n][plain.valid.view(4, 12, n)]
    assert torch.allclose(kept, plain.logits[plain.valid], atol=1e-5)


def test_a_frozen_tokenizer_stays_bit_for_bit(make, tokenizer):
    model = make(tokenizer=str(tokenizer), apply_mask=True)
    frozen = ("label_encoder.", "tokenizer.")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    codes = model(source()).codes
    updated(model, 10)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith(frozen))
    assert not torch.equal(before["final_proj.weight"], after["final_proj.weight"])
    assert torch.equal(model(source()).codes, codes)
    assert not any(p.requires_grad for name, p in model.named_parameters() if name.startswith(frozen))


def test_codes_are_learnt_and_control_shuffled_ones_are_not(make, tokenizer):
    logs = updated(make(tokenizer=str(tokenizer), apply_mask=True), 40)
    assert logs[-1]["loss"] < 0.5 * logs[-1]["trivial_loss"]
    model = make(tokenizer=str(tokenizer), apply_mask=True)
    told = model.tokenizer.forward
    model.tokenizer.forward = lambda x: (
        told(x).flatten()[torch.randperm(x.shape[0] * x.shape[1])].view(x.shape[:2])
    )
    logs = updated(model, 40)
    assert sum(log["loss"] for log in logs[-10:]) > 0.9 * sum(log["trivial_loss"] for log in logs[-10:])


def test_segments_without_beats_are_words_too(make, tokenizer):
    model = make(tokenizer=str(tokenizer), apply_mask=True).train()
    loss, n, _ = MaskedSentenceCriterion(MaskedSentenceConfig(), None)(
        model, {"id": torch.arange(2), "net_input": {"source": torch.randn(2, 12, T)}}
    )
    assert n == 2 * (12 * (T // 96) // 2)
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize("stage", [1, 2])
def test_the_encoder_of_a_checkpoint_is_fine_tuned_and_embeds(stage, make, tiny, tokenizer, tmp_path):
    path = tokenizer
    if stage == 2:
        model = make(tokenizer=str(tokenizer), apply_mask=True)
        path = tmp_path / "sentences.pt"
        options = {**load_checkpoint(tokenizer).model_cfg, "tokenizer": str(tokenizer), "apply_mask": True}
        torch.save({"model": model.state_dict(), "cfg": {"model": options}}, path)
    encoder = build_encoder(
        FinetuningConfig(**{**tiny, **OFF}, frontend="beat", lead_encoding="tokens", position="sincos",
                         patch_samples=96, num_labels=3, model_path=str(path))
    ).eval()  # fmt: skip
    loaded, x = ECGModel.load(path), source(1)
    with torch.no_grad():
        out, frames = encoder(x), loaded.embed(x[0], fs=500, frames=True)
        assert torch.allclose(
            torch.tensor(loaded.embed(x[0], fs=500)), out.x[~out.padding_mask].mean(dim=0), atol=1e-5
        )
    of_beats = out.x.view(12, -1, 16).mean(dim=0)
    stride, (_, beats) = encoder.stride, encoder.feature_extractor.words(x)
    assert frames.shape == (encoder.n_frames(T), 16)
    for beat in range(5):
        at = int(beats.centre[0, beat]) // stride
        assert torch.allclose(torch.tensor(frames[at]), of_beats[beat], atol=1e-5)
    assert torch.allclose(loaded.network.encoder(x).x, out.x, atol=1e-6)
    assert not any(name.startswith(("tokenizer", "label")) for name, _ in loaded.network.named_parameters())


def test_what_makes_no_model_is_refused(make, tokenizer, tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.frontend must be beat"):
        make(frontend="lead_patch")
    with pytest.raises(ConfigError, match=r"set model\.apply_mask to true"):
        make(tokenizer=str(tokenizer))
    with pytest.raises(ConfigError, match=r"model\.patch_samples is 48, but the tokenizer .* has 96"):
        make(tokenizer=str(tokenizer), apply_mask=True, patch_samples=48)
    with pytest.raises(ConfigError, match=r"model\.frontend=beat has tokens of beats"):
        ECGMAEModel(
            ECGMAEConfig(**{**tiny, "frontend": "beat", "lead_encoding": "tokens", "patch_samples": 96})
        )
    model = make(tokenizer=str(tokenizer), apply_mask=True)
    options = {**load_checkpoint(tokenizer).model_cfg, "tokenizer": "x", "apply_mask": True}
    torch.save({"model": model.state_dict(), "cfg": {"model": options}}, tmp_path / "second.pt")
    with pytest.raises(CheckpointError, match="makes no codes"):
        make(tokenizer=str(tmp_path / "second.pt"), apply_mask=True)
    with pytest.raises(ConfigError, match=r"criterion\.commitment must be >= 0"):
        MaskedSentenceCriterion(MaskedSentenceConfig(commitment=-1.0), SimpleNamespace())
