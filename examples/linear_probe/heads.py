"""The two heads: logistic regression on mean-pooled embeddings, and learnt attention over frames."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from fairseq_signals.metrics.classification import classification_metrics
from fairseq_signals.modules.pooling import AttentivePooling

#: Strengths of regularisation that logistic regression chooses from (scikit-learn's C).
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: The attentive head: AdamW, until the valid split has not become better for so many epochs and updates.
LEARNING_RATE, WEIGHT_DECAY, BATCH = 2e-3, 1e-4, 64
PATIENCE_EPOCHS, PATIENCE_UPDATES, MAX_UPDATES = 5, 300, 10_000


class Logistic:
    """One logistic regression a class on standardised features; a class without both outcomes is constant."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, strength: float):
        from sklearn.linear_model import LogisticRegression

        self.mean, self.std = features.mean(axis=0), features.std(axis=0) + 1e-6
        scaled = self._scaled(features)
        self.weight = np.zeros((labels.shape[1], features.shape[1]))
        self.bias = np.where(labels.all(axis=0), 10.0, -10.0)
        for c in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # not converged: the valid split decides
                fitted = LogisticRegression(C=strength, max_iter=300).fit(scaled, labels[:, c])
            self.weight[c], self.bias[c] = fitted.coef_[0], fitted.intercept_[0]

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) / self.std

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""
        return self._scaled(features) @ self.weight.T + self.bias


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
    def logits(self, frames: np.ndarray) -> np.ndarray:
        """(N, F, D) or (N, layers, F, D) -> (N, C)."""
        return np.concatenate(
            [self(torch.from_numpy(np.float32(part))).numpy() for part in in_batches(frames)]
        )


def fit_logistic(
    train: np.ndarray, labels: np.ndarray, valid: np.ndarray, truth: np.ndarray, seed: int = 0
) -> Logistic:
    """The logistic regression whose strength is best on the valid split; nothing in it is random.

    Args:
        train, valid: (N, D) features.
        labels, truth: (N, C) bool, the classes of train and of valid.
        seed: not used.
    """
    heads = [Logistic(train, labels, strength) for strength in STRENGTHS]
    return max(heads, key=lambda head: score(head.logits(valid), truth))


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
        value = score(head.logits(valid), truth)
        if value > best:
            best, epochs, updates = value, 0, 0
            best_state = {key: tensor.clone() for key, tensor in head.state_dict().items()}
        if epochs >= PATIENCE_EPOCHS and updates >= PATIENCE_UPDATES:
            break
    head.load_state_dict(best_state)
    return head


def in_batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows in parts of at most BATCH."""
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def score(logits: np.ndarray, truth: np.ndarray) -> float:
    """Macro AUROC of logits (N, C); where no class has both outcomes, minus the mean cross entropy."""
    value = float(classification_metrics(truth, 1 / (1 + np.exp(-logits.clip(-50, 50))))["auroc"])
    entropy = np.logaddexp(0, np.where(truth, -logits, logits)).mean()
    return value if np.isfinite(value) else -float(entropy)
