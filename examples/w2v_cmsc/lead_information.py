"""What lead masks leave of a recording, by algebra and measured: the tables in this folder's README.

    python examples/w2v_cmsc/lead_information.py /data/ptb-xl/records500 /data/challenge-2021/training

Every mask that a selection can draw counts with its probability; nothing is drawn. Recordings are taken that
have all twelve leads, none of them flat; the others are counted. "Explained" is the share of a masked lead's
variance that linear regression from the leads that are left explains, 0 where none is left: a mean over
masked leads. "Pooled" fits one regression to all recordings of a folder, each divided by its mean standard
deviation; "own" fits each recording by itself. Leads are centred, and not filtered.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import NamedTuple

import numpy as np
from scipy.special import comb
from scipy.stats import binom

from fairseq_signals import read_recordings
from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS, LIMB_LEADS, N_LEADS, complete_leads
from fairseq_signals.errors import ConfigError, FairseqSignalsError

LIMB, INDEPENDENT = (np.isin(LEADS, group) for group in (LIMB_LEADS, INDEPENDENT_LEADS))
#: All masks, (4096, 12) bool, True where a lead is masked.
MASKS = np.array(list(itertools.product((False, True), repeat=N_LEADS)))
#: Selections of random lead masking, each with its probability, or its numbers of limb and chest leads.
SELECTIONS: tuple[tuple[str, float | tuple[int, int]], ...] = (
    *(("random", p) for p in (0.25, 0.5, 0.75)),
    ("conditional", (4, 5)),
    *(("independent", p) for p in (0.25, 0.5, 0.75)),
)
#: Added to the variance of leads that others are predicted from, as a share of the mean variance: otherwise
#: there is no one regression where they depend on each other.
RIDGE = 1e-9


def probabilities(selection: str, value: float | tuple[int, int]) -> np.ndarray:
    """How probable each of MASKS is in `RandomLeadMask`, (4096,); `value` as in SELECTIONS."""
    n = np.arange(7)
    if isinstance(value, tuple):
        by_limb, by_chest = (n == count for count in value)
    else:
        by_limb = by_chest = binom.pmf(n, 6, value)
    if selection == "independent":
        by_limb = np.zeros(7)
        by_limb[[0, 5, 6]] = binom.pmf([0, 1, 2], 2, value)
    limb, chest = MASKS[:, LIMB].sum(axis=1), MASKS[:, ~LIMB].sum(axis=1)
    return (by_limb / comb(6, n))[limb] * (by_chest / comb(6, n))[chest]


def by_algebra(probability: np.ndarray) -> dict[str, float]:
    """What follows from the limb leads' relations alone.

    The share that is left of the eight dimensions and of the limb leads' two; how often two or more limb
    leads are left, which give the other four; and the share of masked limb leads that are given so.
    """
    left = ~MASKS
    n_limb = left[:, LIMB].sum(axis=1)
    dimensions = np.minimum(n_limb, 2)
    masked_limb = probability * (6 - n_limb)
    return {
        "of 8 dimensions": probability @ (dimensions + left[:, ~LIMB].sum(axis=1)) / 8,
        "of 2 limb": probability @ dimensions / 2,
        "two limb leads left": probability @ (n_limb >= 2),
        "masked limb leads given": masked_limb @ (n_limb >= 2) / masked_limb.sum(),
    }


def explained(covariance: np.ndarray) -> np.ndarray:
    """The explained share of each lead where it is masked, (4096, 12), mean over recordings; else 0.

    Args:
        covariance: (R, 12, 12) of recordings.
    """
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    ridged = covariance + RIDGE * variance.mean(axis=1)[:, None, None] * np.eye(N_LEADS)
    share = np.zeros(MASKS.shape)
    for masked, row in zip(MASKS[1:-1], share[1:-1]):  # but none and all
        common = covariance[:, ~masked][:, :, masked]
        predicted = (common * np.linalg.solve(ridged[:, ~masked][:, :, ~masked], common)).sum(axis=1)
        row[masked] = (predicted / variance[:, masked]).mean(axis=0)
    return share


def mean_explained(share: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """The mean of `explained` over masked leads: over those of the limbs, of the chest, and all."""
    weight = probability[:, None] * MASKS
    groups = {"limb": LIMB, "chest": ~LIMB, "all": LIMB | ~LIMB}
    return {name: (weight * share)[:, g].sum() / weight[:, g].sum() for name, g in groups.items()}


def deviation(covariance: np.ndarray) -> np.ndarray:
    """What III, aVR, aVL and aVF are beside what I and II give, as a share of their variance: (R,)."""
    rest = np.eye(N_LEADS)
    rest[:, INDEPENDENT] -= complete_leads(np.eye(8))
    left_over = np.einsum("kl,rlm,km->r", rest, covariance, rest)
    return left_over / np.diagonal(covariance, axis1=1, axis2=2)[:, 2:6].sum(axis=1)


class Corpus(NamedTuple):
    """The recordings' covariances, (R, 12, 12) in mV squared, and how many were left out."""

    covariance: np.ndarray
    left_out: int


def read_corpus(folder: str) -> Corpus:
    """The recordings below a folder.

    Raises:
        ConfigError: there is no such folder, or no recording with twelve leads in it.
    """
    covariance, n = [], 0
    for recording in read_recordings(folder):
        n += 1
        if set(recording.leads) == set(LEADS):
            order = [recording.leads.index(name) for name in LEADS]
            covariance.append(np.cov(recording.signal_mv[order].astype(np.float64)))
    kept = [of for of in covariance if np.diagonal(of).all()]
    if not kept:
        raise ConfigError(f"{folder}: none of {n} recordings has twelve leads that are not flat; name others")
    return Corpus(np.array(kept), n - len(kept))


def print_row(*cells: object) -> None:
    print("|", " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells), "|")


def main() -> int:
    """Print a table of the selections, then one of each folder's recordings; 1 where a folder has none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", help="recordings with twelve leads, each folder a table")
    args = parser.parse_args()
    weights = {f"`{name}`, {value}": probabilities(name, value) for name, value in SELECTIONS}
    print_row("selection", *by_algebra(probabilities("random", 0.5)))
    for name, probability in weights.items():
        print_row(name, *map(float, by_algebra(probability).values()))
    try:
        corpora = {folder: read_corpus(folder) for folder in args.folders}
    except FairseqSignalsError as error:
        print(f"{parser.prog}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    for folder, (covariance, left_out) in corpora.items():
        off = np.quantile(deviation(covariance), [0.5, 0.95])
        print(f"\n{folder}: {len(covariance)} recordings, {left_out} left out; limb leads deviate from their "
              f"relations by {off[0]:.2g} of the variance (median), {off[1]:.2g} (95 %)\n")  # fmt: skip
        scale = np.trace(covariance, axis1=1, axis2=2)[:, None, None]
        shares = [explained((covariance / scale).mean(axis=0, keepdims=True)), explained(covariance)]
        print_row(
            "selection", *(f"{fit}: {of}" for fit in ("pooled", "own") for of in ("limb", "chest", "all"))
        )
        for name, probability in weights.items():
            print_row(name, *(float(x) for s in shares for x in mean_explained(s, probability).values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
