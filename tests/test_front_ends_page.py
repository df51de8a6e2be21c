"""docs/front-ends.md: its options exist, its front end can be registered and learns."""

from __future__ import annotations

import re
import runpy
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from fairseq_signals.modules import front_end
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_checks import count_weights
from fairseq_signals.modules.encoder_config import EncoderConfig
from tests.sizes import TINY

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "front-ends.md").read_text(encoding="utf-8")


@pytest.fixture
def registered(monkeypatch, tmp_path):
    """The page's own front end, for as long as the test runs."""
    monkeypatch.setattr(front_end, "_FRONT_ENDS", dict(front_end._FRONT_ENDS))
    module = tmp_path / "my_ecg.py"
    module.write_text(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL).group(1), encoding="utf-8")
    runpy.run_path(str(module))


def test_options_in_the_table_are_those_of_the_encoder():
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert named >= {"frontend", "position", "input_norm", "context"}
    assert named <= {option.name for option in fields(EncoderConfig)}


def test_every_front_end_of_the_package_is_in_the_table():
    for name in front_end._FRONT_ENDS:
        assert f"| `{name}` |" in PAGE


def test_the_front_end_of_the_page_makes_frames_that_learn(registered):
    cfg = EncoderConfig(**{**TINY, "frontend": "spectrum", "patch_samples": 25, "position": "sincos"})
    encoder = ECGEncoder(cfg)
    out = encoder(torch.randn(2, 12, 250))
    assert out.x.shape == (2, 10, cfg.encoder_embed_dim)
    out.x.square().sum().backward()
    assert encoder.feature_extractor.projection.weight.grad.abs().sum() > 0
    matrices = sum(p.numel() for p in encoder.parameters() if p.dim() > 1)
    assert count_weights(cfg) == matrices
