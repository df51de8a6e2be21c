"""Networks as programs that run without this package: `torch.export` (.pt2) and ONNX (.onnx).

A program takes `source` (B, leads, segment samples) float32, in mV at the model's rate, absent leads zeros; B
is free, the segment's length is fixed. Where the model scales its segments, so does the program; where it
scales whole recordings, the program takes their `mean` and `deviation` (B, leads) in mV, too. It gives
`embedding` (B, D), of a classifier `probability` (B, C) and of a regression `value` (B, K). Cutting
recordings into segments and averaging over them is up to its user; what `config.json` of a saved model says
goes with the program, under the name `fairseq_signals`.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairseq_signals.ecg.normalize import RECORD, SEGMENT, Scaling
from fairseq_signals.errors import (
    CheckpointError,
    ConfigError,
    FairseqSignalsError,
    SignalWarning,
    optional_library,
)
from fairseq_signals.files import whole_file
from fairseq_signals.inference.base import LoadedModel
from fairseq_signals.inference.encoded import Encoded
from fairseq_signals.inference.pipeline import Outputs, run
from fairseq_signals.inference.saving import config_of
from fairseq_signals.inference.sources import Opener, read_each
from fairseq_signals.manifest.targets import TargetTable
from fairseq_signals.modules.heads import PooledEncoder

FORMATS = {"torch": ".pt2", "onnx": ".onnx"}
DESCRIPTION = "fairseq_signals"
CHECKED_BATCHES = (1, 3)
#: Without a largest one, PyTorch 2.6 finds that a batch of the largest integer would not do, and gives up.
LARGEST_BATCH = 2**31 - 1
#: How far a program's outputs may be from the model's, relative to the largest of them.
TOLERANCE = 1e-4


def export_model(
    model: LoadedModel, path: Path, format: str | None = None, frames: bool = False, check: bool = True
) -> None:
    """Write a model's network as a program.

    Args:
        path: the file, which appears when it is complete and checked.
        format: "torch" or "onnx"; by default as the path's suffix says, .pt2 or .onnx.
        frames: give `frames` (B, F, D) too.
        check: run the program on batches of 1 and 3 and compare it with the model.

    Raises:
        ConfigError: another format.
        MissingLibraryError: ONNX needs libraries that are not installed.
        CheckpointError: the program does not compute what the model does.
    """
    format = format or next((name for name, suffix in FORMATS.items() if suffix == path.suffix), "")
    if format not in FORMATS:
        raise ConfigError(
            f"{path}: the format must be torch (.pt2) or onnx (.onnx), but is {format or path.suffix!r}"
        )
    names = ["embedding"]
    names += ["probability"] if model.classes is not None else []
    names += ["value"] if model.targets is not None else []
    names += ["frames"] if frames else []
    program = _Program(_for_tracing(model.network), names, model.form.scaling, _head_of(model)).eval()
    example = _example(model, 2)
    description = json.dumps({**config_of(model), "outputs": names}, ensure_ascii=False)
    write = _write_torch if format == "torch" else _write_onnx
    load = _load_torch if format == "torch" else _load_onnx
    with whole_file(path, FORMATS[format]) as partial:
        with torch.no_grad(), _silence():
            write(program, example, names, description, partial)
        if check:
            compare(load(partial), names, model, path)


def compare(
    written: Callable[[dict[str, Tensor]], list[np.ndarray]], names: list[str], model: LoadedModel, path: Path
) -> None:
    """Raise CheckpointError unless both give the same named outputs for batches of 1 and 3 segments.

    The model goes all its way from arrays, on the CPU.
    """
    outputs = Outputs(copy.deepcopy(model.network).cpu(), _of_network(names))
    for batch in CHECKED_BATCHES:
        given = _example(model, batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SignalWarning)  # random numbers are no ECG
            recordings = read_each(given["source"].numpy(), Opener(model.fs, list(model.leads)))
            done = list(run(outputs, recordings, model.form, batch, exclusive=model.exclusive))
        for name, theirs in zip(names, written(given)):
            ours = np.stack([_of_recording(one, name, model) for one in done])
            difference, largest = float(np.abs(ours - theirs).max()), float(np.abs(ours).max())
            if not difference <= TOLERANCE * max(largest, 1.0):
                raise CheckpointError(
                    f"{path}: the exported program's outputs differ from the model's by {difference:.2g} "
                    f"(of {largest:.2g}), so it was not written; please report it"
                )


def _of_recording(done: Encoded | FairseqSignalsError, name: str, model: LoadedModel) -> np.ndarray:
    if isinstance(done, FairseqSignalsError):
        raise done
    if name == "value" and model.targets is not None:
        return model.targets.in_units(done.logit)
    return done.probabilities() if name == "probability" else getattr(done, name)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without what the exporters say of themselves and of libraries that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _Program(nn.Module):
    """A network with its outputs in an order in place of names; it scales first, as `Scaling` does.

    Args:
        head: what makes probabilities, or values in their units, of logits.
    """

    def __init__(self, network: PooledEncoder, names: list[str], scaling: Scaling, head: nn.Module):
        super().__init__()
        self.outputs, self.scaling, self.head = Outputs(network, _of_network(names)), scaling, head

    def forward(
        self, source: Tensor, mean: Tensor | None = None, deviation: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if mean is not None and deviation is not None:
            spread = torch.where(deviation > 0, deviation, 1.0)[..., None]
            source = (source - mean[..., None]) / spread * (deviation > 0)[..., None]
        elif self.scaling.scale != 1:
            source = source * self.scaling.scale
        if self.scaling.normalize == SEGMENT:
            constant = (source == source[..., :1]).all(dim=-1, keepdim=True)
            source = (source - source.mean(dim=-1, keepdim=True)).masked_fill(constant, 0.0)
            spread = source.square().mean(dim=-1, keepdim=True).sqrt()
            source = source / torch.where(spread > 0, spread, 1.0)
        found = self.outputs(source)
        if "logit" in found:
            found["logit"] = self.head(found["logit"])
        return tuple(found.values())


def _of_network(names: list[str]) -> list[str]:
    """What a network gives, of which a program's outputs are made."""
    return ["logit" if name in ("probability", "value") else name for name in names]


class _InUnits(nn.Module):
    """Standardised numbers (B, K) in their targets' units."""

    mean: Tensor
    std: Tensor

    def __init__(self, targets: TargetTable):
        super().__init__()
        self.register_buffer("mean", torch.tensor(targets.means))
        self.register_buffer("std", torch.tensor(targets.stds))

    def forward(self, standardised: Tensor) -> Tensor:
        return standardised * self.std + self.mean


def _head_of(model: LoadedModel) -> nn.Module:
    if model.targets is not None:
        return _InUnits(model.targets)
    return nn.Softmax(dim=-1) if model.exclusive else nn.Sigmoid()


def _for_tracing(network: PooledEncoder) -> PooledEncoder:
    """A copy on the CPU whose weights are as they are used, and without options that only training has."""
    traced = copy.deepcopy(network).cpu().eval()
    traced.encoder.cfg = replace(traced.encoder.cfg, encoder_chunk=0, checkpoint_activations=False)
    positions = traced.encoder.conv_pos.pos_conv
    positions[0] = _without_weight_norm(positions[0])
    for parameter in traced.parameters():
        parameter.requires_grad_(False)
    return traced


def _without_weight_norm(conv: nn.Module) -> nn.Conv1d:
    """The convolution with the weight that its norm and direction make.

    PyTorch's `remove_parametrizations` is not for copies: it takes the weight from the original, too.
    """
    assert isinstance(conv, nn.Conv1d)
    assert conv.bias is not None
    plain = nn.Conv1d(
        conv.in_channels, conv.out_channels, conv.kernel_size[0], padding=conv.padding[0], groups=conv.groups
    )
    plain.load_state_dict({"weight": conv.weight.detach(), "bias": conv.bias.detach()})
    return plain.eval()


def _example(model: LoadedModel, batch: int) -> dict[str, Tensor]:
    """Inputs by name: random segments whose leads differ in mean and spread, which shows the scaling."""
    generator = torch.Generator().manual_seed(batch)
    n_leads = len(model.leads)
    noise = torch.randn((batch, n_leads, model.form.segment_samples), generator=generator)
    source = 0.3 + noise * torch.linspace(0.2, 2, n_leads)[:, None]
    source[:, 1:2] = 0.0  # a lead that is absent
    if model.form.normalize != RECORD:
        return {"source": source}
    whole = source.double()  # a recording of one segment
    moments = {"mean": whole.mean(dim=-1), "deviation": whole.std(dim=-1, correction=0)}
    return {"source": source, **{name: values.float() for name, values in moments.items()}}


def _dynamic(example: dict[str, Tensor]) -> dict[str, Any]:
    batch = torch.export.Dim("batch", max=LARGEST_BATCH)
    return {name: {0: batch} for name in example}


def _write_torch(
    program: nn.Module, example: dict[str, Tensor], names: list[str], description: str, path: Path
) -> None:
    exported = torch.export.export(program, tuple(example.values()), dynamic_shapes=_dynamic(example))
    written = io.BytesIO()  # where the disk is full, PyTorch's own writing ends the process
    torch.export.save(exported, written, extra_files={DESCRIPTION: description})
    path.write_bytes(written.getbuffer())


def _load_torch(path: Path) -> Callable[[dict[str, Tensor]], list[np.ndarray]]:
    with _silence():
        program: Any = torch.export.load(str(path)).module()
    return lambda given: [output.detach().numpy() for output in program(*given.values())]


def _write_onnx(
    program: nn.Module, example: dict[str, Tensor], names: list[str], description: str, path: Path
) -> None:
    for library in ("onnx", "onnxscript"):
        optional_library(library, "ONNX", "export")
    exported: Any = torch.onnx.export(
        program,
        tuple(example.values()),
        dynamo=True,
        verbose=False,
        input_names=list(example),
        output_names=names,
        dynamic_shapes=_dynamic(example),
    )
    exported.model.metadata_props[DESCRIPTION] = description
    exported.save(str(path), external_data=False)


def _load_onnx(path: Path) -> Callable[[dict[str, Tensor]], list[np.ndarray]]:
    onnxruntime: Any = optional_library("onnxruntime", "ONNX", "export")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda given: session.run(None, {name: values.numpy() for name, values in given.items()})
