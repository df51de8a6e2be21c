"""What is trained on a frozen encoder: linear maps, neighbours, and learnt attention over frames.

A head gives (N, K) `outputs` of features: logits of K classes, or K standardised targets. N recordings (of
the attentive head: segments), D features, F frames.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from fairseq_signals.metrics.classification import classification_metrics
from fairseq_signals.modules.pooling import AttentivePooling

#: Strengths of regularisation that logistic regression chooses from (scikit-learn's C).
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: The same of ridge regression (scikit-learn's alpha).
PENALTIES = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5)
#: Numbers of neighbours to choose from; those count by exp(cosine / TEMPERATURE), as in Wu et al.,
#: Unsupervised feature learning via non-parametric instance discrimination, CVPR 2018, Sec. 3.4.
NEIGHBOURS, TEMPERATURE = (1, 3, 10, 30, 100), 0.07
#: Logit of a class that all training recordings have; the reverse where none has it.
CERTAIN = 10.0
#: The attentive head: AdamW, until the valid split has not become better for so many epochs and updates.
LEARNING_RATE, WEIGHT_DECAY, BATCH = 2e-3, 1e-4, 64
PATIENCE_EPOCHS, PATIENCE_UPDATES, MAX_UPDATES = 5, 300, 10_000


class Head(Protocol):
    """What was trained."""

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """(N, D), of the attentive head (N, F, D) -> (N, K)."""
        ...


class Linear:
    """A linear map of features that are standardised as those of training were.

    Args:
        mean, std: (D,) of the training features.
        weight: (K, D).
        bias: (K,).
    """

    def __init__(self, mean: np.ndarray, std: np.ndarray, weight: np.ndarray, bias: np.ndarray):
        self.mean, self.std, self.weight, self.bias = mean, std, weight, bias

    def outputs(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) / self.std @ self.weight.T + self.bias


class Neighbours:
    """The mean of the labels of the nearest training recordings by cosine of standardised features.

    Args:
        features: (N, D) of training.
        labels: (N, K), bool of classes, or numbers.
        n: how many neighbours.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, n: int):
        from sklearn.neighbors import NearestNeighbors

        self.mean, self.std = moments_of(features)
        self.labels = labels
        self.nearest = NearestNeighbors(n_neighbors=n, metric="cosine").fit((features - self.mean) / self.std)

    def outputs(self, features: np.ndarray) -> np.ndarray:
        distance, index = self.nearest.kneighbors((features - self.mean) / self.std)  # (N, n)
        weight = np.exp(-distance / TEMPERATURE)
        found = np.einsum("nk,nkc->nc", weight / weight.sum(axis=1, keepdims=True), self.labels[index])
        if self.labels.dtype != bool:
            return found
        lowest = 1 / (1 + np.exp(CERTAIN))
        share = found.clip(lowest, 1 - lowest)
        return np.log(share / (1 - share))


class Attentive(nn.Module):
    """Learnt attention over frames, then a norm and a linear layer: (B, F, D) -> logits (B, C).

    Of several layers (B, layers, F, D), it first takes a mean with learnt weights, equal at first.
    """

    def __init__(self, dim: int, n_classes: int, n_layers: int = 1):
        super().__init__()
        self.mix = nn.Parameter(torch.zeros(n_layers))
        self.pool = AttentivePooling(dim, next(n for n in (4, 2, 1) if dim % n == 0))
        self.norm, self.proj = nn.LayerNorm(dim), nn.Linear(dim, n_classes)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        if frames.dim() == 4:
            frames = torch.einsum("l,blfd->bfd", self.mix.softmax(dim=0), frames)
        return self.proj(self.norm(self.pool(frames)))

    @torch.no_grad()
    def outputs(self, frames: np.ndarray) -> np.ndarray:
        """(N, F, D) or (N, layers, F, D) -> (N, C)."""
        return np.concatenate(
            [self(torch.from_numpy(np.float32(part))).numpy() for part in in_batches(frames)]
        )


def fit_logistic(
    train: np.ndarray, labels: np.ndarray, valid: np.ndarray, truth: np.ndarray, seed: int = 0
) -> Linear:
    """The logistic regressions whose strength is best on the valid split; nothing in it is random.

    Args:
        train, valid: (N, D) features.
        labels, truth: (N, C) bool, the classes of train and of valid.
        seed: not used.
    """
    return max(logistic(train, labels), key=lambda head: score(head.outputs(valid), truth))


def logistic(
    features: np.ndarray, labels: np.ndarray, strengths: Sequence[float] = STRENGTHS
) -> list[Linear]:
    """One logistic regression a class, for each strength; a class without both outcomes is constant."""
    from sklearn.linear_model import LogisticRegression

    mean, std = moments_of(features)
    scaled = (features - mean) / std
    weight = np.zeros((len(strengths), labels.shape[1], features.shape[1]))
    bias = np.tile(np.where(labels.all(axis=0), CERTAIN, -CERTAIN), (len(strengths), 1))
    for c in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
        fitted: Any = LogisticRegression(max_iter=300, warm_start=True)  # from one strength to the next
        for i, strength in enumerate(strengths):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # not converged: the valid split decides
                fitted.set_params(C=strength).fit(scaled, labels[:, c])
            weight[i, c], bias[i, c] = fitted.coef_[0], fitted.intercept_[0]
    return [Linear(mean, std, *of) for of in zip(weight, bias)]


def fit_ridge(
    train: np.ndarray, targets: np.ndarray, valid: np.ndarray, truth: np.ndarray, seed: int = 0
) -> Linear:
    """Ridge regression with the penalty that is best on the valid split; arguments as of `fit_logistic`.

    Args:
        targets, truth: (N, K) standardised.
    """
    from sklearn.linear_model import Ridge

    mean, std = moments_of(train)
    fitted = (Ridge(alpha=alpha).fit((train - mean) / std, targets) for alpha in PENALTIES)
    heads = [Linear(mean, std, np.atleast_2d(of.coef_), np.atleast_1d(of.intercept_)) for of in fitted]
    return max(heads, key=lambda head: score(head.outputs(valid), truth))


def fit_neighbours(
    train: np.ndarray, labels: np.ndarray, valid: np.ndarray, truth: np.ndarray, seed: int = 0
) -> Neighbours:
    """As many neighbours as are best on the valid split; arguments as of `fit_logistic` or `fit_ridge`."""
    heads = [Neighbours(train, labels, n) for n in NEIGHBOURS if n <= len(train)]
    return max(heads, key=lambda head: score(head.outputs(valid), truth))


def fit_attentive(
    train: np.ndarray, labels: np.ndarray, valid: np.ndarray, truth: np.ndarray, seed: int = 0
) -> Attentive:
    """The attentive head after the epoch that is best on the valid split.

    Args:
        train, valid: frames (N, F, D), or of several layers (N, layers, F, D).
        labels, truth: (N, C) bool, the classes of train and of valid.
        seed: of the initial weights and the order of training.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    head = Attentive(train.shape[-1], labels.shape[1], train.shape[1] if train.ndim == 4 else 1)
    optimizer = torch.optim.AdamW(head.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, best_state, epochs, updates = -np.inf, head.state_dict(), 0, 0
    for _ in range(-(-MAX_UPDATES * BATCH // len(train))):
        for rows in in_batches(rng.permutation(len(train))):
            rows = np.sort(rows)  # the frames are on disk
            logits = head(torch.from_numpy(np.float32(train[rows])))
            target = torch.from_numpy(np.float32(labels[rows]))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
        epochs += 1
        value = score(head.outputs(valid), truth)
        if value > best:
            best, epochs, updates = value, 0, 0
            best_state = {key: tensor.clone() for key, tensor in head.state_dict().items()}
        if epochs >= PATIENCE_EPOCHS and updates >= PATIENCE_UPDATES:
            break
    head.load_state_dict(best_state)
    return head


def moments_of(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D,), the latter above 0."""
    return features.mean(axis=0), features.std(axis=0) + 1e-6


def in_batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows in parts of at most BATCH."""
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def score(outputs: np.ndarray, truth: np.ndarray) -> float:
    """How good outputs (N, K) are, the higher the better.

    Of classes the macro AUROC; where none has both outcomes, minus the mean cross entropy. Of targets minus
    the mean squared error.
    """
    if truth.dtype != bool:
        return -float(((outputs - truth) ** 2).mean())
    value = float(classification_metrics(truth, 1 / (1 + np.exp(-outputs.clip(-50, 50))))["auroc"])
    entropy = np.logaddexp(0, np.where(truth, -outputs, outputs)).mean()
    return value if np.isfinite(value) else -float(entropy)
