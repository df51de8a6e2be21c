"""What a loaded model is: its task, its input, its classes, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.checkpoints.loading import Checkpoint, build_model
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError
from fairseq_signals.inference.classes import Classes
from fairseq_signals.inference.provenance import fingerprint, to_share
from fairseq_signals.modules.heads import PooledEncoder


class LoadedModel:
    """A network and what is known of it.

    Attributes:
        kind: "pretraining", "classification" or "identification".
        network: encoder and head, in evaluation mode.
        form: sampling rate, leads and segments that the network takes.
        classes: what a classifier's outputs are; None for other models.
        provenance: where the model comes from; plain containers.
    """

    def __init__(
        self,
        network: PooledEncoder,
        kind: str,
        form: InputFormat,
        classes: Classes | None = None,
        provenance: Mapping[str, Any] | None = None,
    ):
        self.network, self.kind, self.form, self.classes = network.eval(), kind, form, classes
        self.provenance: dict[str, Any] = dict(provenance or {})

    @property
    def fs(self) -> float:
        """Sampling rate that the network takes, Hz."""
        return self.form.fs

    @property
    def leads(self) -> tuple[str, ...]:
        """The leads on the network's lead axis."""
        return tuple(LEADS[i] for i in self.form.leads)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the classes are called, in the order of the probabilities; empty where there are none."""
        return () if self.classes is None else self.classes.labels

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The probability above which each class counts as present.

        It can be set to a number for all classes, one number a class, or a mapping from labels to numbers:
        `model.thresholds = {"AF": 0.3}`. What it gives cannot be changed.
        """
        values = () if self.classes is None else self.classes.thresholds
        return MappingProxyType(dict(zip(self.labels, values)))

    @thresholds.setter
    def thresholds(self, values: float | Sequence[float] | Mapping[str, float]) -> None:
        self.classes = self._require_classes().with_thresholds(values)

    @property
    def dim(self) -> int:
        """Width D of the embeddings."""
        return self.network.encoder.dim

    @property
    def n_parameters(self) -> int:
        """How many numbers the network has learnt."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that tell the parameters and the segments they take from all others."""
        return fingerprint(self.network, self.form)

    def describe(self) -> dict[str, Any]:
        """All of it in plain containers, as `config.json` of a saved model has it."""
        config = self.network.encoder.cfg
        return {
            "kind": self.kind,
            "leads": list(self.leads),
            "fs": self.fs,
            "units": "mV",
            "segment_samples": self.form.segment_samples,
            "max_samples": self.form.max_samples,
            "normalize": self.form.normalize,
            "labels": [] if self.classes is None else self.classes.to_json(),
            "embedding_dim": self.dim,
            "parameters": self.n_parameters,
            "encoder": {name: getattr(config, name) for name in config.__dataclass_fields__},
            "provenance": to_share(self.provenance),
        }

    def __getstate__(self) -> dict[str, Any]:
        """As parameters and options, for the networks themselves cannot be pickled."""
        network, device = self.network, str(self.device)
        parts = {name: value for name, value in self.__dict__.items() if name != "network"}
        return {**parts, "_network": (network.state_dict(), network.encoder.cfg, device)}

    def __setstate__(self, parts: dict[str, Any]) -> None:
        state, config, device = parts.pop("_network")
        self.__dict__.update(parts)
        self.network = build_model(Checkpoint(Path("pickled"), self.kind, state, config), device)

    def __repr__(self) -> str:
        what = f"{len(self.labels)} classes, " if self.classes is not None else ""
        leads = "12 leads" if self.leads == LEADS else f"leads {', '.join(self.leads)}"
        size = f"{self.n_parameters / 1e6:.1f} M parameters"
        return f"{type(self).__name__}({self.kind}, {what}{leads} at {self.fs:g} Hz, {size})"

    def _require_classes(self) -> Classes:
        if self.classes is None:
            advice = "use predict" if self.kind == "identification" else "fine-tune it first, or use embed"
            raise CheckpointError(f"a {self.kind} model has no classes; {advice}")
        return self.classes
