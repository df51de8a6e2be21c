"""Registered criterions, one a file."""

from fairseq_signals.criterions import (  # noqa: F401
    arcface,
    binary_cross_entropy_with_logits,
    cmsc,
    ecg_wav2vec2,
    wav2vec2_with_cmsc,
)
