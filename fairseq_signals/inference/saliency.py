"""What a classifier's output for one class depends on: input gradients and attention, over the recording."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fairseq_signals.checkpoints.input_format import MAX
from fairseq_signals.ecg.leads import LEADS, N_LEADS
from fairseq_signals.errors import ConfigError, LabelError, SignalError, did_you_mean
from fairseq_signals.inference.base import LoadedModel
from fairseq_signals.inference.classes import Classes
from fairseq_signals.inference.pipeline import begin
from fairseq_signals.inference.recording import Recording
from fairseq_signals.inference.windows import weighted_mean
from fairseq_signals.modules.attention_maps import attention_maps, rollout
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.heads import ECGClassifier

ATTENTIONS = ("rollout", "last")


@dataclass(frozen=True, eq=False)
class Saliency:
    """Saliency of one class over a stretch of a recording, T samples at the model's sampling rate.

    Attributes:
        label: the class.
        probability: of the class in the stretch; of a whole recording, as `ECGModel.predict` gives it.
        threshold: probability above which the class counts as present.
        gradient: (12, T) absolute gradient of the logit with respect to each sample; 0 in leads that the
            recording or the model lacks.
        attention: (T,) how much the pooled output attends to each sample's frame; sums to 1 over a segment.
        segment_starts_s: where segments begin, seconds from the beginning of the stretch.
        start_s: where the stretch begins in the recording, seconds.
    """

    label: str
    probability: float
    threshold: float
    gradient: np.ndarray
    attention: np.ndarray
    segment_starts_s: tuple[float, ...]
    start_s: float = 0.0


def saliency(
    model: LoadedModel,
    recording: Recording,
    label: str,
    attention: str = "rollout",
    start_s: float = 0.0,
    seconds: float = math.inf,
) -> Saliency:
    """Where a classifier looked for one class.

    Segments are taken one at a time, as in `predict`; where the last overlaps the one before, it counts for
    its new samples. Of a model that scales its segments, the gradient is that of the scaled samples. The
    output is the mean over frames: the attention to a frame is the mean over the frames that attend.

    Args:
        label: the class: its label, name, or a code.
        attention: "rollout", through all layers (see `rollout`), or "last", the last layer's weights, mean
            over heads.
        start_s, seconds: the stretch that is looked at: all segments that reach into it.

    Raises:
        CheckpointError: the model is no classifier.
        SignalError, LeadError: the recording is too short, ends before the stretch, or has nothing that the
            model takes.
        LabelError: there is no such class.
    """
    if attention not in ATTENTIONS:
        raise ConfigError(f"attention must be one of {', '.join(ATTENTIONS)}, but is {attention!r}")
    classes, network, form = model._require_classes(), model.network, model.form
    assert isinstance(network, ECGClassifier)
    index = find_class(classes, label)
    begun, signal = begin(recording, form, network)
    first, end = start_s * form.fs, (start_s + seconds) * form.fs
    windows = [w for w in begun.windows if w.stop > first and w.stop - w.new < end]
    if not windows:
        raise SignalError(
            f"record {recording.record_id} has {begun.n_samples / form.fs:g} s, so there is nothing from "
            f"{start_s:g} s on: choose an earlier --start (start_s= in Python)"
        )
    begin_at = windows[0].stop - windows[0].new
    n_samples = windows[-1].stop - begin_at
    gradient, attended = np.zeros((N_LEADS, n_samples)), np.zeros(n_samples)
    probabilities = []
    for window in windows:
        segment = signal.stretch(window.start, window.stop)[None]
        source = torch.from_numpy(segment).to(model.device).requires_grad_()
        present = torch.from_numpy(signal.lead_present).to(model.device)[None]
        logits = network(source, lead_present=present)[0]
        logit = logits[index]
        (slope,) = torch.autograd.grad(logit, source)
        maps = attention_maps(network.encoder, source.detach(), present)
        last = maps[-1].mean(dim=1)
        weights = (rollout(maps) if attention == "rollout" else last)[0]
        weights = frame_weights(network.encoder, weights, source, present)
        new = slice(window.stop - window.new - begin_at, window.stop - begin_at)
        kept = slice(window.stop - window.start - window.new, None)
        gradient[list(form.leads), new] = slope[0].abs().double().cpu().numpy()[:, kept]
        attended[new] = per_sample(weights.double().cpu().numpy(), begun.stride, segment.shape[2])[kept]
        wide = logits.detach().double()
        probabilities.append((wide.softmax(dim=0) if classes.exclusive else wide.sigmoid())[index].item())
    absent = [i for i, lead in enumerate(LEADS) if lead not in recording.leads]
    gradient[absent] = 0
    starts = tuple((window.stop - window.new - begin_at) / form.fs for window in windows)
    largest = model.aggregates[index] == MAX
    probability = max(probabilities) if largest else weighted_mean(np.array(probabilities), windows).item()
    label, threshold = classes.labels[index], classes.thresholds[index]
    return Saliency(label, probability, threshold, gradient, attended, starts, begin_at / form.fs)


def frame_weights(encoder: ECGEncoder, weights: Tensor, source: Tensor, present: Tensor) -> Tensor:
    """The attention to each frame in time, (F,), of that among all tokens, extra ones first; sums to 1.

    Extra tokens are not in the pooled output: neither what they attend to counts, nor attention to them.
    """
    n_tokens = encoder.n_frames(source.shape[2]) * (int(present.sum()) if encoder.per_lead else 1)
    paid = weights[-n_tokens:, -n_tokens:].mean(dim=0)
    frames = encoder.in_time(paid[None, :, None], source, present)[0, :, 0]
    return frames / frames.sum()


def per_sample(weights: np.ndarray, stride: int, n_samples: int) -> np.ndarray:
    """The weight of each frame (F,) shared among its samples, (n_samples,); the last takes what is left."""
    lengths = np.full(len(weights), stride)
    lengths[-1] = n_samples - stride * (len(weights) - 1)
    return np.repeat(weights / lengths, lengths)


def find_class(classes: Classes, label: str) -> int:
    """The place of a class by its label, name or one of its codes.

    Raises:
        LabelError: there is none, or there are several.
    """
    wanted = label.strip().lower()
    columns = zip(classes.labels, classes.names, classes.codes)
    found = [i for i, (short, name, codes) in enumerate(columns)
             if wanted in (short.lower(), name.lower(), *(code.lower() for code in codes))]  # fmt: skip
    if label in classes.labels:
        found = [classes.labels.index(label)]
    if len(found) != 1:
        hint = did_you_mean(label, [*classes.labels, *classes.names]) or "."
        what = "there is no class" if not found else "several classes are called"
        raise LabelError(f"{what} {label!r}{hint} They are {', '.join(classes.labels)}.")
    return found[0]
