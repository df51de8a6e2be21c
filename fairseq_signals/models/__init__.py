"""Registered models, one a file."""

from fairseq_signals.models import (  # noqa: F401
    arcface,
    ecg_beat_tokens,
    ecg_contrastive,
    ecg_cpc,
    ecg_distillation,
    ecg_hubert,
    ecg_jepa,
    ecg_mae,
    ecg_question_answering,
    ecg_text_clip,
    ecg_text_fusion,
    ecg_transformer,
    ecg_transformer_classifier,
    ecg_vq,
    ecg_wav2vec2,
    wav2vec2_cmsc,
)
