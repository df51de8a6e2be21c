"""The pre-training objective computes the authors' targets, logits, losses and gradients."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from fairseq_signals.criterions.cmsc import cmsc_loss
from fairseq_signals.criterions.wav2vec2_with_cmsc import (
    Wav2Vec2WithCMSCCriterion,
    Wav2Vec2WithCMSCCriterionConfig,
)
from fairseq_signals.models.wav2vec2_cmsc import Wav2Vec2CMSCConfig, Wav2Vec2CMSCModel
from fairseq_signals.modules.contrastive import infonce_loss

pytestmark = pytest.mark.shared
RELATIVE = 1e-5


@dataclass
class Forward:
    """One pre-training forward of the authors' code beside ours."""

    name: str
    theirs: dict
    model: Wav2Vec2CMSCModel
    our_key: dict  # their parameter name -> ours
    inputs: dict
    sample: dict


@pytest.fixture
def forwards(parity_sets, monkeypatch):
    """`forwards(train)`: every saved forward in evaluation or in training mode, with its saved randomness."""

    def prepare(one, theirs: dict, train: bool) -> Forward:
        checkpoint = one.checkpoint()
        model = Wav2Vec2CMSCModel(Wav2Vec2CMSCConfig(**one.options_of(Wav2Vec2CMSCConfig)))
        model.load_state_dict(checkpoint.state)
        model.train(train)
        spans = theirs["mask_indices"]
        b, m = len(spans), int(spans.sum(dim=1)[0])
        # their flat rows of all targets (B * M) -> ours, within a segment
        drawn = theirs["pt_neg_idxs"].view(b, m, -1) - m * torch.arange(b)[:, None, None]
        inputs = {"source": theirs["source"], "spans": spans, "distractors": drawn}
        sample = {key: theirs[key] for key in ("patient_id", "segment")}
        sample.update(id=torch.arange(b), net_input=inputs)
        if train:
            assert model.quantizer.curr_temp == theirs["gumbel_tau"]
            # gumbel_softmax takes -log of exponential draws for its noise
            draws = torch.exp(-theirs["gumbel_noise"])
            monkeypatch.setattr(torch.Tensor, "exponential_", lambda x, *args: x.copy_(draws.view_as(x)))
        keys = dict(zip(one.original_state, checkpoint.state))
        return Forward(f"{one.name}{'_train' if train else ''}", theirs, model, keys, inputs, sample)

    def find(train: bool):
        found = False
        for one in parity_sets("pretraining"):
            theirs = one.arrays("_train" if train else "")
            if "pt_logits" in theirs:
                found = True
                yield prepare(one, theirs, train)
        if not found:
            pytest.skip("no saved pre-training forward")

    return find


both_modes = pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])


@both_modes
def test_quantizer_chooses_the_authors_codes_and_targets(forwards, close, train):
    for one in forwards(train):
        theirs, model = one.theirs, one.model
        latents = model.encoder.layer_norm(model.encoder.latent_frames(theirs["source"]))
        b, m = theirs["pt_quantizer_in"].shape[:2]
        masked = latents[theirs["mask_indices"]]
        close(f"{one.name}.pt_quantizer_in", masked.view(b, m, -1), theirs["pt_quantizer_in"])
        quantized = model.quantizer(masked)
        close(f"{one.name}.pt_quantized", quantized.x.view(b, m, -1), theirs["pt_quantized"])
        codes = quantized.codes.view(b, m, -1)
        assert torch.equal(codes, theirs["pt_codebook_targets"])
        assert quantized.hard_probs.numel() == int(theirs["pt_num_vars"])
        projected = model.project_q(quantized.x).view(b, m, -1)
        close(f"{one.name}.pt_targets_projected", projected, theirs["pt_targets_projected"])


@both_modes
def test_logits_and_statistics_are_the_authors(forwards, close, train):
    for one in forwards(train):
        theirs, model = one.theirs, one.model
        out = model(**one.inputs)
        b, m = theirs["pt_final_proj_out"].shape[:2]
        projected = model.final_proj(out.x[theirs["mask_indices"]].view(b, m, -1))
        close(f"{one.name}.pt_final_proj_out", projected, theirs["pt_final_proj_out"])
        # ours (B, M, 1 + K) -> theirs (1 + K, B, M), and as rows by (frame, segment)
        close(f"{one.name}.pt_logits_NxBxT", out.logits.permute(2, 0, 1), theirs["pt_logits_NxBxT"])
        rows = out.logits.transpose(0, 1).reshape(-1, out.logits.shape[2])
        close(f"{one.name}.pt_logits", rows, theirs["pt_logits"])
        assert bool(out.valid.all())
        for key in ("prob_perplexity", "code_perplexity"):
            close(f"{one.name}.pt_{key}", out.stats[key], theirs[f"pt_{key}"])
        close(f"{one.name}.pt_extra_loss_0", out.diversity_loss, theirs["pt_extra_loss_0"])
        close(f"{one.name}.pt_extra_loss_1", out.feature_penalty, theirs["pt_extra_loss_1"])
        close(f"{one.name}.pt_net_features", out.x, theirs["pt_net_features"])
        close(f"{one.name}.pt_cmsc_features", model.global_representation(out), theirs["pt_cmsc_features"])


@both_modes
def test_losses_and_their_sum_are_the_authors(forwards, close, train):
    for one in forwards(train):
        theirs = one.theirs
        criterion = Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(), None)
        loss, sample_size, log = criterion(one.model, one.sample)
        assert int(sample_size) == int(theirs["pt_sample_size"])
        assert int(log["count"]) == int(theirs["pt_count"])
        assert int(log["correct"]) == int(theirs["pt_correct"])
        names = {
            "contrastive_loss": "pt_loss_infonce_sum",
            "diversity_loss": "pt_loss_diversity_weighted_x_sample_size",
            "features_pen_loss": "pt_loss_features_pen_weighted_x_sample_size",
            "cmsc_loss": "pt_loss_cmsc_x_sample_size",
        }
        for ours, key in names.items():
            close(f"{one.name}.{key}", log[ours], theirs[key], RELATIVE)
        close(f"{one.name}.pt_loss_total", loss, theirs["pt_loss_total"], RELATIVE)
        # the loss functions by themselves, on the authors' tensors
        g = theirs["pt_cmsc_features"]
        close(
            f"{one.name}.pt_loss_cmsc",
            cmsc_loss(g, theirs["patient_id"], theirs["segment"]),
            theirs["pt_loss_cmsc"],
        )
        logits = theirs["pt_logits"][None]
        infonce = infonce_loss(logits, torch.ones(logits.shape[:2], dtype=torch.bool))
        close(f"{one.name}.infonce of pt_logits", infonce, theirs["pt_loss_infonce_sum"], RELATIVE)


def test_gradients_of_every_parameter_are_the_authors(forwards, close):
    for one in forwards(train=True):
        criterion = Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(), None)
        loss, _, _ = criterion(one.model, one.sample)
        loss.backward()
        ours = {name: p.grad for name, p in one.model.named_parameters()}
        saved = {key[len("grad.") :]: value for key, value in one.theirs.items() if key.startswith("grad.")}
        for key, gradient in saved.items():
            close(f"{one.name}.grad.{key}", ours.pop(one.our_key[key]), gradient, RELATIVE)
        assert not any(gradient is not None and gradient.any() for gradient in ours.values())
