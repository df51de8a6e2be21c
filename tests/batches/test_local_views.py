"""Views with cuts of their own, short views, and pairs of records of a patient, in batches."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.batches.items import pairs_of_patients
from fairseq_signals.ecg.normalize import Scaling
from fairseq_signals.errors import ManifestError
from fairseq_signals.transforms.base import Compose
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask

ALL = [(r, k) for r in range(5) for k in range(4)]  # records without a lead of zeros; 50 samples a segment
CUT = {"max_sample_size": 20, "views": 2, "shuffle": True}
LOCAL = {"local_views": 3, "local_samples": 15, "shuffle": True}


def inputs(dataset, *items: int) -> dict:
    return dataset.collater(items or [0])["net_input"]


def starts(cuts: torch.Tensor, whole: torch.Tensor) -> list[int]:
    """Where in (leads, T) each of (N, leads, t) was cut; each must be there."""
    n = cuts.shape[2]
    found = [
        [s for s in range(whole.shape[1] - n + 1) if torch.equal(cut, whole[:, s : s + n])] for cut in cuts
    ]
    assert all(len(each) == 1 for each in found), found
    return [each[0] for each in found]


def in_epochs(dataset, whole: torch.Tensor, key: str = "source", n: int = 60) -> list[list[int]]:
    out = []
    for epoch in range(n):
        dataset.set_epoch(epoch)
        out.append(starts(inputs(dataset)[key], whole))
    return out


def test_views_are_cut_where_each_has_its_own_cut_and_within_the_segment(dataset_of):
    whole = inputs(dataset_of([(0, 1)]))["source"][0]
    shared, own = (in_epochs(dataset_of([(0, 1)], **CUT, own_crops=own), whole) for own in (False, True))
    assert all(a == b for a, b in shared)
    assert sum(a != b for a, b in own) > 50
    assert [a for a, _ in own] == [a for a, _ in shared]  # of the first view nothing changes
    drawn = [start for pair in own for start in pair]
    assert min(drawn) <= 2
    assert max(drawn) >= 28


def test_own_cuts_are_a_function_of_seed_and_epoch_and_item(dataset_of):
    one, other = (dataset_of(ALL, **CUT, own_crops=True, seed=seed) for seed in (3, 4))
    again = dataset_of(ALL, **CUT, own_crops=True, seed=3)
    for item in (4, 0, 7):
        assert torch.equal(inputs(one, item)["source"], inputs(again, item)["source"])
    assert torch.equal(inputs(one, 4, 0)["source"][2:], inputs(one, 0)["source"])
    assert not torch.equal(inputs(one, 4)["source"], inputs(other, 4)["source"])


def test_where_nothing_is_cut_own_cuts_change_nothing(dataset_of):
    transform = Compose([RandomLeadMask("random", 0.5)])
    for scaling in (Scaling(), Scaling("segment")):
        options = {"views": 2, "shuffle": True, "transform": transform, "scaling": scaling}
        shared, own = (dataset_of(ALL, **options, own_crops=own) for own in (False, True))
        assert torch.equal(inputs(shared, 3, 5)["source"], inputs(own, 3, 5)["source"])
    options = {**CUT, "shuffle": False}  # in validation all begin where the segment does
    shared, own = (dataset_of(ALL, **options, own_crops=own) for own in (False, True))
    assert torch.equal(inputs(shared, 3, 5)["source"], inputs(own, 3, 5)["source"])


def test_short_views_lie_within_the_segment_and_change_nothing_else(dataset_of):
    whole = inputs(dataset_of([(0, 1)]))["source"][0]
    dataset = dataset_of([(0, 1)], **LOCAL, max_sample_size=20)
    found = inputs(dataset)
    assert found["local_source"].shape == (3, 12, 15)
    assert found["local_present"].all()
    plain = inputs(dataset_of([(0, 1)], shuffle=True, max_sample_size=20))
    assert all(torch.equal(found[key], plain[key]) for key in ("source", "lead_present"))
    drawn = in_epochs(dataset, whole, "local_source")
    assert sum(len(set(each)) == 3 for each in drawn) > 40
    assert min(map(min, drawn)) == 0
    assert max(map(max, drawn)) == 35


def test_short_views_come_segment_after_segment_whatever_else_is_in_the_batch(dataset_of):
    dataset = dataset_of(ALL, **LOCAL, pairs=True, views=2)
    found = inputs(dataset, 3, 1)
    assert found["source"].shape[0] == 2 * 2 * 2
    assert found["local_source"].shape == (2 * 2 * 3, 12, 15)
    assert torch.equal(found["local_source"][6:], inputs(dataset, 1)["local_source"])
    batch = dataset.collater([3, 1])
    for n, row in enumerate(batch["segment_row"][batch["view"] == 0].tolist()):
        whole = torch.from_numpy(dataset.reader.read(row))
        starts(found["local_source"][3 * n : 3 * n + 3], whole)


def test_in_validation_short_views_begin_where_the_segment_does(dataset_of):
    dataset = dataset_of([(0, 1)], **{**LOCAL, "shuffle": False})
    whole = inputs(dataset)["source"][0]
    assert starts(inputs(dataset)["local_source"], whole) == [0, 0, 0]


def test_short_views_have_the_leads_that_are_loaded_and_transforms_of_their_own(dataset_of):
    transform = RandomLeadMask("random", 0.5)
    for pad_leads, leads in ((True, 12), (False, 3)):
        options = {"leads": (0, 5, 7), "pad_leads": pad_leads, "transform": transform}
        found = inputs(dataset_of(ALL, **LOCAL, **options), 0, 1, 2, 3, 4)
        assert found["local_source"].shape[1] == leads
        assert torch.equal(found["local_source"].any(dim=2), found["local_present"])
        assert len(found["local_present"].unique(dim=0)) > 2
        assert not found["local_present"].all(dim=1).all()
    without_v6 = inputs(dataset_of([(5, 0)], **LOCAL))["local_present"]
    assert without_v6.sum(dim=1).tolist() == [11] * 3


def test_segments_that_are_shorter_than_short_views_are_named(dataset_of):
    dataset = dataset_of([(0, 0), (1, 0, 12)], **LOCAL)
    with pytest.raises(
        ManifestError, match=r"record x/r1 has 12 samples, fewer than task\.local_samples = 15; lower it"
    ):
        inputs(dataset, 0, 1)


def test_pairs_of_a_patients_records_are_drawn_anew_each_epoch_and_the_same_again(dataset_of):
    patients = [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (3, 1), (4, 0)]  # of two records each, but the last
    dataset = dataset_of(patients, drawing=pairs_of_patients, shuffle=True)
    assert len(dataset) == 2
    seen = set()
    for epoch in range(1, 50):
        dataset.set_epoch(epoch)
        batch = dataset.collater([0, 1])
        assert batch["segment"].tolist() == [0, 1, 0, 1]
        assert batch["patient_id"].tolist() == [0, 0, 1, 1]
        record = batch["record_id"].view(2, 2)
        assert (record[:, 0] != record[:, 1]).all()
        seen.add(tuple(batch["segment_row"].tolist()))
        again = dataset_of(patients, drawing=pairs_of_patients, shuffle=True)
        again.set_epoch(epoch)
        assert torch.equal(again.collater([0, 1])["net_input"]["source"], batch["net_input"]["source"])
    assert 12 <= len(seen) <= 16  # two segments of one record each, and either record first
    validation = dataset_of(patients, drawing=pairs_of_patients)
    rows = validation.collater([0, 1])["segment_row"]
    validation.set_epoch(2)
    assert torch.equal(validation.collater([0, 1])["segment_row"], rows)


def test_a_manifest_without_a_patient_of_two_records_is_refused(dataset_of):
    with pytest.raises(ManifestError, match=r"has no two segments of a patient to use"):
        dataset_of([(0, 0), (0, 1), (2, 0)], drawing=pairs_of_patients)
