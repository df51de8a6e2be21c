"""How many tokens are kept and masked, by formulas, and counts of published models."""

from __future__ import annotations

import math

import pytest
import torch

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.token_mask import (
    TokenMasking,
    keep_outside_blocks,
    keep_random,
    multi_block,
    random_run,
)
from fairseq_signals.modules.tokens import is_kept


@pytest.mark.parametrize(("ratio", "kept"), [(0.05, 95), (0.5, 50), (0.75, 25)])
def test_random_tokens_of_a_hundred(ratio, kept):
    assert keep_random(2, 100, ratio).shape[1] == kept


@pytest.mark.parametrize(
    ("n", "share", "kept"),
    [(200, 0.15, 30), (200, 0.153, 31), (100, 0.2, 20), (100, 0.201, 21), (7, 0.01, 1)],
)
def test_of_blocks_the_number_that_is_kept_is_rounded_up(n, share, kept):
    assert TokenMasking("blocks", 1 - share, min_block=5).draw(3, 1, n).shape == (3, kept)


def test_a_hundred_tokens_have_two_masked_runs_on_average():
    masked = ~is_kept(keep_outside_blocks(400, 100, 20, 10), 100)
    runs = (masked[:, 1:] & ~masked[:, :-1]).sum(dim=1) + masked[:, 0]
    assert runs.float().mean().item() == pytest.approx(2.05, abs=0.15)


@pytest.mark.parametrize(("n", "expected"), [(10, 0.59), (20, 0.029)])
def test_leads_may_be_hidden_as_a_whole(n, expected):
    mean = 12 * math.comb(11 * n, 3 * n) / math.comb(12 * n, 3 * n)
    assert mean == pytest.approx(expected, rel=0.02)
    seen = is_kept(TokenMasking("token", 0.75).draw(3000, 12, n), 12 * n)
    hidden = (~seen.view(3000, 12, n).any(dim=2)).sum(dim=1).float()
    assert abs(hidden.mean().item() - mean) < 4 * (mean / 3000) ** 0.5


@pytest.mark.parametrize(("n", "share", "length"), [(300, 0.15, 45), (156, 0.175, 27), (3, 0.2, 1)])
def test_runs_are_as_long_as_their_share_rounded_down(n, share, length):
    covered = multi_block(n, 1, (share, share)).nonzero()[:, 0]
    assert len(covered) == length
    assert (covered.diff() == 1).all()
    first, stop = random_run(n, (share, share))
    assert stop - first == length
    assert 0 <= first <= stop <= n


def paper_sized(width: int, layers: int, heads: int, **options: object) -> ECGEncoder:
    cfg = {"frontend": "patch", "patch_samples": 25, "registers": 1, "layer_norm_first": True, **options}
    sizes = {"encoder_embed_dim": width, "encoder_layers": layers, "encoder_attention_heads": heads}
    with torch.device("meta"):
        return ECGEncoder(EncoderConfig(**sizes, encoder_ffn_embed_dim=4 * width, **cfg))


@pytest.mark.parametrize(("tokens", "expected"), [(200, 5_435_328), (100, 5_416_128)])
def test_weights_of_mtecg(tokens, expected):
    encoder = paper_sized(192, 12, 3, position="learned", max_positions=tokens)
    # the published one has a position of the class token, which its own vector makes superfluous
    assert sum(p.numel() for p in encoder.parameters()) == expected - 192


@pytest.mark.parametrize(
    ("width", "layers", "heads", "expected"), [(384, 8, 6, 14_277_888), (768, 12, 12, 85_185_024)]
)
def test_weights_of_ecg_jepa_but_for_its_biases(width, layers, heads, expected):
    encoder = paper_sized(width, layers, heads, position="sincos")
    found = sum(p.numel() for name, p in encoder.named_parameters() if not name.endswith("bias"))
    assert found == expected  # the published one is without any


def test_weights_of_ecg_cpc():
    stem = {"conv_feature_layers": "[(512, 3, 2)] + [(512, 1, 1)] * 3", "extractor_mode": "layer_norm"}
    options = {"frontend": "conv", "position": "none", "context": "s4", "s4_causal": True, "registers": 0}
    encoder = paper_sized(512, 4, 8, **options, **stem)
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(2.98e6, rel=0.02)
