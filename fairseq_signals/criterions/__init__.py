"""Registered criterions, one a file."""

from fairseq_signals.criterions import (  # noqa: F401
    arcface,
    binary_cross_entropy_with_logits,
    clocs,
    cmsc,
    cocoa,
    cross_entropy_with_logits,
    dino,
    ecg_wav2vec2,
    regression,
    simclr,
    three_kg,
    ts2vec,
    wav2vec2_with_cmsc,
)
