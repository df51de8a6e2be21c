"""Networks as programs that run without this package: `torch.export` (.pt2) and ONNX (.onnx).

A program takes `source` (B, leads, segment samples) float32, in mV at the model's rate, absent leads zeros; B
is free, the segment's length is fixed. Where the model tells absent leads from flat ones, the program takes
`lead_present` (B, leads) bool, True for those that a segment has. Where the model scales its segments, so
does the program; where it scales whole recordings, the program takes their `mean` and `deviation` (B, leads)
in mV, too. It gives `embedding` (B, D), of a classifier `probability` (B, C), of a regression `value` (B, K)
and of a model of ECGs and texts `joint` (B, J), of length 1. Cutting recordings into segments and averaging
over them is up to its user; what `config.json` of a saved model says goes with the program, under the name
`fairseq_signals`.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairseq_signals.ecg.normalize import RECORD
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
from fairseq_signals.inference.program import LeadProgram, Program, for_tracing, head_of, of_network
from fairseq_signals.inference.saving import config_of
from fairseq_signals.inference.sources import Opener, read_each
from fairseq_signals.modules.ecg_text import ECGText
from fairseq_signals.modules.encoder_checks import tells_leads
from fairseq_signals.safety.rules import shown

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
        ConfigError: another format; or the exporter cannot write what the model does.
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
    names += ["joint"] if isinstance(model.network, ECGText) else []
    names += ["frames"] if frames else []
    kind = LeadProgram if tells_leads(model.network.encoder.cfg) else Program
    network = for_tracing(model.network, model.form.segment_samples)
    program = kind(network, names, model.form.scaling, head_of(model)).eval()
    example = _example(model, 2)
    description = json.dumps({**config_of(model), "outputs": names}, ensure_ascii=False)
    write = _write_torch if format == "torch" else _write_onnx
    load = _load_torch if format == "torch" else _load_onnx
    with whole_file(path, FORMATS[format]) as partial:
        with torch.no_grad(), _silence(), _refused(model, format):
            write(program, example, names, description, partial)
        if check:
            compare(load(partial), names, model, path)


def compare(
    written: Callable[[dict[str, Tensor]], list[np.ndarray]], names: list[str], model: LoadedModel, path: Path
) -> None:
    """Raise CheckpointError unless both give the same named outputs for batches of 1 and 3 segments.

    The model goes all its way from arrays, on the CPU.
    """
    outputs = Outputs(copy.deepcopy(model.network).cpu(), of_network(names))
    for batch in CHECKED_BATCHES:
        given = _example(model, batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SignalWarning)  # random numbers are no ECG
            recordings = read_each(_arrays(given), Opener(model.fs, _leads(model, given)))
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
def _refused(model: LoadedModel, format: str) -> Iterator[None]:
    """What an exporter cannot write as ConfigError, which names the parts that users may have made."""
    try:
        yield
    except (FairseqSignalsError, OSError):
        raise
    except Exception as error:  # exporters have many kinds, of which few are public
        reason = next((line for line in str(error).splitlines()[::-1] if line.strip()), type(error).__name__)
        raise ConfigError(
            f"the model, whose front end is {model.network.encoder.cfg.frontend}, cannot be written as "
            f"{format}: the exporter says {shown(reason)}; try another format of {', '.join(FORMATS)}"
        ) from error


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


def _arrays(given: dict[str, Tensor]) -> np.ndarray:
    """The segments of an example with their present leads alone."""
    present = given.get("lead_present")
    return given["source"].numpy() if present is None else given["source"][:, present[0]].numpy()


def _leads(model: LoadedModel, given: dict[str, Tensor]) -> list[str]:
    present = given.get("lead_present")
    return [lead for i, lead in enumerate(model.leads) if present is None or present[0, i]]


def _example(model: LoadedModel, batch: int) -> dict[str, Tensor]:
    """Inputs by name: random segments whose leads differ in mean and spread, which shows the scaling."""
    generator = torch.Generator().manual_seed(batch)
    n_leads = len(model.leads)
    noise = torch.randn((batch, n_leads, model.form.segment_samples), generator=generator)
    source = 0.3 + noise * torch.linspace(0.2, 2, n_leads)[:, None]
    source[:, 1:2] = 0.0  # a lead that is absent
    inputs = {"source": source}
    if tells_leads(model.network.encoder.cfg):
        inputs["lead_present"] = (torch.arange(n_leads) != 1).expand(batch, -1).contiguous()
    if model.form.normalize != RECORD:
        return inputs
    whole = source.double()  # a recording of one segment
    moments = {"mean": whole.mean(dim=-1), "deviation": whole.std(dim=-1, correction=0)}
    return {**inputs, **{name: values.float() for name, values in moments.items()}}


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
