"""A tiny model of ECGs and texts, as training writes it."""

from __future__ import annotations

from pathlib import Path

import torch

from fairseq_signals.modules.ecg_text import ECGText
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.text_encoder import TextConfig
from fairseq_signals.text.tokenizer import Tokenizer, train_tokenizer
from tests.sizes import TINY

WORDS = ("sinus rhythm", "atrial fibrillation", "sinus bradycardia; normal ecg", "left bundle branch block")


def save_ecg_text(path: Path, task: dict | None = None, seed: int = 0, **options: object) -> Path:
    """A checkpoint whose tokenizer knows the words of `WORDS`; or one that takes vectors of texts."""
    tokenizer = train_tokenizer(WORDS, 60)
    told = {"joint_dim": 8, "text_layers": 1, **options}
    if "text_vector_dim" not in told:
        told["vocab_size"] = len(Tokenizer(tokenizer))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ECGText(ECGEncoder(EncoderConfig(**TINY)), TextConfig(**told))
    cfg = {"model": {"_name": "ecg_text_clip", **TINY, **told}, "task": task or {}, "common": {"seed": 4}}
    noted = {} if "text_vector_dim" in told else {"tokenizer": tokenizer}
    torch.save({"model": model.state_dict(), "cfg": cfg, "task_state": noted}, path)
    return path
