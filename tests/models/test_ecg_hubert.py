"""Masked prediction of clusters: what labels are made of, what is masked, and the next iteration."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.checkpoints.clusters import ClusterFile
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.ecg_hubert import ECGHuBERTConfig, ECGHuBERTModel
from fairseq_signals.models.finetuning import FinetuningConfig, build_encoder

SMALL = {"num_clusters": 6, "final_dim": 8, "mask_prob": 0.3, "mask_length": 2, "mask_channel_prob": 0.0}
OFFLINE = {**SMALL, "clusters": "file"}
both = pytest.mark.parametrize("options", [OFFLINE, SMALL], ids=["offline", "online"])


def write_clusters(path: Path, k: int = 6, dim: int = 36, **about: object) -> str:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(k, dim)).astype(np.float32)
    ones = np.ones(dim, np.float32)
    ClusterFile(centres, 0 * ones, ones, **{"stride": 16, **about}).write(path)
    return str(path)


@pytest.fixture
def make(tiny, tmp_path):
    """`make(**options)`: a tiny model, in evaluation mode; `clusters` "file" is one of six clusters."""

    def build(**options: object) -> ECGHuBERTModel:
        if options.get("clusters") == "file":
            options["clusters"] = write_clusters(tmp_path / "clusters.npz")
        torch.manual_seed(0)
        return ECGHuBERTModel(ECGHuBERTConfig(**{**tiny, **options})).eval()

    return build


PADDING = torch.arange(320) >= torch.tensor([320, 160])[:, None]


@both
def test_shapes_and_masks_in_training_and_validation(make, ecg_batch, options):
    for model in (make(**options), make(**options).train()):
        found = model(ecg_batch(2), PADDING)
        assert found.logits.shape == (2, 20, 6)
        assert found.valid.sum(dim=1).tolist() == [20, 10]
        assert found.masked.any(dim=1).all()
        assert not (found.masked & ~found.valid).any()
        assert found.logits.abs().max() <= 1 / 0.1 + 1e-4  # cosines by their temperature
        assert not found.labels.requires_grad


@both
def test_without_masks_all_frames_count(make, ecg_batch, options):
    found = make(**options, apply_mask=False)(ecg_batch(2), PADDING)
    assert torch.equal(found.masked, found.valid)


@torch.no_grad()
def test_logits_are_cosines_of_projected_frames_with_the_clusters_vectors(make, ecg_batch):
    model, spans = make(**OFFLINE), torch.zeros(2, 20, dtype=torch.bool)
    spans[:, 3:7] = True
    found = model(ecg_batch(2), spans=spans)
    x = model.final_proj(model.encoder(ecg_batch(2), mask=True, spans=spans).x)
    expected = F.cosine_similarity(x[:, :, None], model.cluster_vectors[None, None], dim=-1) / 0.1
    assert torch.allclose(found.logits, expected, atol=1e-5)
    assert torch.equal(found.masked, spans)


@torch.no_grad()
@both
def test_labels_are_of_the_signal_without_masks(make, ecg_batch, options):
    model = make(**options)
    whole = torch.zeros(2, 20, dtype=torch.bool)
    spans = whole.clone()
    spans[:, 2:18] = True
    one, other = model(ecg_batch(2), spans=spans), model(ecg_batch(2), spans=whole)
    assert torch.equal(one.labels, other.labels)
    assert not torch.allclose(one.logits, other.logits, atol=1e-2)


@torch.no_grad()
def test_the_label_of_a_frame_is_of_its_samples_alone(make, ecg_batch):
    model, source = make(**OFFLINE), ecg_batch(1)
    labels, other = model(source).labels, set()
    for shift in (-50, 50):
        changed = source.clone()
        changed[..., 5 * 16 : 6 * 16] += shift
        other |= set((model(changed).labels != labels).nonzero()[:, 1].tolist())
    assert other == {5}


@torch.no_grad()
@both
def test_labels_of_a_students_view_are_of_the_view_of_all_leads(make, ecg_batch, options):
    model, whole = make(**options), ecg_batch(2)
    source = whole.repeat_interleave(2, dim=0)
    source[1::2, 3:] = 0
    is_teacher = torch.tensor([True, False, True, False])
    found = model(source, is_teacher=is_teacher)
    assert len(found.logits) == 2
    assert torch.equal(found.labels, model(whole).labels)
    assert not torch.equal(model(source[1::2]).labels, found.labels)


def test_online_labels_are_shares_of_the_teachers_frames_and_prototypes_follow(make, ecg_batch):
    model = make(**SMALL)
    shares = model(ecg_batch(2), PADDING).labels
    assert shares.shape == (2, 20, 6)
    assert torch.allclose(shares.sum(dim=2), (~PADDING[:, ::16]).float(), atol=1e-5)
    with torch.no_grad():
        frames = model.teacher.encoder(ecg_batch(2), PADDING).x
        expected = model.clusters(frames[~PADDING[:, ::16]])
    assert torch.allclose(shares[~PADDING[:, ::16]], expected, atol=1e-6)
    before = model.clusters.prototypes.clone()
    model(ecg_batch(2))
    assert torch.equal(model.clusters.prototypes, before)
    model.train()(ecg_batch(2))
    assert not torch.equal(model.clusters.prototypes, before)


def test_the_teacher_of_online_clusters_follows_once_an_update(make):
    model = make(**SMALL, ema_momentum=0.9)
    before = model.teacher.encoder.encoder.layer_norm.bias.clone()
    with torch.no_grad():
        model.encoder.encoder.layer_norm.bias.add_(1.0)
    for _ in range(2):
        model.set_num_updates(1)
    assert torch.allclose(model.teacher.encoder.encoder.layer_norm.bias, before + 0.1)


@both
def test_gradients_reach_all_but_what_labels_are_made_of(make, ecg_batch, options):
    model = make(**options).train()
    model(ecg_batch(2)).logits.square().sum().backward()
    without = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is None}
    assert without <= {"teacher"}


@pytest.fixture
def first(make, tiny, tmp_path):
    """A model, and a checkpoint of it."""
    model = make(**OFFLINE)
    with torch.no_grad():
        model.encoder.encoder.layer_norm.weight.mul_(2)
    cfg = {"model": {"_name": "ecg_hubert", **tiny, **SMALL}, "task": {"data": "x"}}
    torch.save({"model": model.state_dict(), "cfg": cfg}, tmp_path / "first.pt")
    return model, str(tmp_path / "first.pt")


def test_the_next_iteration_tells_the_clusters_of_the_last_ones_layer(make, first, ecg_batch, tmp_path):
    model, path = first
    clusters = write_clusters(tmp_path / "next.npz", k=9, dim=16, source=path, layer=1)
    second = make(**{**SMALL, "clusters": clusters, "model_path": path}).train()
    assert second.cluster_vectors.shape == (9, 8)
    encoder = second.encoder.state_dict()
    assert all(torch.equal(encoder[key], value) for key, value in model.encoder.state_dict().items())
    assert not second.label_encoder.training
    with torch.no_grad():
        second.encoder.encoder.layer_norm.weight.zero_()  # training goes on, labels stay
    found = second(ecg_batch(2))
    with torch.no_grad():
        expected = second.clusters(model.encoder(ecg_batch(2), layer=1).x)
    assert torch.equal(found.labels, expected)
    found.logits.sum().backward()
    assert all(p.grad is None for p in second.label_encoder.parameters())


def test_fine_tuning_takes_the_encoder_alone(make, first, tiny, ecg_batch, tmp_path, caplog):
    _, path = first
    clusters = write_clusters(tmp_path / "next.npz", dim=16, source=path, layer=1)
    for options in ({**SMALL, "clusters": clusters}, SMALL):
        model = make(**options)
        cfg = {"model": {"_name": "ecg_hubert", **tiny, **options}, "task": {"data": "x"}}
        torch.save({"model": model.state_dict(), "cfg": cfg}, tmp_path / "model.pt")
        assert load_checkpoint(tmp_path / "model.pt").kind == "pretraining"
        with caplog.at_level(logging.INFO):
            tuned = build_encoder(
                FinetuningConfig(**tiny, num_labels=3, model_path=str(tmp_path / "model.pt"))
            )
        assert torch.equal(tuned.eval()(ecg_batch(2)).x, model.encoder(ecg_batch(2)).x)
        assert "missing: none" in caplog.text


def test_clusters_of_frames_of_another_length_are_refused(make, tmp_path):
    path = write_clusters(tmp_path / "c.npz", stride=32)
    with pytest.raises(
        ConfigError, match=r"32 samples apart, but the encoder's are 16; .* clusters --stride 16"
    ):
        make(clusters=path)


OF_LEADS = {
    "frontend": "lead_patch",
    "patch_samples": 16,
    "lead_encoding": "tokens",
    "position": "sincos",
    "layer_norm_first": True,
}


def test_clusters_of_all_leads_are_not_those_of_one(make, ecg_batch):
    with pytest.raises(
        ConfigError, match=r"has clusters of frames of all leads, but those of model\.frontend=lead_patch"
    ):
        make(**OFFLINE, **OF_LEADS)
    found = make(**SMALL, **OF_LEADS)(ecg_batch(2))  # those that follow a teacher are of its tokens
    assert found.labels.shape == found.logits.shape == (2, 12 * 20, 6)


def test_clusters_that_are_not_there_are_refused(make, tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.npz: no such file of clusters"):
        make(clusters=str(tmp_path / "none.npz"))
    path = write_clusters(tmp_path / "c.npz", dim=16, source=str(tmp_path / "gone.pt"), layer=1)
    with pytest.raises(CheckpointError, match=r"gone\.pt"):
        make(clusters=path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_clusters": 1}, r"model\.num_clusters must be"),
        (
            {"mask_prob": 0.0, "mask_channel_prob": 0.0},
            r"model\.apply_mask is true, but model\.mask_prob and model\.mask_channel_prob are 0",
        ),
        ({"logit_temp": 0.0}, r"model\.logit_temp must be"),
        ({"cluster_momentum": 1.5}, r"model\.cluster_momentum must be"),
    ],
)
def test_options_that_make_no_clusters_are_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)
