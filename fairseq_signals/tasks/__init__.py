"""Registered tasks, one a file."""

import warnings

from fairseq_signals.tasks import (  # noqa: F401
    ecg_classification,
    ecg_identification,
    ecg_pretraining,
    ecg_question_answering,
    ecg_regression,
    ecg_text_pretraining,
)

# what stock fairseq and PyTorch say in every training, and its user can do nothing about
warnings.filterwarnings("ignore", message=r"'pin_memory' argument is set as true but no accelerator")
warnings.filterwarnings(
    "ignore", message=r"`torch\.cuda\.amp\.(autocast|GradScaler)\(args", category=FutureWarning
)
