"""Scores of written reports: by what they say, and by how they say it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sacrebleu

from fairseq_signals.metrics.classification import (
    as_binary,
    check_same_shape,
    exact_match,
    f_measure_per_class,
    nan_mean,
)


def findings_metrics(truth: np.ndarray, found: np.ndarray) -> dict[str, float | np.ndarray]:
    """How far written reports have the findings of the true ones.

    Args:
        truth, found: which true and which written report has which finding, (N, C) of 0 and 1.

    Returns:
        `macro_f1`, the mean over the findings that a true report has, so that it is over the same ones
        whatever is written; `micro_f1`, of all findings together, which counts those that no true report has
        against what is written; `exact_match`, the share of reports with just the true findings;
        `f1_findings` (C,), NaN of findings in no report. NaN where nothing is to be found.
    """
    truth, found = as_binary(truth, "truth"), as_binary(found, "found")
    check_same_shape(truth=truth, found=found)
    per_finding = f_measure_per_class(truth, found)
    micro = f_measure_per_class(truth.reshape(-1, 1), found.reshape(-1, 1))
    return {
        "macro_f1": nan_mean(per_finding[truth.any(axis=0)]),
        "micro_f1": float(micro[0]),
        "exact_match": exact_match(truth, found),
        "f1_findings": per_finding,
    }


def bleu(written: Sequence[str], truth: Sequence[str]) -> float:
    """BLEU of a corpus from 0 to 100, by sacreBLEU with its default tokens.

    It rewards the commonest report: tell it beside the findings, never alone.

    Raises:
        ValueError: there are not as many written reports as true ones, or none.
    """
    if len(written) != len(truth) or not truth:
        raise ValueError(f"there are {len(written)} written reports for {len(truth)} true ones")
    return float(sacrebleu.corpus_bleu(list(written), [list(truth)]).score)
