"""ts2vec: which frames of a batch are a pair, that padding counts for nothing, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from fairseq_signals.criterions.ts2vec import TS2VecCriterion, TS2VecCriterionConfig
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.hierarchical_contrast import hierarchical_loss


def build(task: object = None, **options) -> TS2VecCriterion:
    return TS2VecCriterion(TS2VecCriterionConfig(**options), task)


@pytest.mark.parametrize("options", [{}, {"alpha": 0.2, "temp": 3.0}])
def test_the_loss_is_that_of_the_projected_frames_of_both_views(options, make_contrastive, views):
    sample, model = views(), make_contrastive(projection="linear")
    loss, n, log = build(**options)(model, sample)
    x = model(**sample["net_input"]).x
    frames = x @ model.projection.weight.T + model.projection.bias
    expected = hierarchical_loss(
        frames[0::2], frames[1::2], None, options.get("alpha", 0.5), options.get("temp", 1.0)
    )
    assert loss.item() == pytest.approx(6 * expected.item(), rel=1e-5)
    assert (n, int(log["positive_pairs"]), log["anchors"]) == (6, 6, 12)


def test_pairs_are_found_whatever_the_order_of_the_batch(make_contrastive, views):
    sample, model, criterion = views(), make_contrastive(), build()
    order = torch.randperm(12)
    shuffled = {key: value[order] for key, value in sample.items() if key != "net_input"}
    shuffled["net_input"] = {"source": sample["net_input"]["source"][order], "padding_mask": None}
    assert criterion(model, shuffled)[0].item() == pytest.approx(criterion(model, sample)[0].item(), rel=1e-5)


def test_frames_of_padding_are_left_out(make_contrastive, views):
    sample, model, criterion = views(), make_contrastive(), build()
    source = sample["net_input"]["source"]
    sample["net_input"]["padding_mask"] = padding = torch.zeros(12, source.shape[2], dtype=torch.bool)
    padding[4:6, 160:] = True  # 10 of 20 frames
    loss, _, _ = criterion(model, sample)
    frames = model(source, padding).x
    n_frames = torch.tensor([20, 20, 10, 20, 20, 20])
    assert loss.item() == pytest.approx(
        6 * hierarchical_loss(frames[0::2], frames[1::2], n_frames).item(), rel=1e-5
    )


@pytest.mark.parametrize("n_views", [1, 3, 12])
def test_other_numbers_of_views_than_two_are_refused(n_views):
    message = rf"ts2vec contrasts two views .* but the task makes {n_views}: set task.views=2"
    with pytest.raises(ConfigError, match=message):
        build(SimpleNamespace(n_views=n_views, pairs=False))
    build(SimpleNamespace(n_views=2, pairs=False))


@pytest.mark.parametrize("alpha", [-0.1, 1.5])
def test_a_weight_that_is_no_share_is_refused_by_name(alpha):
    with pytest.raises(ConfigError, match=rf"criterion\.alpha must be in \[0, 1\], but is {alpha} instead"):
        build(alpha=alpha)
