"""Scores of written reports."""

import numpy as np
import pytest

from fairseq_signals.metrics.text import bleu, findings_metrics

TRUTH = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_findings_are_scored_each_and_together():
    found = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    scores = findings_metrics(TRUTH, found)
    # 1 of 2, none wrong; both; true nowhere; nowhere at all
    np.testing.assert_allclose(scores.pop("f1_findings"), [2 / 3, 1, 0, np.nan])
    assert scores == {"macro_f1": pytest.approx(5 / 6), "micro_f1": pytest.approx(6 / 8), "exact_match": 0.5}


def test_the_same_report_for_everybody_has_the_score_of_its_findings_alone():
    constant = np.tile([1, 0, 0, 0], (4, 1))
    scores = findings_metrics(TRUTH, constant)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert findings_metrics(TRUTH, TRUTH)["macro_f1"] == 1
    assert np.isnan(findings_metrics(0 * TRUTH, constant)["macro_f1"])


def test_reports_without_their_findings_are_refused():
    with pytest.raises(ValueError, match="must have one shape"):
        findings_metrics(TRUTH, TRUTH[:2])


def test_bleu_is_100_of_the_same_words_and_0_of_others():
    reports = ["sinus rhythm with first degree av block", "atrial flutter and low voltages in limb leads"]
    assert bleu(reports, reports) == pytest.approx(100)
    assert bleu(["aa bb cc dd ee", "ff gg hh ii jj"], reports) == pytest.approx(0, abs=3)


def test_bleu_is_the_mean_of_the_logarithms_of_precisions():
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 quadruples; as long as the true one
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu(["a b c d e"], ["a b c d f"]) == pytest.approx(expected)


@pytest.mark.parametrize("written", [[], ["a", "b"]])
def test_bleu_wants_a_written_report_for_each_true_one(written):
    with pytest.raises(ValueError, match="true ones"):
        bleu(written, ["a"])
