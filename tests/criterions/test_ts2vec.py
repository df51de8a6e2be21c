"""ts2vec: which frames of a batch are a pair, that padding counts for nothing, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fairseq_signals.batches.views import Views, keep_leads
from fairseq_signals.criterions.ts2vec import TS2VecCriterion, TS2VecCriterionConfig
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.hierarchical_contrast import hierarchical_loss
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.record import ADC_GAIN, make_record


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


N_PATIENTS, HELD_OUT, SEGMENTS, LENGTH = 96, 24, 16, 1000
SMALL = {
    "encoder_layers": 1,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 64,
    "conv_feature_layers": "[(16, 2, 2)] * 4",
    "conv_pos": 8,
    "feature_grad_mult": 1.0,
    "projection": "linear",
    "final_dim": 16,
}


@pytest.fixture(scope="module")
def patients():
    """A synthetic recording of each patient, (patients, 12, T) float32 in mV."""
    records = [make_record(CorpusConfig(), i, session=0).adu for i in range(N_PATIENTS)]
    return np.stack(records).astype(np.float32) / ADC_GAIN


def lead_subsets(patients: np.ndarray, rng: np.random.Generator, one_patient: bool) -> dict:
    """A batch of two views without a common lead, of one segment or, as a control, of two patients."""
    chosen, rows = rng.permutation(len(patients))[:SEGMENTS], []
    for i, other in zip(chosen, np.roll(chosen, 1)):
        start = rng.integers(patients.shape[2] - LENGTH)
        segment, of_another = patients[[i, other], :, start : start + LENGTH]
        first, second = Views(range(12), 2, "disjoint", 2).draw(rng)
        rows += [keep_leads(segment, first), keep_leads(segment if one_patient else of_another, second)]
    row = torch.arange(2 * SEGMENTS)
    source = torch.from_numpy(np.stack(rows))
    return {
        "net_input": {"source": source, "padding_mask": None},
        "segment_row": row // 2,
        "view": row % 2,
    }


@pytest.mark.slow
@pytest.mark.parametrize("one_patient", [True, False])
def test_lead_subsets_of_a_segment_are_recognised_and_those_of_two_patients_are_not(
    one_patient, patients, make_contrastive
):
    model, criterion = make_contrastive(**SMALL), build()
    rng, optimizer = np.random.default_rng(0), torch.optim.Adam(model.parameters(), lr=0.01)
    for update in range(100):
        optimizer.param_groups[0]["lr"] = 0.01 * min(1.0, (update + 1) / 20)
        loss, n, _ = criterion(model, lead_subsets(patients[HELD_OUT:], rng, one_patient))
        optimizer.zero_grad()
        (loss / n).backward()
        optimizer.step()
    with torch.no_grad():
        logs = [criterion(model, lead_subsets(patients[:HELD_OUT], rng, one_patient))[2] for _ in range(10)]
    accuracy = sum(log["correct"] for log in logs) / sum(log["anchors"] for log in logs)
    chance = 1 / (2 * SEGMENTS - 1)
    assert (accuracy > 10 * chance) if one_patient else (accuracy < 3 * chance)
