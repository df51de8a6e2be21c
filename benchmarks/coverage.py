"""Coverage of the 95 % intervals of `fairseq-signals evaluate`: how often they hold the true value.

    python benchmarks/coverage.py                  # 1 000 repetitions, twenty minutes on one core
    python benchmarks/coverage.py --repetitions 100 --only 200

Scores are binormal: those of records with a class are N(d, 1), of others N(0, 1), so that the AUROC is
Phi(d / sqrt(2)), and the average precision of the population an integral. Clustered: 5 records a patient;
half of the variance of scores, and of what decides the label, is the patient's. The challenge score of 5
classes has its true value from a million records. Each row gives the coverage in per cent of this project's
interval and of the percentile bootstrap, and the share of intervals above and below the truth.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import norm

from fairseq_signals.metrics.bootstrap import intervals_from, resampled
from fairseq_signals.metrics.cinc2021 import score_terms
from fairseq_signals.metrics.weighted import Areas, Statistic, share

PER_PATIENT, SHARED = 5, 0.5
REWARDS = np.eye(5) + 0.3 * (1 - np.eye(5))


class Population(NamedTuple):
    """Classes by their AUROC and prevalence."""

    aurocs: tuple[float, ...]
    prevalences: tuple[float, ...]

    @property
    def shift(self) -> np.ndarray:
        """Mean score of the positives of each class, (C,)."""
        return np.sqrt(2) * norm.ppf(self.aurocs)

    def draw(
        self, n: int, clustered: bool, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels (n, C), scores (n, C) and patients (n,)."""
        patient = np.arange(n) // (PER_PATIENT if clustered else 1)
        part = np.sqrt(SHARED if clustered else 0)
        shape = (2, patient[-1] + 1, len(self.aurocs))
        of_patient, of_record = random.normal(size=shape)[:, patient], random.normal(size=(2, n, shape[2]))
        cause, noise = part * of_patient + np.sqrt(1 - part**2) * of_record
        labels = cause > norm.isf(self.prevalences)
        return labels, noise + labels * self.shift, patient

    def statistics(self, labels: np.ndarray, scores: np.ndarray, patient: np.ndarray) -> list[Statistic]:
        """What is measured; the threshold lies midway between the means of both outcomes."""
        found: list[Statistic] = [Areas(labels, scores, patient)]
        if len(self.aurocs) == len(REWARDS):
            terms = score_terms(labels, scores > self.shift / 2, REWARDS, 0)
            found.append(share("cinc_score", *terms, patient, scale="log loss"))
        return found

    def truth(self) -> dict[str, float]:
        """The metrics of the population."""
        limit = np.linspace(-9, 14, 100_001)[:, None]
        hits, false = norm.sf(limit - self.shift), norm.sf(limit)
        prevalence = np.array(self.prevalences)
        precision = prevalence * hits / (prevalence * hits + (1 - prevalence) * false)
        found = {
            "macro_auroc": float(np.mean(self.aurocs)),
            "macro_auprc": float(trapezoid(precision * norm.pdf(limit - self.shift), limit, axis=0).mean()),
        }
        drawn = self.statistics(*self.draw(1_000_000, False, np.random.default_rng(0)))
        for statistic in drawn[1:]:
            found[statistic.names[0]] = float(statistic.values(np.ones((statistic.n_patients, 1)))[0, 0])
        return found


POPULATIONS = [Population((a,), (p,)) for a in (0.7, 0.85, 0.95) for p in (0.1, 0.2, 0.5)]
POPULATIONS += [Population((0.7, 0.8, 0.9, 0.85, 0.95), (0.5, 0.3, 0.1, 0.2, 0.15))]


def coverage(
    population: Population, n: int, clustered: bool, repetitions: int, n_resamples: int, seed: int = 1
) -> dict[str, np.ndarray]:
    """Of each metric: shares of intervals that hold the truth, lie above it, lie below it; percentile's."""
    truth, random = population.truth(), np.random.default_rng(seed)
    counts = {name: np.zeros(4) for name in truth}
    done = 0
    while done < repetitions:
        labels, scores, patient = population.draw(n, clustered, random)
        if (labels.all(axis=0) | ~labels.any(axis=0)).any():
            continue  # not defined
        done += 1
        statistics = population.statistics(labels, scores, patient)
        draws = resampled(statistics, n_resamples, seed=done)
        found = intervals_from(statistics, draws)  # in the order of the metrics
        ends = np.nanpercentile(np.concatenate(draws), [2.5, 97.5], axis=1).T
        for (name, interval), (low, high) in zip(found.items(), ends):
            above, below = interval.low > truth[name], interval.high < truth[name]
            counts[name] += [not (above or below), above, below, low <= truth[name] <= high]
    return {name: count / repetitions for name, count in counts.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--only", type=int, choices=(200, 2000), help="records")
    args = parser.parse_args()
    start = time.time()
    print("| records | patients | AUROC | prevalence | metric | covers | above | below | percentile |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n in (200, 2000) if args.only is None else (args.only,):
        for clustered in (False, True):
            for population in POPULATIONS:
                cells = coverage(population, n, clustered, args.repetitions, args.resamples)
                for name, (held, above, below, percentile) in cells.items():
                    classes = [", ".join(f"{x:g}" for x in each) for each in population]
                    n_patients = n // PER_PATIENT if clustered else n
                    numbers = " | ".join(f"{100 * x:.1f}" for x in (held, above, below, percentile))
                    print(f"| {n} | {n_patients} | {' | '.join(classes)} | {name} | {numbers} |", flush=True)
    print(f"\n{args.repetitions} repetitions, {args.resamples} resamples: {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
