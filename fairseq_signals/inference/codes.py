"""Segments as codes and back, with a trained `ecg_vq`; it needs no fairseq."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from fairseq_signals.checkpoints.input_format import InputFormat, input_format
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.ecg.normalize import NONE
from fairseq_signals.errors import CheckpointError, SignalError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.segment_codes import SegmentCodes

_OPTIONS = (
    "codes",
    "code_dim",
    "code_momentum",
    "code_patience",
    "decoder_dim",
    "decoder_layers",
    "decoder_conv",
)


class ECGCodes:
    """What makes codes of segments, one a frame, and segments of codes.

    Attributes:
        network: encoder, codebook and decoder, in evaluation mode.
        form: rate and unit of the segments.
    """

    def __init__(self, network: SegmentCodes, form: InputFormat):
        self.network, self.form = network.eval(), form

    @classmethod
    def load(cls, path: str | Path) -> ECGCodes:
        """That of a checkpoint, which is read, never executed.

        Raises:
            CheckpointError: it is of another model, damaged, or of one without millivolts.
        """
        checkpoint = load_checkpoint(path)
        cfg, form = checkpoint.model_cfg, input_format(checkpoint)
        if not set(_OPTIONS) <= set(cfg):
            raise CheckpointError(f"{path}: makes no codes of segments; give the checkpoint of an ecg_vq")
        if form.normalize != NONE or len(form.leads) != N_LEADS:
            raise CheckpointError(
                f"{path}: was trained with task.normalize={form.normalize} and {len(form.leads)} leads, but "
                f"segments come back from codes of all {N_LEADS} leads in mV alone; train it with {NONE}"
            )
        network = SegmentCodes(
            ECGEncoder(checkpoint.config), SimpleNamespace(**{n: cfg[n] for n in _OPTIONS})
        )
        missing = network.load_state_dict(checkpoint.state, strict=False).missing_keys
        if missing:
            raise CheckpointError(f"{path}: lacks parameters: {', '.join(missing[:5])}")
        return cls(network, form)

    @property
    def n_codes(self) -> int:
        """How many different codes there are."""
        return len(self.network.tokenizer.codebook.codes)

    def encode(self, segments_mv: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
        """The codes of segments, (N, F) int64.

        Args:
            segments_mv: (N, 12, T) at the model's rate; leads that they lack are zeros.
            present: (N, 12) bool, True where a segment has the lead; None: all are there.
        """
        source = torch.from_numpy(self.form.scaling.apply(np.asarray(segments_mv, np.float32)))
        there = None if present is None else torch.from_numpy(present)
        return np.asarray(self.network.codes(source, there).numpy())

    def decode(self, codes: Any) -> np.ndarray:
        """The segments of codes, (N, F) -> (N, 12, F x stride) float32 in mV.

        Raises:
            SignalError: a number is of no code.
        """
        numbers = np.asarray(codes, np.int64)
        if numbers.ndim != 2 or (numbers.size and not 0 <= numbers.min() <= numbers.max() < self.n_codes):
            raise SignalError(f"codes must be (N, F) numbers from 0 to {self.n_codes - 1}")
        with torch.no_grad():
            return np.asarray(self.network.redraw(torch.from_numpy(numbers)).numpy() / self.form.scale)
