"""A fine-tuned checkpoint tested on lead sets: its kind decides which task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import nn

from fairseq_signals.checkpoints.input_format import SKIP, input_format, preset_of, require_mean
from fairseq_signals.checkpoints.loading import load_model
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.evaluation.classification import evaluate_classification
from fairseq_signals.evaluation.identification import evaluate_identification
from fairseq_signals.evaluation.lead_sets import LeadSets
from fairseq_signals.evaluation.outlier import add_outlier
from fairseq_signals.evaluation.predict import predict, warn_of_other_lengths
from fairseq_signals.evaluation.regression import evaluate_regression
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.manifest.folder import IDENTIFICATION
from fairseq_signals.manifest.info import read_info
from fairseq_signals.manifest.labels import class_names, read_labels
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.manifest.targets import TargetTable
from fairseq_signals.modules.device import check_device
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier
from fairseq_signals.modules.middle import middle_pooled


def evaluate(
    checkpoint: Path,
    manifests: Path,
    lead_sets: Mapping[str, tuple[int, ...]],
    split: str = "test",
    per: str = "record",
    batch_size: int = 64,
    device: str = "cpu",
    threshold: float = 0.5,
    features: str = "embedding",
    given: Mapping[str, Any] = MappingProxyType({}),
    as_norm_top: int = 0,
) -> Evaluation:
    """Test a checkpoint on one split of a manifest folder; its kind decides which task.

    The embeddings of a model that is not of identification are compared where the manifests are of that. A
    saved classifier with more classes than the manifests have is tested on those that are so called.

    Args:
        checkpoint: a fine-tuned model, of ours or of the authors' code.
        manifests: folder with `<split>.tsv` and `labels.csv` or `targets.csv`, or with `<split>_gallery.tsv`
            and `<split>_probe.tsv`.
        lead_sets: from `parse_lead_sets`; its families are made of the leads that the model takes.
        split: which manifest.
        per: "record" averages the segments of a record, "segment" takes each by itself.
        batch_size: segments a forward pass.
        device: a PyTorch device.
        threshold: probability above which a class is predicted, for the CinC score; without meaning where
            classes exclude each other.
        features: what identification compares: "embedding", L2-normalised (the paper), or "class_cosine",
            the cosines with the training patients' directions, as they are (the authors' code).
        given: `preset`, public weights by name, and fields of `InputFormat` in place of what the checkpoint
            or the preset says: see `LoadedModel.load`.
        as_norm_top: of identification: normalise similarities by so many of the highest with the people of
            `train.tsv`, see `metrics.identification.as_norm`; 0: do not.
    """
    check_device(device)
    model, info = load_model(checkpoint, device=device)
    known = preset_of(info, given.get("preset"))
    fields = {name: value for name, value in given.items() if name != "preset"}
    form = input_format(info, known).changed(fields)
    told = [said.get("segment_s") for said in (given, {} if known is None else known.input, info.task_cfg)]
    model.skip_zero_frames = form.zero_frames == SKIP
    sets = lead_sets.of_model(form) if isinstance(lead_sets, LeadSets) else lead_sets

    compared = info.kind == IDENTIFICATION or read_info(manifests).get("kind") == IDENTIFICATION
    if (as_norm_top and not compared) or (features != "embedding" and info.kind != IDENTIFICATION):
        option = "--as-norm" if as_norm_top else f"--features {features}"
        raise ConfigError(f"{option} is for identification, but {checkpoint} is of {info.kind}")
    compute: Callable[..., Any] = model
    n_left_out = 0
    if isinstance(model, ECGIdentifier) and features == "class_cosine":
        identifier = model

        def compute(source: Any, padding_mask: Any = None, lead_present: Any = None) -> Any:
            return identifier.cosine_logits(identifier(source, padding_mask, lead_present))
    elif compared and info.kind != IDENTIFICATION:
        compute = model.pooled
    elif isinstance(model, ECGClassifier) and info.saved is not None:
        n_left_out = _take_classes(model, [e["label"] for e in info.saved.get("labels") or ()], manifests)

    def predict_all(manifest: Manifest) -> np.ndarray:
        if any(told):
            warn_of_other_lengths(manifest, form)
        return predict(compute, manifest, sets, batch_size, device, form)

    where = predict_all, manifests, list(sets), split, per

    def embed_all(manifest: Manifest) -> np.ndarray:
        return predict(partial(middle_pooled, model), manifest, sets, batch_size, device, form)

    if compared:
        outcome = evaluate_identification(*where, features == "embedding", as_norm_top)
    elif info.kind == "classification":
        largest = given.get("aggregate_max")
        outcome = evaluate_classification(*where, threshold, form, info.exclusive, largest)
        add_outlier(outcome, info.outlier, embed_all, manifests, split, per)
    elif isinstance(model, ECGClassifier):
        require_mean(form, checkpoint)
        n_targets, noted = model.proj.out_features, info.task_state.get("targets")
        targets = TargetTable.noted(noted, n_targets, str(checkpoint))
        outcome = evaluate_regression(*where, targets)
    else:
        raise CheckpointError(
            f"{checkpoint}: a {info.kind} checkpoint has no classes or identities to test; fine-tune it first"
        )
    if n_left_out:
        outcome.notes.append(f"{n_left_out} classes of the model are none of the manifests': left out")
    outcome.families = sets.families if isinstance(sets, LeadSets) else {}
    return outcome


def _take_classes(model: ECGClassifier, labels: Sequence[str], manifests: Path) -> int:
    """Leave a classifier the classes that manifests have, in their order, where it has these among more.

    Args:
        labels: what its classes are called.

    Returns:
        How many were left out.
    """
    path, n_classes = manifests / "labels.csv", len(labels)
    table = read_labels(path) if path.exists() else None
    if table is None or len(table) >= n_classes:
        return 0
    names = class_names(table, len(table))
    if not set(names) <= set(labels):
        return 0
    rows = [labels.index(name) for name in names]
    for name, value in list(model.proj.named_parameters()):
        setattr(model.proj, name, nn.Parameter(value.detach()[rows]))
    model.proj.out_features = len(rows)
    return n_classes - len(rows)
