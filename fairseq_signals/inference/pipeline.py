"""Recordings through a network in batches of segments, whatever their number and lengths.

A batch holds segments of several recordings, all of one length, so that nothing is padded.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Union

import numpy as np
import torch
from torch import Tensor, nn

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, FairseqSignalsError, SignalError, SignalWarning
from fairseq_signals.inference.encoded import Encoded
from fairseq_signals.inference.model_input import ModelInput
from fairseq_signals.inference.recording import Recording
from fairseq_signals.inference.windows import Window, cut
from fairseq_signals.modules.encoder_checks import length_problem
from fairseq_signals.modules.heads import ECGIdentifier, PooledEncoder
from fairseq_signals.modules.middle import middle_layer

MIX = "mix"  #: in place of a layer's number: all layers as the model has learnt to weigh them


class Outputs(nn.Module):
    """A network's named outputs for a batch of segments (B, leads, samples), the encoder run once.

    `embedding` (B, D): the global representation, of an identification model L2-normalised; `frames`
    (B, F, D): the local ones; `logit` (B, C): of a classifier; `joint` (B, J): of
    `ECGText`, where ECGs are compared with texts; `middle` (B, D): the global representation
    of the middle layer, in the same pass, see `modules/middle.py`.

    Args:
        layer: representations of this layer, see `layer_number`.
    """

    def __init__(self, network: PooledEncoder, names: Sequence[str], layer: int | str | None = None):
        super().__init__()
        self.network, self.names = network, tuple(names)
        self.layer = layer_number(network, layer)
        if self.layer is not None and {"logit", "joint", "middle"} & set(names):
            raise ConfigError("heads and outlier scores are of the whole encoder: leave layer out")

    def forward(self, source: Tensor, lead_present: Tensor | None = None) -> dict[str, Tensor]:
        encoder, network = self.network.encoder, self.network
        layers = network.layers if self.layer is None else ()
        layers += (middle_layer(network),) if "middle" in self.names else ()
        out = encoder(source, layer=self.layer, lead_present=lead_present, layers=layers)
        pooled = network.represent(out) if self.layer is None else network.pool(out.x, out.padding_mask)
        found = {}
        for name in self.names:
            if name == "frames":
                found[name] = encoder.in_time(out.x, source, lead_present)  # (B, F, D)
            elif name == "middle":
                found[name] = network.pool(out.layers[-1], out.padding_mask)
            elif name in ("logit", "joint") or isinstance(network, ECGIdentifier):
                found[name] = network.head(pooled)
            else:
                found[name] = pooled
        return found


def layer_number(network: PooledEncoder, layer: int | str | None) -> int | None:
    """Which layer's frames to ask an encoder for; None for those that the model itself uses.

    Args:
        layer: from 0, the Transformer's input, to its last layer; "mix", which the model must have learnt; or
            None, the learnt mix where there is one and else the last layer.

    Raises:
        ConfigError: there is no such layer, or no mix.
    """
    transformer = network.encoder.encoder
    last = len(transformer.layers)
    if layer is None or (layer == MIX and transformer.layer_mix is not None):
        return None
    if layer == MIX:
        raise ConfigError(
            f"layer is {MIX}, but the model has learnt no mix of its layers: fine-tune it with "
            f"model.layer_mix=true, or choose a layer from 0 to {last}"
        )
    if isinstance(layer, str) or not 0 <= layer <= last:
        raise ConfigError(f"layer must be a number from 0 to {last} or {MIX}, but is {layer}")
    return layer


#: Shorter recordings are warned about, seconds.
MIN_S = 1.0
#: A segment that waits: its recording, what the network takes of that, and the window.
_Waiting = tuple[Encoded, ModelInput, Window]
_Pending = Union[Encoded, FairseqSignalsError]


def run(
    outputs: Outputs,
    recordings: Iterable[Recording | FairseqSignalsError],
    form: InputFormat,
    batch_size: int,
    device: str | torch.device = "cpu",
    exclusive: bool = False,
) -> Iterator[Encoded | FairseqSignalsError]:
    """What the network gives for each recording, in their order; an error in place of one it cannot take.

    Args:
        recordings: recordings, and errors, which are passed on.
        batch_size: segments a forward pass.
        exclusive: the classes of a classifier exclude each other.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, but is {batch_size} instead")
    pending: deque[_Pending] = deque()
    waiting: deque[_Waiting] = deque()
    for recording in recordings:
        if isinstance(recording, FairseqSignalsError):
            pending.append(recording)
        else:
            try:
                begun = begin(recording, form, outputs.network)
            except FairseqSignalsError as error:
                pending.append(error)
            else:
                begun[0].exclusive = exclusive
                pending.append(begun[0])
                waiting.extend((*begun, window) for window in begun[0].windows)
        while len(waiting) >= batch_size:
            _forward(outputs, [waiting.popleft() for _ in range(batch_size)], device)
        yield from _finished(pending)
    while waiting:
        _forward(outputs, [waiting.popleft() for _ in range(min(batch_size, len(waiting)))], device)
    yield from _finished(pending)


def begin(recording: Recording, form: InputFormat, network: PooledEncoder) -> tuple[Encoded, ModelInput]:
    """A recording of which nothing is computed yet, and what the network takes of it.

    Raises:
        SignalError: it is shorter than a frame or than the model takes, or flat in the leads that it takes.
        LeadError: the model takes none of its leads.
    """
    signal = ModelInput(recording, form)
    n_samples = signal.n_samples
    problem = length_problem(network.encoder, min(n_samples, form.segment_samples))
    if problem:
        raise SignalError(
            f"record {recording.record_id} is shorter than the model takes: {problem}", kind="too short"
        )
    if network.encoder.n_frames(n_samples) < 1:
        raise SignalError(
            f"record {recording.record_id}: {n_samples} samples at {form.fs:g} Hz are less than one frame",
            kind="too short",
        )
    if not signal.any():
        absent = ", ".join(LEADS[i] for i in form.leads)
        raise SignalError(
            f"record {recording.record_id} is flat in all leads that the model takes ({absent}); "
            "leave it out, or use a model that takes a lead which is not",
            kind="without a usable lead",
        )
    if n_samples < MIN_S * form.fs:
        warnings.warn(
            f"record {recording.record_id} is {n_samples / form.fs:.2g} s long, less than a heartbeat",
            SignalWarning,
            stacklevel=2,
        )
    windows = cut(n_samples, form.segment_samples, form.last_segment)
    unit_length = isinstance(network, ECGIdentifier)
    return Encoded(recording.record_id, n_samples, windows, network.encoder.stride, unit_length), signal


def _forward(outputs: Outputs, batch: list[_Waiting], device: str | torch.device) -> None:
    """Run the network on segments, those of one length together, and hand each recording its own."""
    by_length: dict[int, list[int]] = {}
    for i, (_, _, window) in enumerate(batch):
        by_length.setdefault(window.stop - window.start, []).append(i)
    values: list[dict[str, np.ndarray]] = [{}] * len(batch)
    for places in by_length.values():
        segments = np.stack([batch[i][1].stretch(batch[i][2].start, batch[i][2].stop) for i in places])
        present = np.stack([batch[i][1].lead_present for i in places])
        with torch.inference_mode():
            found = outputs(torch.from_numpy(segments).to(device), torch.from_numpy(present).to(device))
        arrays = {name: tensor.float().cpu().numpy() for name, tensor in found.items()}
        for row, i in enumerate(places):
            values[i] = {name: array[row] for name, array in arrays.items()}
    for (recording, _, _), given in zip(batch, values):
        for name, value in given.items():
            recording.add(name, value)


def _finished(pending: deque[_Pending]) -> Iterator[_Pending]:
    while pending and (isinstance(pending[0], FairseqSignalsError) or pending[0].complete):
        done = pending.popleft()
        yield done.problem() or done if isinstance(done, Encoded) else done
