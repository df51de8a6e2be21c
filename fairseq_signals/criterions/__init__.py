"""Registered criterions, one a file."""

from fairseq_signals.criterions import (  # noqa: F401
    arcface,
    binary_cross_entropy_with_logits,
    byol,
    clocs,
    cmsc,
    cocoa,
    cross_entropy_with_logits,
    dino,
    ecg_wav2vec2,
    latent_prediction,
    masked_reconstruction,
    moco_v3,
    regression,
    simclr,
    simdino,
    swav,
    three_kg,
    ts2vec,
    vicreg,
    wav2vec2_with_cmsc,
)
