"""Fine-tuned models compute the authors' logits and losses; where theirs pool padding, ours do not."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.arcface import arcface_loss
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier

pytestmark = pytest.mark.shared
RELATIVE = 1e-5


@pytest.fixture
def heads(parity_sets, fine_tuned):
    """`heads(kind)`: every fine-tuned set of this kind with our model holding its parameters."""

    def load(kind: str):
        for one in parity_sets(kind):
            checkpoint = fine_tuned(one)
            head = ECGClassifier if kind == "classification" else ECGIdentifier
            weight = checkpoint.state["proj.weight" if kind == "classification" else "kernel"]
            model = head(ECGEncoder(checkpoint.config), len(weight))
            model.load_state_dict(
                {key: value for key, value in checkpoint.state.items() if key in model.state_dict()}
            )
            yield one.name, one.arrays(), model.eval()

    return load


def margins(theirs: dict, prefix: str = "") -> dict:
    """Saved losses by (scale, margin): `loss_scale192_margin1.0` -> {(192.0, 1.0): its key}."""
    pattern = re.compile(rf"{prefix}loss_scale([\d.]+)_margin([\d.]+)")
    found = {key: pattern.fullmatch(key) for key in theirs}
    return {tuple(map(float, match.groups())): key for key, match in found.items() if match}


@torch.no_grad()
def test_classifier_gives_the_authors_logits_and_loss(heads, close_where_saved, padding_beyond):
    for name, theirs, model in heads("classification"):
        logits = model(theirs["source"])
        ours = {"encoder_out": model.encoder(theirs["source"]).x, "logits": logits}
        if "padded_source" in theirs:
            padding = padding_beyond(theirs["padding_lengths"], theirs["padded_source"].shape[2])
            ours["padded_logits"] = model(theirs["padded_source"], padding)
        close_where_saved(name, theirs, ours)
        if "labels" in theirs:
            loss = F.binary_cross_entropy_with_logits(logits, theirs["labels"], reduction="sum")
            close_where_saved(name, theirs, {"bce_loss_sum": loss}, RELATIVE)
        assert logits.numel() == int(theirs.get("sample_size", logits.numel()))


@torch.no_grad()
def test_identifier_gives_the_authors_embeddings_cosines_and_losses(heads, close, close_where_saved):
    for name, theirs, model in heads("identification"):
        embedding = model(theirs["source"])
        cosine = model.cosine_logits(embedding)
        ours = {"encoder_out": model.encoder(theirs["source"]).x, "embedding_normalized": embedding}
        close_where_saved(name, theirs, {**ours, "cosine_logits": cosine})
        for (scale, margin), key in margins(theirs).items():
            loss = arcface_loss(cosine, theirs["targets"], scale, margin)
            close(f"{name}.{key}", loss, theirs[key], RELATIVE)


@torch.no_grad()
def test_identifier_pools_valid_frames_only_unlike_the_authors(heads, close, padding_beyond):
    for name, theirs, model in heads("identification"):
        if "padded_source" not in theirs:
            continue
        source = theirs["padded_source"]
        padding = padding_beyond(theirs["padding_lengths"], source.shape[2])
        embedding = model(source, padding)
        out = model.encoder(source, padding)
        for row, (x, padded) in enumerate(zip(out.x, out.padding_mask)):
            alone = F.normalize(x[~padded].mean(dim=0), dim=0)
            close(f"{name}.mean over valid frames, row {row}", embedding[row], alone)
        key = "padded_embedding_normalized"
        if key in theirs:
            whole = ~out.padding_mask.any(dim=1)
            close(f"{name}.{key} (unpadded rows)", embedding[whole], theirs[key][whole])
            over_all = F.normalize(out.x.mean(dim=1), dim=1)
            close(f"{name}.{key} (mean over padding too)", over_all, theirs[key])
