"""A calibrated classifier: its temperature is part of its weights, so that every program applies it."""

from __future__ import annotations

from typing import Any

import torch
from scipy.special import expit, logit

from fairseq_signals.inference.base import LoadedModel
from fairseq_signals.modules.heads import ECGClassifier


def fold_temperature(model: LoadedModel, temperature: float, told: dict[str, Any]) -> None:
    """Divide the logits of a classifier by a temperature, in the weights of its last layer.

    Thresholds are moved with the probabilities: what a segment is said to have stays the same.

    Args:
        model: the classifier; it is changed.
        temperature: above 0.
        told: what the provenance says of it, as `calibration`.
    """
    network = model.network
    assert isinstance(network, ECGClassifier)
    with torch.no_grad():
        for parameter in network.proj.parameters():
            parameter.div_(temperature)
    if not model.exclusive:
        model.thresholds = expit(logit(list(model.thresholds.values())) / temperature).tolist()
    earlier = (model.provenance.get("calibration") or {}).get("temperature", 1.0)
    model.provenance["calibration"] = {**told, "temperature": earlier * temperature}
    model.__dict__.pop("fingerprint", None)
