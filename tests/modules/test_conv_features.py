"""The convolutional front end and the text that describes it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.conv_features import (
    ConvFeatureExtractor,
    conv_output_length,
    parse_conv_layers,
)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("[(256, 2, 2)] * 4", [(256, 2, 2)] * 4),
        ("[(10,3,2)] + [(5,2,2)]*2", [(10, 3, 2), (5, 2, 2), (5, 2, 2)]),
        ("[(9,10,5)] + [(9,3,2)] * 4 + [(9,2,2)] * 2", [(9, 10, 5)] + [(9, 3, 2)] * 4 + [(9, 2, 2)] * 2),
        ("((8, 2, 1), (8, 2, 1))", [(8, 2, 1), (8, 2, 1)]),
        ([[4, 3, 2]], [(4, 3, 2)]),
    ],
)  # fmt: skip
def test_layers_are_read_from_the_usual_short_form(text, layers):
    assert parse_conv_layers(text) == layers


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "[(__import__('os').system('true'), 2, 2)]",
        "[(x, 2, 2) for x in (1, 2)]",
        "[(256, 2, 2)] ** 2",
        "[(256, 2, 2)] * -1",
        "[(1, 1, 1)] * 64 * 64 * 64 * 64 * 64",
        "[(256, 2)]",
        "[(256, 2, 0)]",
        "[(256.5, 2, 2)]",
        "[('256', 2, 2)]",
        "[]",
        "256",
        "[(256, 2, 2)",
        "(" * 10000,
        None,
    ],
)
def test_anything_but_literals_sums_and_products_is_refused(text):
    with pytest.raises(ConfigError, match=r"model\.conv_feature_layers must"):
        parse_conv_layers(text)


def test_2500_samples_give_156_frames():
    layers = parse_conv_layers("[(4, 2, 2)] * 4")
    assert conv_output_length(2500, layers) == 156
    assert ConvFeatureExtractor(12, layers)(torch.zeros(1, 12, 2500)).shape == (1, 4, 156)


@pytest.mark.parametrize("text", ["[(4, 2, 2)] * 3", "[(4, 5, 3)] + [(4, 3, 1)]", "[(4, 10, 5)]"])
@pytest.mark.parametrize("n_samples", [57, 100, 101])
def test_number_of_frames_is_that_of_the_convolutions(text, n_samples):
    layers = parse_conv_layers(text)
    frames = ConvFeatureExtractor(2, layers)(torch.zeros(1, 2, n_samples)).shape[2]
    assert conv_output_length(n_samples, layers) == frames
    assert conv_output_length(torch.tensor([n_samples]), layers).tolist() == [frames]


def test_default_mode_normalises_each_channel_over_time_in_the_first_block_only():
    extractor = ConvFeatureExtractor(3, [(6, 2, 2), (4, 2, 2)])
    first, second = extractor.conv_layers
    x = 5 + 3 * torch.randn(2, 3, 64)
    normed = first[2](first[0](x))
    assert torch.allclose(normed.mean(dim=2), torch.zeros(2, 6), atol=1e-5)
    assert torch.allclose(normed.var(dim=2, unbiased=False), torch.ones(2, 6), atol=1e-3)
    expected = F.gelu(second[0](F.gelu(normed)))
    assert torch.allclose(extractor(x), expected, atol=1e-6)


def test_layer_norm_mode_normalises_each_frame_over_channels_in_every_block():
    extractor = ConvFeatureExtractor(3, [(6, 2, 2), (4, 2, 2)], mode="layer_norm", bias=True)
    x = 5 + 3 * torch.randn(2, 3, 64)
    expected = x
    for block in extractor.conv_layers:
        expected = block[0](expected)
        mean = expected.mean(dim=1, keepdim=True)
        std = (expected.var(dim=1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        expected = F.gelu((expected - mean) / std)
    assert torch.allclose(extractor(x), expected, atol=1e-5)


def test_unknown_mode_is_refused():
    with pytest.raises(
        ConfigError, match="extractor_mode must be one of default, layer_norm, but is 'batch'"
    ):
        ConvFeatureExtractor(3, [(6, 2, 2)], mode="batch")


@pytest.mark.parametrize("mode", ["default", "layer_norm"])
def test_norms_work_in_float32_whatever_the_precision_of_the_input(mode):
    extractor = ConvFeatureExtractor(3, [(6, 2, 2)], mode=mode).double()
    assert extractor(torch.randn(1, 3, 16, dtype=torch.float64)).dtype == torch.float64
