"""CLOCS: a slow loop over pairs of views, `cmsc_loss` between two views, closed forms, and odd batches."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.clocs import MODES, CLOCSCriterion, CLOCSCriterionConfig, clocs_loss
from fairseq_signals.criterions.cmsc import cmsc_loss

every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def batch() -> tuple:
    """Vectors, patients, whether second, lead views, in any order and of unequal numbers a view.

    Patient 4 comes twice, patient 9 only with its first segment, patient 7 lacks lead view 2.
    """
    rows = [(p, s, v) for p in (4, 2, 4, 7) for s in (0, 1) for v in (0, 1, 2) if (p, v) != (7, 2)]
    rows += [(9, 0, v) for v in (0, 1, 2)]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(2)).tolist()
    patient, second, view = torch.tensor([rows[i] for i in order]).T
    g = torch.randn(len(rows), 6, generator=torch.Generator().manual_seed(3))
    return g, patient, second == 1, view


def view_pairs(second, view, mode) -> list:
    """Pairs of views, each as the rows that it has."""
    views = sorted(set(zip(second.tolist(), view.tolist())))
    chosen = {
        "cmsc": lambda a, b: a[0] != b[0] and a[1] == b[1],
        "cmlc": lambda a, b: a[0] == b[0] and a[1] != b[1],
        "cmsmlc": lambda a, b: True,
    }[mode]
    rows = {v: [i for i in range(len(view)) if (bool(second[i]), int(view[i])) == v] for v in views}
    return [(rows[a], rows[b]) for a, b in combinations(views, 2) if chosen(a, b)]


def slow_loss(g, patient, second, view, mode, temperature) -> float:
    """One pair of views, one direction, one anchor, one positive at a time."""
    z = F.normalize(g.double(), dim=1)
    of_pairs = []
    for pair in view_pairs(second, view, mode):
        directions = []
        for one, other in (pair, pair[::-1]):
            terms = []
            for i in one:
                total = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in other)
                terms += [
                    math.log(total) - float(z[i] @ z[j]) / temperature
                    for j in other
                    if patient[i] == patient[j]
                ]
            if terms:
                directions.append(sum(terms) / len(terms))
        if directions:
            of_pairs.append(sum(directions) / 2)
    return sum(of_pairs) / len(of_pairs)


@every_mode
@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_loss_equals_the_slow_loop_over_pairs_of_views(batch, mode, temperature):
    loss = clocs_loss(*batch, mode, temperature).loss
    assert loss.item() == pytest.approx(slow_loss(*batch, mode, temperature), rel=1e-5)


@every_mode
def test_loss_and_gradient_are_the_mean_of_cmsc_between_the_views(batch, mode):
    g, patient, second, view = batch
    x, y = g.clone().requires_grad_(), g.clone().requires_grad_()
    pairs = view_pairs(second, view, mode)
    losses = [
        cmsc_loss(
            y[a + b],
            patient[a + b],
            torch.tensor([0] * len(a) + [1] * len(b)),
            denominator="opposite",
            detach_norm=False,
        )
        for a, b in pairs
    ]
    expected = sum(losses) / len(losses)
    expected.backward()
    loss = clocs_loss(x, patient, second, view, mode, 0.1).loss
    loss.backward()
    assert len(pairs) == {"cmsc": 3, "cmlc": 6, "cmsmlc": 15}[mode]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(x.grad, y.grad, atol=1e-6)


@pytest.mark.shared
def test_one_lead_view_gives_the_authors_cmsc_values(shared_dir):
    files = list((shared_dir / "parity").rglob("criteria*.io.npz"))
    if not files:
        pytest.skip("no saved criteria")
    for path in files:
        with np.load(path) as arrays:
            theirs = {key: torch.from_numpy(np.array(arrays[key])) for key in arrays.files}
        cases = [
            key[len("cmsc_") : -len("_loss")] for key in theirs if key.startswith("cmsc_") and "loss" in key
        ]
        assert cases
        for case in cases:
            g, patient = theirs[f"cmsc_{case}_features"], theirs[f"cmsc_{case}_patient_id"]
            second = theirs[f"cmsc_{case}_segment"] % 2 == 1
            loss = clocs_loss(g, patient, second, torch.zeros_like(patient), "cmsc", 0.1).loss
            assert loss.item() == pytest.approx(float(theirs[f"cmsc_{case}_loss"]), rel=1e-5, abs=1e-6)


def test_two_patients_in_two_leads_by_hand():
    # one segment of patients 1 and 2; temperature 1; in lead 0 at 0 and 90 degrees, in lead 1 at 0 and 180
    # cosines of lead 0 (rows) with lead 1 (columns): [[1, -1], [0, 0]]
    # lead 0 to 1: log(e + 1/e) - 1 = 0.1269280 and log(1 + 1) - 0 = 0.6931472, mean 0.4100376
    # lead 1 to 0: log(e + 1) - 1 = 0.3132617 and log(1/e + 1) - 0 = 0.3132617, mean 0.3132617
    # mean of the directions: 0.3616496
    g = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    patient, view = torch.tensor([1, 1, 2, 2]), torch.tensor([0, 1, 0, 1])
    loss, positive, compared = clocs_loss(g, patient, torch.zeros(4, dtype=torch.bool), view, "cmlc", 1.0)
    assert loss.item() == pytest.approx(0.3616496, abs=1e-6)
    assert positive.nonzero().tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
    assert compared.sum() == 8


@every_mode
@pytest.mark.parametrize("n_patients", [1, 4])
def test_identical_vectors_give_the_log_of_the_number_of_patients(mode, n_patients):
    rows = torch.cartesian_prod(torch.arange(n_patients), torch.arange(2), torch.arange(3))
    patient, second, view = rows.T
    g = torch.randn(1, 5).expand(len(rows), -1)
    loss = clocs_loss(g, patient, second == 1, view, mode, 0.1).loss
    assert loss.item() == pytest.approx(math.log(n_patients), abs=1e-5)


@every_mode
def test_order_of_the_batch_does_not_matter(batch, mode):
    loss = clocs_loss(*batch, mode, 0.1).loss
    order = torch.randperm(len(batch[0]))
    assert clocs_loss(*(x[order] for x in batch), mode, 0.1).loss.item() == pytest.approx(
        loss.item(), rel=1e-5
    )


def test_which_numbers_name_the_lead_views_does_not_matter(batch):
    g, patient, second, view = batch
    renamed = torch.tensor([11, 0, 5])[view]
    for mode in MODES:
        one, other = clocs_loss(*batch, mode, 0.1), clocs_loss(g, patient, second, renamed, mode, 0.1)
        assert one.loss.item() == pytest.approx(other.loss.item(), rel=1e-6)
        assert torch.equal(one.positive, other.positive)


def test_positives_are_of_one_patient_in_the_views_that_are_compared(batch):
    _, patient, second, view = batch
    found = {mode: clocs_loss(*batch, mode, 0.1).positive for mode in MODES}
    for i in range(len(patient)):
        for j in range(len(patient)):
            alike = bool(patient[i] == patient[j])
            segment, lead = bool(second[i] == second[j]), bool(view[i] == view[j])
            assert found["cmsc"][i, j] == (alike and not segment and lead)
            assert found["cmlc"][i, j] == (alike and segment and not lead)
            assert found["cmsmlc"][i, j] == (alike and not (segment and lead))


@every_mode
@pytest.mark.parametrize(
    "rows",
    [[], [(1, 0, 0)], [(1, 0, 0), (1, 0, 0)], [(1, 0, 0), (2, 1, 1)]],
    ids=["none", "one", "one view", "other patients"],
)
def test_without_a_positive_the_loss_and_its_gradient_are_zero(mode, rows):
    patient, second, view = torch.tensor(rows, dtype=torch.long).view(-1, 3).T
    g = torch.randn(len(rows), 4, requires_grad=True)
    loss, positive, _ = clocs_loss(g, patient, second == 1, view, mode, 0.1)
    loss.backward()
    assert loss.item() == 0.0
    assert not positive.any()
    assert torch.equal(g.grad, torch.zeros_like(g))


@every_mode
@pytest.mark.parametrize("temperature", [0.002, 0.1])
def test_zero_vectors_and_small_temperatures_have_finite_losses_and_gradients(batch, mode, temperature):
    g = batch[0].clone()
    g[:3] = 0.0
    g.requires_grad_()
    loss = clocs_loss(g, *batch[1:], mode, temperature).loss
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(g.grad.isfinite().all())


@every_mode
def test_criterion_uses_its_mode(make_contrastive, views, mode):
    model, sample = make_contrastive(), views(n_views=3)
    loss, n, log = CLOCSCriterion(CLOCSCriterionConfig(mode=mode), None)(model, sample)
    g = model.global_representation(model(**sample["net_input"]))
    expected = clocs_loss(g, sample["patient_id"], sample["segment"] == 1, sample["view"], mode, 0.1)
    assert loss.item() == pytest.approx(n * expected.loss.item(), rel=1e-5)
    # 3 patients; pairs of views: same lead 3, same segment 2 x 3, all 15
    assert int(log["positive_pairs"]) == 3 * {"cmsc": 3, "cmlc": 6, "cmsmlc": 15}[mode]


def test_segments_beyond_the_first_pair_count_by_their_parity(make_contrastive, views):
    criterion = CLOCSCriterion(CLOCSCriterionConfig(), None)
    sample, model = views(n_views=1), make_contrastive()
    first = criterion(model, sample)[0]
    sample["segment"] = sample["segment"] + torch.tensor([0, 2, 4]).repeat_interleave(2)
    assert criterion(model, sample)[0] == first
