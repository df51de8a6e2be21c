"""Episodes of a few classes with a few examples each, answered from embeddings (K-shot, N-way).

Questions of few-shot ECG-QA (Tang et al., arXiv:2410.14464) are put so; here without a language model: what
embeddings alone tell. Unlike there, nobody is in both the examples and the queries of an episode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fairseq_signals.errors import ConfigError

_TRIES = 200  # sets of classes for an episode
_STRENGTH = 1.0  # scikit-learn's C of logistic regression on standardised vectors


class Episode(NamedTuple):
    """Which records are examples and which are to be told.

    Args:
        support, query: indices of records, (N K,) and (N Q,).
        support_class, query_class: of each of them, from 0 to N - 1.
    """

    support: np.ndarray
    support_class: np.ndarray
    query: np.ndarray
    query_class: np.ndarray


def episodes(
    classes: np.ndarray, patients: np.ndarray, ways: int, shots: int, queries: int, n: int, seed: int
) -> Iterator[Episode]:
    """Draw episodes: N classes, of each K examples and Q queries, which have no other of the N classes.

    Args:
        classes: (R, C) bool, those of each record.
        patients: (R,) of each record.
        ways, shots, queries: N, K, Q.
        n: episodes.
        seed: decides all of them.

    Raises:
        ConfigError: no N classes were found that have as many records of other patients.
    """
    rng = np.random.default_rng(seed)
    _, person = np.unique(patients, return_inverse=True)
    enough = np.flatnonzero(classes.sum(axis=0) >= shots + queries)
    for _ in range(n):
        for _ in range(_TRIES if len(enough) >= ways else 0):
            found = _episode(classes[:, rng.choice(enough, ways, replace=False)], person, shots, queries, rng)
            if found is not None:
                yield found
                break
        else:
            raise ConfigError(
                f"no {ways} classes have {shots} examples and {queries} queries each, of different patients "
                f"and of one of them alone, among {len(classes):,} records; ask for fewer"
            )


def _episode(
    classes: np.ndarray, person: np.ndarray, shots: int, queries: int, rng: np.random.Generator
) -> Episode | None:
    """An episode of these classes (R, N), or None where they have too few records."""
    order = rng.permutation(np.flatnonzero(classes.sum(axis=1) == 1))
    of_class = [order[classes[order, c]] for c in range(classes.shape[1])]
    if min(map(len, of_class)) < shots + queries:
        return None
    support = np.concatenate([found[:shots] for found in of_class])
    others = [found[shots:][~np.isin(person[found[shots:]], person[support])] for found in of_class]
    if min(map(len, others)) < queries:
        return None
    query = np.concatenate([found[:queries] for found in others])
    number = np.arange(len(of_class))
    return Episode(support, np.repeat(number, shots), query, np.repeat(number, queries))


def nearest_mean(support: np.ndarray, support_class: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The class whose examples' mean is nearest by cosine: vectors (N K, D) and (N Q, D) to (N Q,)."""
    unit = _unit(support)
    means = np.stack([unit[support_class == c].mean(axis=0) for c in np.unique(support_class)])
    return (_unit(query) @ _unit(means).T).argmax(axis=1)


def logistic(support: np.ndarray, support_class: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The class by logistic regression on vectors that are standardised as the examples."""
    from sklearn.linear_model import LogisticRegression

    mean, std = support.mean(axis=0), support.std(axis=0).clip(1e-6)
    head = LogisticRegression(C=_STRENGTH, max_iter=1000).fit((support - mean) / std, support_class)
    return head.predict((query - mean) / std)


#: By name, how queries are told from examples.
PROBES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "nearest mean": nearest_mean,
    "logistic": logistic,
}


def accuracy(vectors: np.ndarray, drawn: list[Episode], probe: str) -> tuple[float, float]:
    """Mean accuracy over episodes, and half of its 95 % interval.

    Args:
        vectors: (R, D) of the records.
        drawn: one episode at least.
        probe: of `PROBES`.
    """
    tell = PROBES[probe]
    right = [
        float((tell(vectors[one.support], one.support_class, vectors[one.query]) == one.query_class).mean())
        for one in drawn
    ]
    half = 1.96 * float(np.std(right, ddof=1)) / math.sqrt(len(right)) if len(right) > 1 else float("nan")
    return float(np.mean(right)), half


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
