"""An ONNX file as a function of segments: one that `export` wrote, or anybody's.

Those of `ECGModel.export` say all of it themselves. Of any other file it is expected: one float input
(B, 12, T) in mV, leads in the order I II III aVR aVL aVF V1-V6, absent leads zeros, whatever scaling it wants
being in it; B free or 1, T free or fixed; an output `embedding`, or else its first of two axes, (B, D); and
its sampling rate from the user. For anything else there are objects with `embed`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fairseq_signals.checkpoints.input_format import OVERLAP
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.resample import POLYPHASE
from fairseq_signals.errors import CheckpointError, ConfigError, optional_library
from fairseq_signals.inference.export import DESCRIPTION

_EXPECTED = (
    "expected is one input (batch, 12 leads, samples) of floats in mV and an output (batch, features); wrap "
    "another model in a Python object with embed(x, fs, leads)"
)


class OnnxProgram:
    """An ONNX file that is run.

    Args:
        path: the file.
        fs: its sampling rate in Hz, where it does not say it.

    Attributes:
        fs, leads, resampler, last_segment: as of `InputFormat`.
        n_samples: of the segments it takes; None: of any number.
        has_frames: it gives frames, too.

    Raises:
        MissingLibraryError: onnxruntime is not installed.
        CheckpointError: no such file, no ONNX file, or not as it is expected.
        ConfigError: nobody says its sampling rate.
    """

    def __init__(self, path: Path, fs: float | None = None):
        onnxruntime: Any = optional_library("onnxruntime", "ONNX", "export")
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of many kinds, none of them public
            raise CheckpointError(f"{path}: not an ONNX file that can be run ({error})") from error
        self.path = path
        inputs = {each.name: each for each in self.session.get_inputs()}
        told = json.loads(self.session.get_modelmeta().custom_metadata_map.get(DESCRIPTION, "{}"))
        self.extra = [name for name in ("lead_present", "mean", "deviation") if told and name in inputs]
        signals = [each for name, each in inputs.items() if name not in self.extra]
        if len(signals) != 1 or len(signals[0].shape) != 3:
            shapes = ", ".join(f"{name} {tuple(each.shape)}" for name, each in inputs.items())
            raise CheckpointError(f"{path}: has the inputs {shapes}; {_EXPECTED}")
        (self.signal,) = signals
        n_batch, n_leads, n_samples = (n if isinstance(n, int) else None for n in self.signal.shape)
        self.n_samples, self.one_by_one = n_samples, n_batch == 1
        self.leads = tuple(LEADS.index(lead) for lead in told.get("leads", LEADS))
        if n_leads not in (None, len(self.leads)) or n_batch not in (None, 1):
            raise CheckpointError(f"{path}: its input is {tuple(self.signal.shape)}; {_EXPECTED}")
        if told.get("fs", fs) is None:
            raise ConfigError(f"{path}: does not say its sampling rate; tell it (fs, in Hz)")
        self.fs = float(told.get("fs", fs))
        self.resampler = told.get("resampler", POLYPHASE)
        self.last_segment = told.get("last_segment", OVERLAP)
        outputs = {each.name: len(each.shape) for each in self.session.get_outputs()}
        vectors = [name for name, n_axes in outputs.items() if n_axes == 2]
        if not vectors:
            shown = ", ".join(f"{name} of {n_axes} axes" for name, n_axes in outputs.items())
            raise CheckpointError(f"{path}: has the outputs {shown}; {_EXPECTED}")
        self.vector = "embedding" if "embedding" in vectors else vectors[0]
        self.has_frames = outputs.get("frames") == 3

    def embedding(self, segments: np.ndarray, present: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """The embeddings (B, D) of segments.

        Args:
            segments: (B, L, T) float32.
            present: (B, L) bool, which leads there are.
            whole: (B, L, samples), the recordings that they are of.
        """
        return self._run(self.vector, segments, present, whole)

    def frames(self, segments: np.ndarray, present: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """The frames (B, F, D) of segments; arguments as of `embedding`."""
        return self._run("frames", segments, present, whole)

    def _run(self, output: str, segments: np.ndarray, present: np.ndarray, whole: np.ndarray) -> np.ndarray:
        known = {"lead_present": present}
        if "mean" in self.extra:
            exact = whole.astype(np.float64)
            moments = {"mean": exact.mean(axis=-1), "deviation": exact.std(axis=-1)}
            known.update({name: values.astype(np.float32) for name, values in moments.items()})
        signal = segments.astype(np.float32, copy=False)
        given = {self.signal.name: signal, **{name: known[name] for name in self.extra}}
        if not self.one_by_one:
            return self._outputs(output, given)
        rows = ({name: value[i : i + 1] for name, value in given.items()} for i in range(len(segments)))
        return np.concatenate([self._outputs(output, row) for row in rows])

    def _outputs(self, output: str, given: dict[str, np.ndarray]) -> np.ndarray:
        (found,) = self.session.run([output], given)
        return np.asarray(found)
