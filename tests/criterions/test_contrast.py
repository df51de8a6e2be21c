"""What contrasts between segments share: options, sample size, logging, and data that teach nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.criterions.clocs import CLOCSCriterion, CLOCSCriterionConfig
from fairseq_signals.criterions.cocoa import COCOACriterion, COCOACriterionConfig
from fairseq_signals.criterions.contrast import ContrastCriterion
from fairseq_signals.criterions.simclr import SimCLRCriterion, SimCLRCriterionConfig
from fairseq_signals.criterions.three_kg import ThreeKGCriterion, ThreeKGCriterionConfig
from fairseq_signals.criterions.ts2vec import TS2VecCriterion, TS2VecCriterionConfig
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.nt_xent import nearest_is_positive

ALL = {
    "simclr": (SimCLRCriterion, SimCLRCriterionConfig),
    "3kg": (ThreeKGCriterion, ThreeKGCriterionConfig),
    "clocs": (CLOCSCriterion, CLOCSCriterionConfig),
    "ts2vec": (TS2VecCriterion, TS2VecCriterionConfig),
    "cocoa": (COCOACriterion, COCOACriterionConfig),
}
each = pytest.mark.parametrize("name", list(ALL))


def build(name: str, task: object = None, **options) -> ContrastCriterion:
    criterion, config = ALL[name]
    return criterion(config(**options), task)


@each
@pytest.mark.parametrize("projection", ["none", "mlp"])
def test_loss_is_the_mean_times_the_number_of_segments_and_trains_every_parameter(
    name, projection, make_contrastive, views
):
    model, criterion, sample = make_contrastive(projection=projection), build(name), views()
    loss, n_segments, log = criterion(model, sample)
    loss.backward()
    assert n_segments == log["sample_size"] == 6
    assert log["nsignals"] == 12
    assert loss.item() == pytest.approx(log["loss"].item())
    g, more = criterion.represent(model, sample)
    expected = criterion.contrast(g, {**{key: sample[key] for key in criterion.keys}, **more})
    assert torch.allclose(loss, 6 * expected.loss)
    assert expected.loss > 0
    assert (log["correct"], log["anchors"]) == nearest_is_positive(g, expected.positive, expected.compared)
    for parameter_name, parameter in model.named_parameters():
        assert bool(parameter.grad.isfinite().all()), parameter_name
    assert bool(model.encoder.feature_extractor.conv_layers[0][0].weight.grad.any())


@each
def test_what_is_logged_can_be_summed_and_is_a_mean(name, reduced):
    assert ALL[name][0].logging_outputs_can_be_summed()
    keys = ("loss", "sample_size", "batches", "positive_pairs", "correct", "anchors")
    logs = [
        dict(zip(keys, (torch.tensor(6.0), 3, 1, torch.tensor(10), 6, 8))),
        dict(zip(keys, (torch.tensor(2.0), 1, 1, torch.tensor(4), 0, 2))),
    ]
    values = reduced(ALL[name][0], logs)
    assert (values["loss"], values["positive_pairs"], values["accuracy"]) == (2.0, 7.0, 0.6)
    assert reduced(ALL[name][0], [{key: sum(log[key] for log in logs) for key in keys}]) == values
    nothing = dict(zip(keys, (torch.tensor(0.0), 1, 1, torch.tensor(0), 0, 0)))
    values = reduced(ALL[name][0], [nothing])
    assert values["loss"] == 0
    assert "accuracy" not in values


@each
@pytest.mark.parametrize("temperature", [0.0, -0.1])
def test_a_temperature_that_is_not_positive_is_refused_by_name(name, temperature):
    with pytest.raises(ConfigError, match=rf"criterion\.temp must be > 0, but is {temperature} instead"):
        build(name, temp=temperature)


@each
def test_a_misspelt_key_is_named_with_its_near_misses(name):
    cfg = OmegaConf.create({"_name": name, "temp": 0.1, "all_gather": True, "tmp": 0.1})
    with pytest.raises(ConfigError, match=r"criterion\.tmp \(did you mean temp\?\)"):
        ALL[name][0].build_criterion(cfg, None)


@pytest.mark.parametrize("name", ["simclr", "3kg", "clocs"])
def test_a_larger_temperature_brings_the_loss_nearer_to_that_of_no_knowledge(name, make_contrastive, views):
    model, sample = make_contrastive(), views()
    g = model.global_representation(model(**sample["net_input"])).detach()
    losses = []
    for temperature in (0.1, 100.0):
        criterion = build(name, temp=temperature)
        losses.append(float(criterion.contrast(g, {key: sample[key] for key in criterion.keys}).loss))
    unknowing = {"simclr": 11, "3kg": 11, "clocs": 3}[name]  # others that a row is compared with
    assert losses[1] == pytest.approx(torch.tensor(unknowing).log().item(), abs=0.02)
    assert abs(losses[0] - losses[1]) > 0.01


@pytest.mark.parametrize(
    ("name", "options", "n_views", "pairs", "message"),
    [
        ("cocoa", {}, 1, True, "criterion cocoa contrasts views of a segment, but task.views is 1"),
        ("simclr", {}, 1, True, "criterion simclr contrasts views of a segment, but task.views is 1"),
        ("3kg", {}, 1, False, "criterion 3kg .* task.views is 1 and task.segment_pairs is false"),
        ("clocs", {}, 1, False, "criterion.mode=cmsc .* task.segment_pairs is false"),
        ("clocs", {"mode": "cmsc"}, 12, False, "criterion.mode=cmsc .* task.segment_pairs is false"),
        ("clocs", {"mode": "cmlc"}, 1, True, "criterion.mode=cmlc .* set task.view_leads=single"),
        ("clocs", {"mode": "cmsmlc"}, 2, False, "criterion.mode=cmsmlc .* task.segment_pairs is false"),
        ("clocs", {"mode": "cmsmlc"}, 1, True, "criterion.mode=cmsmlc .* set task.view_leads=single"),
    ],
)
def test_data_that_lacks_positive_pairs_of_a_kind_is_refused_by_name(name, options, n_views, pairs, message):
    task = SimpleNamespace(n_views=n_views, pairs=pairs)
    with pytest.raises(ConfigError, match=message):
        build(name, task, **options)


@pytest.mark.parametrize(
    ("name", "options", "n_views", "pairs"),
    [
        ("simclr", {}, 2, False),
        ("ts2vec", {}, 2, False),
        ("cocoa", {}, 2, True),
        ("cocoa", {}, 5, False),
        ("3kg", {}, 2, False),
        ("3kg", {}, 1, True),
        ("clocs", {"mode": "cmsc"}, 1, True),
        ("clocs", {"mode": "cmlc"}, 12, False),
        ("clocs", {"mode": "cmsmlc"}, 2, True),
    ],
)
def test_data_with_positive_pairs_is_taken(name, options, n_views, pairs, make_contrastive, views):
    task = SimpleNamespace(n_views=n_views, pairs=pairs)
    criterion = build(name, task, **options)
    sample = views(n_views=n_views, n_segments=2 if pairs else 1)
    _, _, log = criterion(make_contrastive(), sample)
    assert log["positive_pairs"] > 0
