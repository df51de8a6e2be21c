"""3KG: all segments and views of one patient are positives, however many recordings the patient has."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.three_kg import ThreeKGCriterion, ThreeKGCriterionConfig


@pytest.fixture
def criterion() -> ThreeKGCriterion:
    return ThreeKGCriterion(ThreeKGCriterionConfig(temp=0.2), None)


def test_all_recordings_of_a_patient_are_positives_of_each_other(criterion):
    # patient 4: two recordings with two views each; patient 6: one with two; patient 8: a single view
    patient = torch.tensor([4, 4, 6, 4, 6, 4, 8])
    z = torch.randn(7, 5)
    loss, positive, compared = criterion.contrast(z, {"patient_id": patient})
    assert compared is None
    assert positive.sum(dim=1).tolist() == [3, 3, 1, 3, 1, 3, 0]
    assert not positive.diagonal().any()
    unit = F.normalize(z.double(), dim=1)
    terms = []
    for i in range(6):
        others = [k for k in range(7) if k != i]
        total = sum(math.exp(float(unit[i] @ unit[k]) / 0.2) for k in others)
        own = [float(unit[i] @ unit[j]) / 0.2 for j in others if patient[j] == patient[i]]
        terms.append(sum(math.log(total) - s for s in own) / len(own))
    assert loss.item() == pytest.approx(sum(terms) / 6, rel=1e-5)


def test_patients_with_many_recordings_weigh_no_more_per_row(criterion):
    # every row is an anchor once: rows of a patient with three recordings do not count once for each pair
    z = torch.eye(6)
    patient = torch.tensor([0, 0, 1, 1, 1, 1])
    loss = criterion.contrast(z, {"patient_id": patient}).loss
    assert loss.item() == pytest.approx(math.log(5), abs=1e-5)  # all cosines 0: five others are alike


def test_with_one_recording_a_patient_it_is_simclr_on_views(criterion, make_contrastive, views):
    from fairseq_signals.criterions.simclr import SimCLRCriterion, SimCLRCriterionConfig

    sample, model = views(n_segments=1), make_contrastive()
    other = SimCLRCriterion(SimCLRCriterionConfig(temp=0.2), None)
    assert criterion(model, sample)[0].item() == other(model, sample)[0].item()
    sample = views(n_segments=2)  # and no longer with two segments each
    assert criterion(model, sample)[0].item() != pytest.approx(other(model, sample)[0].item(), rel=1e-3)


def test_on_two_records_of_each_patient_it_is_simclr_whose_views_they_are(criterion, make_contrastive, views):
    from fairseq_signals.criterions.simclr import SimCLRCriterion, SimCLRCriterionConfig

    sample, model = views(n_segments=2, n_views=1), make_contrastive()  # as task.item=patient gives them
    as_views = {**sample, "segment_row": sample["patient_id"]}
    other = SimCLRCriterion(SimCLRCriterionConfig(temp=0.2), None)
    loss, n, _ = criterion(model, sample)
    simclr, n_views, _ = other(model, as_views)
    assert (loss / n).item() == (simclr / n_views).item()


def test_pairs_of_segments_alone_are_positives(criterion, make_contrastive, views):
    _, n, log = criterion(make_contrastive(), views(n_segments=2, n_views=1))
    assert n == 6
    assert int(log["positive_pairs"]) == 3
    assert log["anchors"] == 6
