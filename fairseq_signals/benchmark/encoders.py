"""What can be a row of the benchmark: a model of ours, an ONNX file, any object with `embed(x, fs, leads)`.

B recordings, L leads, T samples, F frames, D features.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fairseq_signals.benchmark.onnx_program import OnnxProgram
from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.resample import POLYPHASE, resample
from fairseq_signals.errors import ConfigError, LeadError, did_you_mean
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.inference.windows import cut, weighted_mean
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.heads import PooledEncoder


class Encoder(Protocol):
    """What makes vectors of ECGs.

    Attributes:
        form: how it wants its segments; the rate is that of the store they are read from, see `features`.
        whole: it is given what a manifest lists of a record in one piece; else segment by segment.
        device: where its input must be.
        n_parameters: how many numbers it has learnt; None where that is not known.
    """

    form: InputFormat
    whole: bool
    device: str
    n_parameters: int | None

    def features(self, source: Tensor, lead_present: Tensor, fs: float) -> Tensor:
        """(B, L, T) in mV at `fs` Hz, absent leads zeros, and which are present (B, L) -> (B, D)."""
        ...

    def frames(self, source: Tensor, lead_present: Tensor, fs: float) -> Tensor:
        """The same -> (B, F, D), of segments."""
        ...

    def without_frames(self, n_samples: int, fs: float) -> str:
        """Why it gives no frames of segments of T samples; empty where it does."""
        ...


class ModelEncoder:
    """A model of ours: its representation, or statistics over the frames of chosen layers.

    Args:
        model: pre-trained or fine-tuned; of the latter what its head reads.
        wanted: in place of its own representation, statistics of layers such as "mean:-1" or "std:2", see
            `FrameStatistics`; -1 is the last layer.

    Raises:
        ConfigError: there is no such statistic or layer.
    """

    whole = False

    def __init__(self, model: ECGModel, wanted: Sequence[str] = ()):
        self.model, self.network, self.device = model, model.network, str(model.device)
        if wanted:
            encoder = model.network.encoder
            last = len(encoder.encoder.layers)
            pooling = [re.sub(":-1$", f":{last}", text) for text in wanted]
            self.network = PooledEncoder(encoder, pooling=pooling).to(model.device).eval()
        self.form = replace(model.form, max_samples=None)  # which is of the model's rate
        self.n_parameters: int | None = sum(each.numel() for each in self.network.encoder.parameters())

    def features(self, source: Tensor, lead_present: Tensor, fs: float) -> Tensor:
        return self.network.pooled(self._segments(source, fs), lead_present=lead_present)

    def frames(self, source: Tensor, lead_present: Tensor, fs: float) -> Tensor:
        """Those that the encoder gives, of its last layer."""
        source, encoder = self._segments(source, fs), self.network.encoder
        return encoder.in_time(encoder(source, lead_present=lead_present).x, source, lead_present)

    def without_frames(self, n_samples: int, fs: float) -> str:
        return ""

    def _segments(self, source: Tensor, fs: float) -> Tensor:
        form = self.model.form
        return at_rate(source, fs, form.fs, form.resampler)[..., : form.max_samples]


class OnnxEncoder:
    """An ONNX file, which is given windows of the length it takes; their embeddings are averaged.

    A recording that is shorter than a window goes on with zeros. See `onnx_program.py` for what is expected
    of the file.
    """

    whole = True
    device = "cpu"
    n_parameters: int | None = None

    def __init__(self, path: Path, fs: float | None = None):
        self.program = OnnxProgram(path, fs)
        self.form = InputFormat(leads=self.program.leads)

    def features(self, source: Tensor, lead_present: Tensor, fs: float) -> Tensor:
        x = at_rate(source, fs, self.program.fs, self.program.resampler).numpy()
        size, present = self.program.n_samples or x.shape[-1], lead_present.numpy()
        windows = cut(x.shape[-1], size, self.program.last_segment)
        found = [self.program.embedding(_filled(x[..., w.start : w.stop], size), present, x) for w in windows]
        return torch.from_numpy(weighted_mean(np.stack(found), windows))

    def frames(self, source: Tensor, lead_present: Tensor, fs: float) -> Tensor:
        x = at_rate(source, fs, self.program.fs, self.program.resampler).numpy()
        return torch.from_numpy(self.program.frames(x, lead_present.numpy(), x))

    def without_frames(self, n_samples: int, fs: float) -> str:
        if not self.program.has_frames:
            return f"{self.program.path} has no output `frames` (B, frames, features)"
        given, size = round(n_samples * self.program.fs / fs), self.program.n_samples
        if size not in (None, given):
            return f"{self.program.path} takes {size} samples, but segments have {given} at its rate"
        return ""


class ObjectEncoder:
    """Anybody's encoder: an object with `embed(x, fs, leads)`.

    Args:
        made: the object. `embed` is given the leads that there are, (leads, samples) float32 in mV, the
            sampling rate in Hz and their names, and gives (D,) numbers; if it has a parameter `frames`, with
            `frames=True` (F, D).
        name: what messages call it.
        fs: to which recordings are resampled for it, Hz; None: as they are.

    Raises:
        ConfigError: there is no such method.
    """

    whole = True
    device = "cpu"
    n_parameters: int | None = None
    form = InputFormat()

    def __init__(self, made: Any, name: str, fs: float | None = None):
        if not callable(getattr(made, "embed", None)):
            raise ConfigError(f"{name}: is {type(made).__name__}, which has no method embed(x, fs, leads)")
        self.made, self.name, self.fs = made, name, fs
        self.dim: int | None = None

    def features(self, source: Tensor, lead_present: Tensor, fs: float) -> Tensor:
        return self._each(source, lead_present, fs, 1)

    def frames(self, source: Tensor, lead_present: Tensor, fs: float) -> Tensor:
        return self._each(source, lead_present, fs, 2, frames=True)

    def without_frames(self, n_samples: int, fs: float) -> str:
        takes = "frames" in inspect.signature(self.made.embed).parameters
        return "" if takes else f"{self.name}: embed has no parameter `frames`"

    def _each(self, source: Tensor, present: Tensor, fs: float, n_axes: int, **options: bool) -> Tensor:
        wanted = self.fs or fs
        x = at_rate(source, fs, wanted, POLYPHASE)
        return torch.stack(
            [self._given(one, there, wanted, n_axes, **options) for one, there in zip(x, present)]
        )

    def _given(self, source: Tensor, present: Tensor, fs: float, n_axes: int, **options: bool) -> Tensor:
        leads = [lead for lead, is_there in zip(LEADS, present.tolist()) if is_there]
        if not leads:
            raise LeadError(f"{self.name}: a recording has none of the leads")
        found = self.made.embed(source[present].numpy(), fs, tuple(leads), **options)
        value = np.asarray(found.detach().cpu() if isinstance(found, Tensor) else found)
        if value.ndim != n_axes or value.dtype.kind not in "fiub" or not value.size:
            wanted = "(D,) numbers" if n_axes == 1 else "(F, D) numbers with frames=True"
            raise ConfigError(
                f"{self.name}: embed must give {wanted}, but gave {value.dtype} {value.shape} for "
                f"{tuple(source[present].shape)} at {fs:g} Hz, leads {', '.join(leads)}"
            )
        if n_axes == 1 and self.dim not in (None, len(value)):
            raise ConfigError(
                f"{self.name}: embed must give as many numbers for every recording and lead set, but gave "
                f"{self.dim}, then {len(value)} for leads {', '.join(leads)}"
            )
        self.dim = len(value) if n_axes == 1 else self.dim
        return torch.from_numpy(value.astype(np.float32))


def load_encoder(
    where: str | Path,
    features: Sequence[str] = (),
    fs: float | None = None,
    device: str = "cpu",
    random_init: int | None = None,
) -> Encoder:
    """The encoder at a place.

    Args:
        where: a checkpoint or saved folder, an ONNX file (.onnx), or `module:attribute`, an object with
            `embed`, or a class of such objects that takes no arguments.
        features: of a model of ours, see `ModelEncoder`.
        fs: sampling rate, Hz, of an ONNX file that does not say it, or to which recordings are resampled for
            an object.
        device: of a model of ours.
        random_init: the same encoder with random weights of this seed; of a model of ours.

    Raises:
        ConfigError: there is no such thing, or it is not as it must be.
        CheckpointError: a file that is not a model.
    """
    path, text = Path(where), str(where)
    if path.suffix != ".onnx" and (path.exists() or ":" not in text):
        model = ECGModel.load(path, device=device)
        return ModelEncoder(model if random_init is None else random_like(model, random_init), features)
    if random_init is not None:
        raise ConfigError(f"{text}: random weights can be had of a checkpoint or a saved folder alone")
    if path.suffix == ".onnx":
        return OnnxEncoder(path, fs)
    return ObjectEncoder(_made(text), text, fs)


def random_like(model: ECGModel, seed: int) -> ECGModel:
    """A model of the same shape whose weights are random: what the architecture alone is worth."""
    torch.manual_seed(seed)
    encoder = ECGEncoder(replace(model.network.encoder.cfg, apply_mask=False))
    return ECGModel(PooledEncoder(encoder).to(model.device), "pretraining", model.form)


def at_rate(source: Tensor, fs: float, wanted: float, how: str) -> Tensor:
    """Signals (..., T) at another sampling rate, float32."""
    if fs == wanted:
        return source
    changed = resample(source.cpu().numpy(), fs, wanted, how)
    return torch.from_numpy(changed.astype(np.float32)).to(source.device)


def _filled(x: np.ndarray, n_samples: int) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, 0), (0, n_samples - x.shape[-1])))


def _made(text: str) -> Any:
    """The object of `module:attribute`; modules of the working folder are found, too."""
    name, _, attribute = text.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # of what the module imports
        raise ConfigError(
            f"{text}: neither a file or folder, nor module:attribute: there is no module {error.name} in "
            f"{os.getcwd()} or among what is installed"
        ) from error
    found = getattr(module, attribute, None)
    if found is None:
        names = [each for each in vars(module) if not each.startswith("_")]
        raise ConfigError(f"{text}: {name} has no {attribute}{did_you_mean(attribute, names)}")
    if not isinstance(found, type):
        return found
    needed = [
        each.name
        for each in inspect.signature(found).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if needed:
        raise ConfigError(
            f"{text}: a class must be made without arguments, but this takes {', '.join(needed)}; give an "
            "instance that your module makes"
        )
    return found()
