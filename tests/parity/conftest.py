"""Sets of arrays computed by the authors' implementation, found by name and contents; how far ours may be.

A set is `NAME.cfg.json`, `NAME.state.npz` and `NAME.io.npz`. Sizes and options come from its configuration,
and whichever outputs were saved are compared, so sets of other sizes or with other outputs pass too.
`pytest -m shared tests/parity -s` prints the differences.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_signals.checkpoints.loading import Checkpoint, encoder_config, load_checkpoint
from fairseq_signals.checkpoints.shapes import shape_problems
from fairseq_signals.modules.encoder_config import ARCHITECTURE

ABSOLUTE = 1e-4
RELATIVE = 1e-5  # of sums over frames, and of their gradients
ROUNDING = 1e-6  # of gradients, relative to the largest of the model: some are nothing but rounding


@dataclass
class ParitySet:
    """One model of the authors' code with its inputs and outputs."""

    folder: Path
    name: str
    scratch: Path

    @cached_property
    def options(self) -> dict:
        return json.loads((self.folder / f"{self.name}.cfg.json").read_text())

    @cached_property
    def original_state(self) -> dict:
        with np.load(self.folder / f"{self.name}.state.npz") as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    @cached_property
    def kind(self) -> str:
        heads = {"proj.weight": "classification", "kernel": "identification"}
        return next((kind for key, kind in heads.items() if key in self.original_state), "pretraining")

    def arrays(self, suffix: str = "") -> dict:
        """Tensors of `NAME<suffix>.io.npz`; an empty dictionary where there is no such file."""
        path = self.folder / f"{self.name}{suffix}.io.npz"
        if not path.is_file():
            return {}
        with np.load(path) as arrays:
            return {key: torch.from_numpy(np.array(arrays[key])) for key in arrays.files}

    def checkpoint(self, encoder_options: dict | None = None) -> Checkpoint:
        """The set's parameters as a checkpoint file would give them."""
        path = self.scratch / f"{self.name}.pt"
        options = {key: value for key, value in self.options.items() if key != "model_path"}
        torch.save(
            {"model": self.original_state, "cfg": {"model": {**options, **(encoder_options or {})}}}, path
        )
        return load_checkpoint(path)

    def options_of(self, config_class: type) -> dict:
        """The set's options that this configuration class has."""
        known = {field.name for field in fields(config_class)} - {"_name"}
        return {key: value for key, value in self.options.items() if key in known and value is not None}


@pytest.fixture(scope="session")
def parity_dir(shared_dir) -> Path:
    folder = shared_dir / "parity"
    if not folder.is_dir():
        pytest.skip(f"no parity arrays at {folder}")
    return folder


@pytest.fixture(scope="session")
def parity_sets(parity_dir, tmp_path_factory):
    """`parity_sets(kind)`: all sets of "pretraining", "classification" or "identification" models."""

    def find(kind: str) -> list[ParitySet]:
        found = []
        for path in sorted(parity_dir.rglob("*.state.npz")):
            name = path.name[: -len(".state.npz")]
            one = ParitySet(path.parent, name, tmp_path_factory.mktemp("parity"))
            if one.kind == kind:
                found.append(one)
        if not found:
            pytest.skip(f"no {kind} model in {parity_dir}")
        return found

    return find


@pytest.fixture(scope="session")
def saved_checkpoints(parity_dir):
    """`saved_checkpoints(pretrained)`: the authors' checkpoint files, each with the outputs saved for it."""

    def find(pretrained: bool) -> list[tuple[Checkpoint, dict]]:
        loaded = [load_checkpoint(path) for path in sorted(parity_dir.rglob("*.pt"))]
        found = [one for one in loaded if (one.kind == "pretraining") == pretrained]
        if not found:
            pytest.skip("no such checkpoint")
        return [(one, outputs_of(one.path)) for one in found]

    return find


def outputs_of(path: Path) -> dict:
    """Saved outputs: `NAME.io.npz` has those of NAME.pt, and as `<task>_<output>` those of NAME_<task>.pt."""
    saved = [p for p in path.parent.glob("*.io.npz") if path.stem.startswith(p.name[: -len(".io.npz")])]
    assert saved, f"no outputs for {path}"
    closest = max(saved, key=lambda p: len(p.name))
    task = path.stem[len(closest.name) - len(".io.npz") :].lstrip("_")
    prefix = f"{task}_" if task else ""
    with np.load(closest) as arrays:
        names = {
            "source": "source",
            **{key[len(prefix) :]: key for key in arrays.files if key.startswith(prefix)},
        }
        return {name: torch.from_numpy(np.array(arrays[key])) for name, key in names.items()}


@pytest.fixture(scope="session")
def fine_tuned(parity_sets):
    """`fine_tuned(one)`: its checkpoint, with the encoder's options of the pre-trained set that fits it."""

    def load(one: ParitySet) -> Checkpoint:
        for pretrained in parity_sets("pretraining"):
            if pretrained.folder == one.folder:
                config = encoder_config(pretrained.options)
                if not shape_problems(config, one.original_state):
                    return one.checkpoint({name: getattr(config, name) for name in ARCHITECTURE})
        return one.checkpoint()

    return load


@pytest.fixture
def close(record_property):
    """`close(name, ours, theirs, relative=0, absolute=1e-4)`: asserts and reports the largest difference.

    `relative` also allows that fraction of the largest entry: for sums over frames and for their gradients.
    """

    def check(name: str, ours, theirs, relative: float = 0.0, absolute: float = ABSOLUTE) -> None:
        ours = torch.as_tensor(ours).detach().double()
        theirs = torch.as_tensor(theirs).double()
        assert ours.shape == theirs.shape, f"{name}: {tuple(ours.shape)} for {tuple(theirs.shape)}"
        finite = torch.isfinite(theirs)
        assert torch.equal(torch.isfinite(ours), finite), f"{name}: other entries are infinite"
        difference = (ours - theirs)[finite].abs().max().item() if finite.any() else 0.0
        largest = theirs[finite].abs().max().item() if finite.any() else 0.0
        record_property(name, f"{difference:.3g}")
        print(f"parity\t{name}\t{difference:.2e}\t{largest:.3g}")
        allowed = max(absolute, relative * largest)
        assert difference <= allowed, f"{name}: differs by {difference:.3g}, allowed are {allowed:.3g}"

    return check


@pytest.fixture
def close_where_saved(close):
    """`close_where_saved(name, theirs, ours, relative=0)`: as `close`, for each key that both have."""

    def check(name: str, theirs: dict, ours: dict, relative: float = 0.0) -> None:
        for key in ours.keys() & theirs.keys():
            close(f"{name}.{key}", ours[key], theirs[key], relative)

    return check


@pytest.fixture
def gradients_close(close):
    """`gradients_close(name, theirs, ours)`: each key that both have, relative to the largest of all ours."""

    def check(name: str, theirs: dict, ours: dict) -> None:
        largest = max((float(gradient.abs().max()) for gradient in ours.values()), default=0.0)
        for key in ours.keys() & theirs.keys():
            close(f"{name}.{key}", ours[key], theirs[key], RELATIVE, ROUNDING * largest)

    return check


@pytest.fixture
def padding_beyond():
    """`padding_beyond(lengths, n_samples)`: (B, n_samples) bool, True from each row's length on."""

    def mask(lengths: torch.Tensor, n_samples: int) -> torch.Tensor:
        return torch.arange(n_samples) >= lengths[:, None]

    return mask
