"""ArcFace and CMSC on saved inputs: the authors' values and gradients, and numbers where theirs are NaN."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from fairseq_signals.criterions.arcface import arcface_loss
from fairseq_signals.criterions.cmsc import cmsc_loss

pytestmark = pytest.mark.shared
RELATIVE = 1e-5


@pytest.fixture
def criteria(parity_dir) -> list:
    """Arrays of every file of saved criteria, by the file's name."""
    found = []
    for path in sorted(parity_dir.rglob("*.io.npz")):
        with np.load(path) as arrays:
            if any(key.startswith(("arcface_", "cmsc_")) for key in arrays.files):
                found.append(
                    (path.stem, {key: torch.from_numpy(np.array(arrays[key])) for key in arrays.files})
                )
    if not found:
        pytest.skip("no saved criteria")
    return found


def keys_like(theirs: dict, pattern: str) -> dict:
    """Groups of the keys that match, by key."""
    found = {key: re.fullmatch(pattern, key) for key in theirs}
    return {key: match.groups() for key, match in found.items() if match}


def with_gradient(function, x: torch.Tensor) -> tuple:
    x = x.clone().requires_grad_()
    loss = function(x)
    loss.backward()
    return loss.detach(), x.grad


def test_arcface_losses_and_gradients_are_the_authors(criteria, close, gradients_close):
    for name, theirs in criteria:
        found = keys_like(theirs, r"arcface_loss_scale([\d.]+)_margin([\d.]+)")
        for key, pair in found.items():
            scale, margin = map(float, pair)
            target = theirs["arcface_target"]
            loss, gradient = with_gradient(
                lambda x, t=target, s=scale, m=margin: arcface_loss(x, t, s, m), theirs["arcface_cos"]
            )
            close(f"{name}.{key}", loss, theirs[key], RELATIVE)
            gradients_close(name, theirs, {key.replace("loss", "grad"): gradient})


def test_arcface_gradient_is_finite_where_the_authors_is_not(criteria, close):
    for name, theirs in criteria:
        for key, (place, sign) in keys_like(
            theirs, r"arcface_(target|nontarget)_(one|minus_one)_loss"
        ).items():
            target = theirs["arcface_target"]
            own = int(target[0])
            classes = range(theirs["arcface_cos"].shape[1])
            columns = [own] if place == "target" else [c for c in classes if c != own]
            losses = []
            for column in columns:
                cosine = theirs["arcface_cos"].clone()
                cosine[0, column] = 1.0 if sign == "one" else -1.0
                loss, gradient = with_gradient(lambda x, t=target: arcface_loss(x, t, 32.0, 0.5), cosine)
                assert torch.isfinite(gradient).all(), key
                losses.append(loss)
            nearest = min(losses, key=lambda loss, key=key: abs(float(loss) - float(theirs[key])))
            close(f"{name}.{key}", nearest, theirs[key], RELATIVE)


def test_cmsc_losses_and_gradients_are_the_authors(criteria, close, gradients_close):
    for name, theirs in criteria:
        gradients = {}
        for key, (case,) in keys_like(theirs, r"cmsc_(.+)_loss").items():
            patient, segment = theirs[f"cmsc_{case}_patient_id"], theirs[f"cmsc_{case}_segment"]
            loss, gradient = with_gradient(
                lambda x, p=patient, s=segment: cmsc_loss(x, p, s), theirs[f"cmsc_{case}_features"]
            )
            close(f"{name}.{key}", loss, theirs[key])
            gradients[f"cmsc_{case}_grad"] = gradient
        gradients_close(name, theirs, gradients)
