"""Registered tasks, one a file."""

from fairseq_signals.tasks import ecg_classification, ecg_identification, ecg_pretraining  # noqa: F401
