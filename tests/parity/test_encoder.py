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
def test_front_end_gives_the_authors_latent_frames(encoders, close):
    for name, theirs, encoder in encoders:
        latents = encoder.latent_frames(theirs["source"])
        close(f"{name}.conv_features", latents.transpose(1, 2), theirs["conv_features"])
        normed = encoder.layer_norm(latents)
        close(f"{name}.layer_norm_out", normed, theirs["layer_norm_out"])
        projected = encoder.project(normed)
        if "post_extract_proj_out" in theirs:
            close(f"{name}.post_extract_proj_out", projected, theirs["post_extract_proj_out"])
        close(f"{name}.conv_pos_out", encoder.conv_pos(projected), theirs["conv_pos_out"])


def after_each_layer(outputs: list, module, args, out) -> None:
    outputs.append(out)


@torch.no_grad()
def test_every_transformer_layer_gives_the_authors_frames(encoders, close):
    for name, theirs, encoder in encoders:
        saved = [key for key in theirs if re.fullmatch(r"encoder_layer\d+_out", key)]
        assert len(saved) == len(encoder.encoder.layers)
        outputs: list = []
        keep = partial(after_each_layer, outputs)
        hooks = [layer.register_forward_hook(keep) for layer in encoder.encoder.layers]
        out = encoder(theirs["source"])
        for i, (x, hook) in enumerate(zip(outputs, hooks)):
            hook.remove()
            close(f"{name}.encoder_layer{i}_out", x, theirs[f"encoder_layer{i}_out"])
        close(f"{name}.encoder_out", out.x, theirs["encoder_out"])
        close(f"{name}.aggregated", mean_over_frames(out.x), theirs["aggregated"])


@torch.no_grad()
def test_padding_gives_the_authors_frames_and_means(encoders, close, padding_beyond):
    for name, theirs, encoder in encoders:
        source = theirs["padded_source"]
        out = encoder(source, padding_beyond(theirs["padding_lengths"], source.shape[2]))
        assert torch.equal(out.padding_mask, theirs["padded_frame_mask"])
        valid = ~out.padding_mask
        close(f"{name}.padded_encoder_out (valid)", out.x[valid], theirs["padded_encoder_out"][valid])
        close(f"{name}.padded_encoder_out (all)", out.x, theirs["padded_encoder_out"])
        close(
            f"{name}.padded_aggregated",
            mean_over_frames(out.x, out.padding_mask),
            theirs["padded_aggregated"],
        )


@torch.no_grad()
def test_span_masked_input_gives_the_authors_frames(encoders, close):
    for name, theirs, encoder in encoders:
        if "pt_net_features" in theirs:
            close(f"{name}.mask_emb", encoder.mask_emb, theirs["mask_emb"])
            out = encoder(theirs["source"], mask=True, spans=theirs["mask_indices"])
            close(f"{name}.pt_net_features", out.x, theirs["pt_net_features"])
            close(f"{name}.pt_features_pen", out.feature_penalty, theirs["pt_features_pen"])
