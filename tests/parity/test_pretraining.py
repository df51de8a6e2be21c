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
            if "pt_neg_idxs" in theirs:
                found = True
                yield prepare(one, theirs, train)
        if not found:
            pytest.skip("no saved pre-training forward")

    return find


both_modes = pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])


@both_modes
def test_quantizer_chooses_the_authors_codes_and_targets(forwards, close_where_saved, train):
    for one in forwards(train):
        theirs, model = one.theirs, one.model
        latents = model.encoder.layer_norm(model.encoder.latent_frames(theirs["source"]))
        masked = latents[theirs["mask_indices"]]
        quantized = model.quantizer(masked)
        ours = {
            "pt_quantizer_in": masked,
            "pt_quantized": quantized.x,
            "pt_codebook_targets": quantized.codes,
            "pt_targets_projected": model.project_q(quantized.x),
        }
        b = len(theirs["source"])
        ours = {key: x.reshape(b, len(masked) // b, -1) for key, x in ours.items()}
        close_where_saved(one.name, theirs, {**ours, "pt_num_vars": quantized.hard_probs.numel()})


@both_modes
def test_logits_and_statistics_are_the_authors(forwards, close_where_saved, train):
    for one in forwards(train):
        theirs, model = one.theirs, one.model
        out = model(**one.inputs)
        masked = out.x[theirs["mask_indices"]].view(len(out.x), -1, out.x.shape[2])
        ours = {
            "pt_final_proj_out": model.final_proj(masked),
            # ours (B, M, 1 + K) -> theirs (1 + K, B, M), and as rows by (frame, segment)
            "pt_logits_NxBxT": out.logits.permute(2, 0, 1),
            "pt_logits": out.logits.transpose(0, 1).reshape(-1, out.logits.shape[2]),
            "pt_prob_perplexity": out.stats["prob_perplexity"],
            "pt_code_perplexity": out.stats["code_perplexity"],
            "pt_extra_loss_0": out.diversity_loss,
            "pt_extra_loss_1": out.feature_penalty,
            "pt_net_features": out.x,
            "pt_cmsc_features": model.global_representation(out),
        }
        close_where_saved(one.name, theirs, ours)
        assert bool(out.valid.all())


@both_modes
def test_losses_and_their_sum_are_the_authors(forwards, close_where_saved, train):
    for one in forwards(train):
        theirs = one.theirs
        criterion = Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(), None)
        loss, sample_size, log = criterion(one.model, one.sample)
        counts = {"pt_sample_size": sample_size, "pt_count": log["count"], "pt_correct": log["correct"]}
        for key in counts.keys() & theirs.keys():
            assert int(counts[key]) == int(theirs[key]), key
        ours = {
            "pt_loss_infonce_sum": log["contrastive_loss"],
            "pt_loss_diversity_weighted_x_sample_size": log["diversity_loss"],
            "pt_loss_features_pen_weighted_x_sample_size": log["features_pen_loss"],
            "pt_loss_cmsc_x_sample_size": log["cmsc_loss"],
            "pt_loss_total": loss,
        }
        close_where_saved(one.name, theirs, ours, RELATIVE)


@both_modes
def test_losses_of_the_authors_tensors_are_theirs(forwards, close_where_saved, train):
    for one in forwards(train):
        theirs = one.theirs
        if "pt_cmsc_features" in theirs:
            loss = cmsc_loss(theirs["pt_cmsc_features"], theirs["patient_id"], theirs["segment"])
            close_where_saved(one.name, theirs, {"pt_loss_cmsc": loss})
        if "pt_logits" in theirs:
            logits = theirs["pt_logits"][None]
            loss = infonce_loss(logits, torch.ones(logits.shape[:2], dtype=torch.bool))
            close_where_saved(f"{one.name} (of pt_logits)", theirs, {"pt_loss_infonce_sum": loss}, RELATIVE)


def test_gradients_of_every_parameter_are_the_authors(forwards, gradients_close):
    for one in forwards(train=True):
        criterion = Wav2Vec2WithCMSCCriterion(Wav2Vec2WithCMSCCriterionConfig(), None)
        loss, _, _ = criterion(one.model, one.sample)
        loss.backward()
        ours = {name: parameter.grad for name, parameter in one.model.named_parameters()}
        gradients_close(
            one.name, one.theirs, {f"grad.{key}": ours[name] for key, name in one.our_key.items()}
        )
