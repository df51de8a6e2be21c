"""What a loaded model is: its task, its input, its classes, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch

from fairseq_signals.checkpoints.input_format import (
    INPUT_RULES,
    SKIP,
    InputFormat,
    check_aggregate_max,
    input_format,
    preset_of,
    require_mean,
)
from fairseq_signals.checkpoints.loading import Checkpoint, build_model, load_checkpoint
from fairseq_signals.checkpoints.outlier import outlier_state
from fairseq_signals.checkpoints.shipped import shipped_folder
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.inference.classes import Classes, classes_of_checkpoint
from fairseq_signals.inference.gallery import Gallery
from fairseq_signals.inference.provenance import fingerprint, provenance_of, to_share
from fairseq_signals.manifest.targets import TargetTable
from fairseq_signals.metrics.outlier import OutlierScore
from fairseq_signals.modules.device import check_device
from fairseq_signals.modules.ecg_text import ECGText
from fairseq_signals.modules.encoder_checks import length_problem
from fairseq_signals.modules.heads import PooledEncoder

Model = TypeVar("Model", bound="LoadedModel")


class LoadedModel:
    """A network and what is known of it.

    Attributes:
        kind: "pretraining", "classification", "regression" or "identification".
        network: encoder and head, in evaluation mode.
        form: sampling rate, leads and segments that the network takes.
        classes: what a classifier's outputs are; None for other models.
        targets: what a regression's outputs are; None for other models.
        provenance: where the model comes from; plain containers.
        outlier: how unlike the training data recordings are; None where nobody has measured it.
    """

    def __init__(
        self,
        network: PooledEncoder,
        kind: str,
        form: InputFormat,
        classes: Classes | None = None,
        provenance: Mapping[str, Any] | None = None,
        targets: TargetTable | None = None,
        outlier: OutlierScore | None = None,
    ):
        self.network, self.kind, self.form, self.classes = network.eval(), kind, form, classes
        self.targets, self.outlier = targets, outlier
        self.provenance: dict[str, Any] = dict(provenance or {})
        if form.zero_frames == SKIP and network.statistics is not None:
            raise ConfigError(
                "zero_frames=skip is of a mean over frames, but the model has statistics of layers"
            )
        network.skip_zero_frames = form.zero_frames == SKIP

    @classmethod
    def load(
        cls: type[Model],
        path: str | Path,
        *,
        device: str = "cpu",
        labels: Any = None,
        pretrained: str | Path | None = None,
        preset: str | None = None,
        fs: float | None = None,
        normalize: str | bool | None = None,
        scale: float | None = None,
        resampler: str | None = None,
        segment_s: float | None = None,
        last_segment: str | None = None,
        zero_frames: str | None = None,
        aggregate: str | None = None,
        aggregate_max: Sequence[str] | None = None,
    ) -> Model:
        """The model in a checkpoint of ours or of the authors' code, or in a folder that `save` wrote.

        Args:
            path: the file or folder, or the name of weights of the package. It is read, never executed.
            device: a PyTorch device.
            labels: what the classes are called, if the checkpoint does not say: `labels.csv`, its manifest
                folder, or a list of names.
            pretrained: the pre-trained checkpoint that a fine-tuned one of the authors' code was made from,
                if it is neither where that says nor beside it.
            preset: public weights by name, such as "ecg-fm": the input that they expect, and their labels.
                By default a published file is known by its name and configuration, with a warning in the log;
                "none" takes what the checkpoint says.
            fs, normalize, scale, resampler, segment_s, last_segment, zero_frames, aggregate, aggregate_max:
                the fields of `InputFormat`, in place of what the checkpoint or the preset says.

        Raises:
            CheckpointError: not a checkpoint that can be used; the message says why.
            LabelError: the labels do not fit.
            ConfigError: PyTorch cannot use the device, there is no such preset, a field cannot be so, or
                segments are less than one frame, or of a length that the model does not take.
        """
        check_device(device)
        checkpoint = load_checkpoint(path, origin=pretrained)
        known = preset_of(checkpoint, preset)
        form = input_format(checkpoint, known).changed(
            {
                "fs": fs,
                "normalize": normalize,
                "scale": scale,
                "resampler": resampler,
                "segment_s": segment_s,
                "last_segment": last_segment,
                "zero_frames": zero_frames,
                "aggregate": aggregate,
                "aggregate_max": aggregate_max,
            }
        )
        network = build_model(checkpoint, device)
        problem = length_problem(network.encoder, form.segment_samples)
        if problem:
            raise ConfigError(f"{checkpoint.path}: {problem}; pass another segment_s, or fs")
        if network.encoder.n_frames(form.segment_samples) < 1:
            raise ConfigError(
                f"{checkpoint.path}: segments of {form.segment_samples} samples at {form.fs:g} Hz are less "
                "than one frame of the model; pass a larger segment_s"
            )
        classes = classes_of_checkpoint(checkpoint, labels, () if known is None else known.labels)
        check_aggregate_max(aggregate_max, () if classes is None else (*classes.labels, *classes.names))
        targets = None
        if checkpoint.kind == "regression":
            n, noted = len(checkpoint.state["proj.weight"]), checkpoint.task_state.get("targets")
            targets = TargetTable.noted(noted, n, str(checkpoint.path))
            require_mean(form, checkpoint.path)
        provenance = provenance_of(checkpoint, known)
        outlier = OutlierScore(**checkpoint.outlier) if checkpoint.outlier else None
        return cls(network, checkpoint.kind, form, classes, provenance, targets, outlier)

    @classmethod
    def pretrained(cls: type[Model], name: str, *, device: str = "cpu") -> Model:
        """The model of weights that come with the package: "starter"; no network is needed.

        Raises:
            ConfigError: this installation has no weights of that name; the message says which it has.
            CheckpointError: they are damaged: not those that their checksum is of.
        """
        return cls.load(shipped_folder(name), device=device)

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
    def exclusive(self) -> bool:
        """Whether it is a classifier whose classes exclude each other: their probabilities sum to 1."""
        return self.classes is not None and self.classes.exclusive

    @property
    def aggregates(self) -> tuple[str, ...]:
        """How the probabilities of segments are put together, class by class: "mean" or "max"."""
        return () if self.classes is None else self.form.aggregates(self.labels, self.classes.names)

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
        return self.network.dim

    @property
    def pooling(self) -> tuple[str, ...]:
        """The statistics that embeddings are made of, see `FrameStatistics`; none: the mean over frames."""
        return () if self.network.statistics is None else self.network.statistics.wanted

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
        return fingerprint(self.state(), self.form)

    def set_outlier(self, score: OutlierScore, told: dict[str, Any] | None = None) -> None:
        """Let the model say how unlike its training data recordings are.

        Args:
            score: of what the middle layer makes of them, see `Encoded.middle`.
            told: what the provenance says of it, as `outlier`; None: nothing.
        """
        self.outlier, self.provenance["outlier"] = score, told
        self.__dict__.pop("fingerprint", None)

    def state(self) -> dict[str, torch.Tensor]:
        """What a saved model holds: the network's parameters, and the arrays of the outlier score."""
        return {
            **self.network.state_dict(),
            **({} if self.outlier is None else outlier_state(vars(self.outlier))),
        }

    def describe(self) -> dict[str, Any]:
        """All of it in plain containers, as `config.json` of a saved model has it."""
        network, config = self.network, self.network.encoder.cfg
        return {
            "kind": self.kind,
            "leads": list(self.leads),
            "fs": self.fs,
            "units": "mV",
            "segment_samples": self.form.segment_samples,
            "max_samples": self.form.max_samples,
            **{name: getattr(self.form, name) for name in INPUT_RULES if name not in ("fs", "segment_s")},
            "labels": [] if self.classes is None else self.classes.to_json(),
            "exclusive": self.exclusive,
            "targets": {} if self.targets is None else self.targets.to_plain(),
            **({"pooling": list(pooling)} if (pooling := self.pooling) else {}),
            "embedding_dim": self.dim,
            "parameters": self.n_parameters,
            **({"text": asdict(network.text_options)} if isinstance(network, ECGText) else {}),
            "encoder": {name: getattr(config, name) for name in config.__dataclass_fields__},
            "provenance": to_share(self.provenance),
        }

    def __getstate__(self) -> dict[str, Any]:
        """As parameters and options, for the networks themselves cannot be pickled."""
        network, device = self.network, str(self.device)
        parts = {name: value for name, value in self.__dict__.items() if name != "network"}
        text = network.text_options if isinstance(network, ECGText) else None
        return {**parts, "_network": (network.state_dict(), network.encoder.cfg, device, self.pooling, text)}

    def __setstate__(self, parts: dict[str, Any]) -> None:
        state, config, device, pooling, text = parts.pop("_network")
        self.__dict__.update(parts)
        checkpoint = Checkpoint(Path("pickled"), self.kind, state, config, pooling=pooling, text=text)
        self.network = build_model(checkpoint, device)
        self.network.skip_zero_frames = self.form.zero_frames == SKIP

    def __repr__(self) -> str:
        what = f"{len(self.labels)} classes, " if self.classes is not None else ""
        what += f"{', '.join(self.targets.names)}, " if self.targets is not None else ""
        leads = "12 leads" if self.leads == LEADS else f"leads {', '.join(self.leads)}"
        size = f"{self.n_parameters / 1e6:.1f} M parameters"
        return f"{type(self).__name__}({self.kind}, {what}{leads} at {self.fs:g} Hz, {size})"

    def _require_classes(self) -> Classes:
        if self.classes is None:
            is_tuned = self.kind in ("identification", "regression")
            advice = "use predict" if is_tuned else "fine-tune it first, or use embed"
            raise CheckpointError(f"a {self.kind} model has no classes; {advice}")
        return self.classes

    def _require_gallery(self, gallery: Gallery | None) -> Gallery:
        if gallery is None:
            raise ConfigError("there is nobody to compare with: enroll recordings first, or pass gallery=")
        if gallery.model != self.fingerprint:
            raise CheckpointError("the gallery was enrolled with another model; enroll its recordings again")
        return gallery
