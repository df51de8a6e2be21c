"""SimCLR: the positives of a view are the other views of its segment, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from fairseq_signals.criterions.simclr import SimCLRCriterion, SimCLRCriterionConfig
from fairseq_signals.modules.nt_xent import nt_xent_loss


@pytest.fixture
def criterion() -> SimCLRCriterion:
    return SimCLRCriterion(SimCLRCriterionConfig(), None)


def test_positives_are_the_other_views_of_the_same_segment(criterion):
    row = torch.tensor([7, 7, 2, 2, 9, 2])
    z = torch.randn(6, 4)
    loss, positive, compared = criterion.contrast(z, {"segment_row": row})
    assert positive.nonzero().tolist() == [[0, 1], [1, 0], [2, 3], [2, 5], [3, 2], [3, 5], [5, 2], [5, 3]]
    assert compared is None
    assert loss == nt_xent_loss(z, positive, 0.1)


def test_the_other_segment_of_a_patient_is_a_negative(criterion, make_contrastive, views):
    sample = views(patients=(4, 4), n_segments=2, n_views=2)
    model = make_contrastive()
    with torch.no_grad():
        loss, n, log = criterion(model, sample)
        g = model.global_representation(model(**sample["net_input"]))
    expected = nt_xent_loss(g, torch.block_diag(*torch.ones(4, 2, 2)).bool(), 0.1)
    assert loss.item() == pytest.approx(4 * expected.item(), rel=1e-5)
    assert n == 4
    assert int(log["positive_pairs"]) == 4


@pytest.mark.parametrize("n", [1, 5])
def test_identical_views_of_n_segments_give_log_of_2n_minus_1(criterion, make_contrastive, views, n):
    sample = views(patients=tuple(range(n)), n_segments=1, n_views=2)
    source = sample["net_input"]["source"]
    sample["net_input"]["source"] = source[:1].expand_as(source).contiguous()
    loss, n_segments, _ = criterion(make_contrastive().eval(), sample)
    assert n_segments == n
    assert loss.item() / n == pytest.approx(math.log(2 * n - 1), abs=1e-5)


def test_order_of_the_batch_does_not_matter(criterion, make_contrastive, views):
    sample, model = views(), make_contrastive()
    order = torch.randperm(12)
    shuffled = {key: value[order] for key, value in sample.items() if key != "net_input"}
    shuffled["net_input"] = {"source": sample["net_input"]["source"][order], "padding_mask": None}
    assert criterion(model, shuffled)[0].item() == pytest.approx(criterion(model, sample)[0].item(), rel=1e-5)
