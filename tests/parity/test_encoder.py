"""The shared encoder computes what the authors' does, layer by layer."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.pooling import mean_over_frames

pytestmark = pytest.mark.shared


@pytest.fixture
def encoders(parity_sets):
    """Every pre-trained set with our encoder holding its parameters."""

    def load(one) -> ECGEncoder:
        checkpoint = one.checkpoint()
        encoder = ECGEncoder(checkpoint.config)
        encoder.load_state_dict(checkpoint.encoder_state)
        return encoder.eval()

    return [(one.name, one.arrays(), load(one)) for one in parity_sets("pretraining")]


@torch.no_grad()
def test_front_end_gives_the_authors_latent_frames(encoders, close_where_saved):
    for name, theirs, encoder in encoders:
        latents = encoder.latent_frames(theirs["source"])
        normed = encoder.layer_norm(latents)
        projected = encoder.project(normed)
        ours = {
            "conv_features": latents.transpose(1, 2),
            "layer_norm_out": normed,
            "post_extract_proj_out": projected,
            "conv_pos_out": encoder.conv_pos(projected),
        }
        close_where_saved(name, theirs, ours)


def after_each_layer(outputs: list, module, args, out) -> None:
    outputs.append(out)


@torch.no_grad()
def test_every_saved_transformer_layer_gives_the_authors_frames(encoders, close_where_saved):
    for name, theirs, encoder in encoders:
        outputs: list = []
        keep = partial(after_each_layer, outputs)
        hooks = [layer.register_forward_hook(keep) for layer in encoder.encoder.layers]
        out = encoder(theirs["source"])
        for hook in hooks:
            hook.remove()
        ours = {f"encoder_layer{i}_out": x for i, x in enumerate(outputs)}
        assert {key for key in theirs if re.fullmatch(r"encoder_layer\d+_out", key)} <= set(ours)
        ours.update(encoder_out=out.x, aggregated=mean_over_frames(out.x))
        close_where_saved(name, theirs, ours)


@torch.no_grad()
def test_padding_gives_the_authors_frames_and_means(encoders, close_where_saved, padding_beyond):
    for name, theirs, encoder in encoders:
        if "padded_source" in theirs:
            source = theirs["padded_source"]
            out = encoder(source, padding_beyond(theirs["padding_lengths"], source.shape[2]))
            assert torch.equal(out.padding_mask, theirs.get("padded_frame_mask", out.padding_mask))
            pooled = mean_over_frames(out.x, out.padding_mask)
            close_where_saved(name, theirs, {"padded_encoder_out": out.x, "padded_aggregated": pooled})


@torch.no_grad()
def test_span_masked_input_gives_the_authors_frames(encoders, close_where_saved):
    for name, theirs, encoder in encoders:
        if "mask_indices" in theirs:
            out = encoder(theirs["source"], mask=True, spans=theirs["mask_indices"])
            ours = {"pt_net_features": out.x, "pt_features_pen": out.feature_penalty}
            close_where_saved(name, theirs, {**ours, "mask_emb": encoder.mask_emb})
