"""Views in a batch: their order, their leads, their randomness; one view is what it was without views."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_signals.batches.randomness import generator
from fairseq_signals.ecg.normalize import Scaling, normalize_leads
from fairseq_signals.transforms.base import Compose
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask

ALL = [(r, k) for r in range(5) for k in range(4)]  # records without a lead of zeros
RLM = RandomLeadMask("random", 0.5)


class Noise:
    """Adds a number to each sample."""

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        assert len(signal_mv) == 12
        return signal_mv + rng.normal(size=signal_mv.shape)


def sources(dataset, index: int) -> torch.Tensor:
    """All views of an item, (segments x views, leads, samples)."""
    return dataset.collater([index])["net_input"]["source"]


@pytest.mark.parametrize("pad_leads", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_one_view_is_bit_for_bit_what_seed_epoch_item_and_part_make_of_a_segment(
    dataset_of, pad_leads, shuffle
):
    leads = [7, 0, 3]
    options = {"leads": leads, "pad_leads": pad_leads, "shuffle": shuffle, "seed": 5}
    options["scaling"] = Scaling("segment")
    transform = Compose([Noise(), RLM])
    dataset = dataset_of(ALL, pairs=True, transform=transform, max_sample_size=30, **options)
    dataset.set_epoch(3)
    for index in range(len(dataset)):
        for part, row in enumerate(dataset.items[index].tolist()):
            rng = generator(5, 3, index, part)
            start = int(rng.integers(21)) if shuffle else 0
            signal = transform(normalize_leads(dataset.reader.read(row)[:, start : start + 30]), rng)
            expected = np.zeros((12, 30), dtype=np.float32)
            expected[leads] = signal[leads]
            expected = expected if pad_leads else expected[leads]
            assert np.array_equal(sources(dataset, index)[part].numpy(), expected)


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("view_leads", ["all", "disjoint"])
def test_a_batch_has_items_then_segments_then_views(dataset_of, pairs, view_leads):
    dataset = dataset_of(ALL, pairs=pairs, views=2, view_leads=view_leads)
    batch = dataset.collater([3, 0])
    n = 2 if pairs else 1
    assert batch["view"].tolist() == [0, 1] * 2 * n
    assert batch["id"].tolist() == [3] * 2 * n + [0] * 2 * n
    segments = [2, 2, 3, 3, 0, 0, 1, 1] if pairs else [3, 3, 0, 0]
    assert batch["segment"].tolist() == segments
    rows = [6, 6, 7, 7, 0, 0, 1, 1] if pairs else [3, 3, 0, 0]  # lines of the manifest
    assert batch["segment_row"].tolist() == rows
    assert batch["view"].dtype == batch["segment_row"].dtype == torch.int64
    assert len(batch["net_input"]["source"]) == len(batch["patient_id"]) == 4 * n
    assert dataset.num_tokens(0) == 50 * 2 * n
    assert dataset.size(0) == 50


def test_segment_row_is_equal_for_views_of_one_segment_only(dataset_of):
    dataset = dataset_of(ALL[::-1], pairs=True, view_leads="single")
    batch = dataset.collater(range(len(dataset)))
    key = list(zip(batch["record_id"].tolist(), batch["segment"].tolist()))
    rows = batch["segment_row"].tolist()
    assert len(set(rows)) == len(set(key)) == len(set(zip(rows, key))) == len(ALL)
    assert len(rows) == 12 * len(ALL)


def test_the_first_of_two_views_is_the_only_one_without_views(dataset_of):
    options = {"pairs": True, "transform": Compose([Noise(), RLM]), "shuffle": True, "max_sample_size": 20}
    one, two = dataset_of(ALL, **options), dataset_of(ALL, **options, views=2)
    for i in range(len(one)):
        assert torch.equal(sources(two, i)[::2], sources(one, i))


def test_views_of_a_segment_are_masked_independently_and_reproducibly(dataset_of):
    options = {"pairs": True, "transform": RLM, "views": 3, "seed": 2}
    dataset, again = dataset_of(ALL, **options), dataset_of(ALL, **options)
    drawn = []
    for epoch in range(1, 61):
        dataset.set_epoch(epoch)
        again.set_epoch(epoch)
        for i in reversed(range(len(dataset))):
            drawn.append(sources(dataset, i).any(dim=2))
            assert torch.equal(sources(again, i).any(dim=2), drawn[-1])
    kept = torch.stack(drawn).view(-1, 2, 3, 12).float()  # (600 pairs, segment, view, lead)
    n = kept[:, :, 0].numel()
    bound = 5 * 0.5 / n**0.5
    for view in range(3):
        assert abs(float(kept[:, :, view].mean()) - 0.5) <= bound
        assert abs(float((kept[:, :, view] == kept[:, :, (view + 1) % 3]).float().mean()) - 0.5) <= bound
        assert abs(float((kept[:, 0, view] == kept[:, 1, view]).float().mean()) - 0.5) <= 1.5 * bound
    first = sources(dataset, 0)
    dataset.set_epoch(61)
    assert not torch.equal(sources(dataset, 0), first)


def test_views_are_of_the_same_crop(dataset_of):
    dataset = dataset_of(ALL, pairs=True, shuffle=True, max_sample_size=20, views=3)
    starts = set()
    for i in range(len(dataset)):
        views = sources(dataset, i)
        assert torch.equal(views[:3], views[:1].expand(3, -1, -1))
        assert torch.equal(views[3:], views[3:4].expand(3, -1, -1))
        starts |= {float(views[0, 0, 0]), float(views[3, 0, 0])}
    assert len(starts) == 20


@pytest.mark.parametrize("leads", [list(range(12)), [7, 0, 3]])
@pytest.mark.parametrize("pad_leads", [True, False])
def test_disjoint_views_share_no_lead_and_add_up_to_the_segment(dataset_of, leads, pad_leads):
    options = {"pairs": True, "leads": leads, "pad_leads": pad_leads}
    whole, dataset = dataset_of(ALL, **options), dataset_of(ALL, **options, views=2, view_leads="disjoint")
    first = set()
    for i in range(len(dataset)):
        for part in range(2):
            one, other = sources(dataset, i)[2 * part : 2 * part + 2]
            assert not (one.any(dim=1) & other.any(dim=1)).any()
            assert one.any()
            assert other.any()
            assert torch.equal(one + other, sources(whole, i)[part])
            first.add(tuple(one.any(dim=1).tolist()))
    assert len(first) >= (5 if len(leads) == 3 else 19)  # of 20 segments; there are 6 ways for three leads


def test_disjoint_views_have_as_many_leads_as_asked_for(dataset_of):
    dataset = dataset_of(ALL, views=3, view_leads="disjoint", min_view_leads=4)
    for i in range(len(dataset)):
        assert sources(dataset, i).any(dim=2).sum(dim=1).tolist() == [4, 4, 4]


@pytest.mark.parametrize(("pad_leads", "places"), [(True, [0, 3, 7]), (False, [1, 2, 0])])
def test_single_views_have_one_loaded_lead_each_in_canonical_order(dataset_of, pad_leads, places):
    options = {"pairs": True, "leads": [7, 0, 3], "pad_leads": pad_leads}
    whole, dataset = dataset_of(ALL, **options), dataset_of(ALL, **options, view_leads="single")
    for part in range(2):
        views = sources(dataset, 1)[3 * part : 3 * part + 3]
        assert views.any(dim=2).nonzero().tolist() == [[view, place] for view, place in enumerate(places)]
        assert torch.equal(views.sum(dim=0), sources(whole, 1)[part])
    assert dataset.num_tokens(1) == 50 * 2 * 3


def test_transforms_see_all_leads_before_a_view_loses_some(dataset_of):
    class Mean:
        def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return np.broadcast_to(signal_mv.mean(axis=0), signal_mv.shape)  # which one cannot write to

    mean = sources(dataset_of(ALL), 0)[0].mean(dim=0)
    for options in ({"view_leads": "single"}, {"views": 2, "view_leads": "disjoint"}, {"leads": [1, 2]}):
        dataset = dataset_of(ALL, transform=Mean(), **options)
        for view in sources(dataset, 0):
            kept = view.any(dim=1)
            assert 1 <= kept.sum() < 12
            assert torch.allclose(view[kept], mean.expand(int(kept.sum()), -1))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12, about PyArrow's threads
def test_views_do_not_depend_on_loader_processes(dataset_of):
    dataset = dataset_of(ALL, pairs=True, transform=RLM, views=2, view_leads="disjoint")
    loader = torch.utils.data.DataLoader(dataset, 4, collate_fn=dataset.collater, num_workers=2)
    for batch, start in zip(loader, range(0, len(dataset), 4)):
        expected = dataset.collater(range(start, min(start + 4, len(dataset))))
        assert torch.equal(batch["net_input"]["source"], expected["net_input"]["source"])
