"""The dataset: which leads and samples, which pairs, and randomness that only seed, epoch and item decide."""

import logging

import numpy as np
import pytest
import torch

from fairseq_signals.batches.items import pairs_of_patients, pairs_of_records
from fairseq_signals.ecg.leads import LEADS, parse_leads
from fairseq_signals.ecg.normalize import Scaling
from fairseq_signals.errors import ManifestError
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask

N = 50  # samples a segment (see `dataset_of`)
ALL = [(r, k) for r in range(6) for k in range(4)]


def source(dataset, index: int = 0, part: int = 0) -> torch.Tensor:
    return dataset.collater([index])["net_input"]["source"][part]


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (None, LEADS),
        (["V2", "I"], ("V2", "I")),
        ([7, 0], ("V2", "I")),
        ("I,II,V2", ("I", "II", "V2")),
        ("3", ("I", "II", "V2")),
        ("6", LEADS[:6]),
        ("[0, 1]", ("I", "II")),
        (["aVF", 2], ("aVF", "III")),
    ],
)
def test_leads_are_chosen_by_name_index_string_or_lead_set(dataset_of, spec, names):
    everything = source(dataset_of([(0, 1)]))
    index = [LEADS.index(name) for name in names]
    padded = source(dataset_of([(0, 1)], leads=parse_leads(spec)))
    assert torch.equal(padded[index], everything[index])
    absent = [i for i in range(12) if i not in index]
    assert padded.shape == (12, N)
    assert not padded[absent].any()
    alone = source(dataset_of([(0, 1)], leads=parse_leads(spec), pad_leads=False))
    assert torch.equal(alone, everything[index])  # in the order that was asked for


def test_leads_to_load_go_together_with_random_lead_masking(dataset_of):
    index = list(parse_leads("I,II,V2"))
    options = {"leads": index, "transform": RandomLeadMask("random", 0.5)}
    whole = dataset_of(ALL)
    padded, alone = dataset_of(ALL, **options), dataset_of(ALL, **options, pad_leads=False)
    n_masked = 0
    for i in range(len(ALL)):
        for row, lead in zip(source(alone, i), index):
            kept = torch.equal(row, source(whole, i)[lead])
            assert kept or not row.any()
            n_masked += not kept
        assert torch.equal(source(padded, i)[index], source(alone, i))
    assert 20 < n_masked < 52  # of 72


def test_a_lead_that_the_record_lacks_is_zero(dataset_of):
    assert not source(dataset_of([(5, 0)]))[11].any()
    assert not source(dataset_of([(5, 0)], scaling=Scaling("segment")))[11].any()


def test_normalised_leads_have_mean_0_and_deviation_1_before_any_is_masked(dataset_of):
    normal = source(dataset_of([(0, 0)], scaling=Scaling("segment")))
    assert torch.allclose(normal.mean(dim=1), torch.zeros(12), atol=1e-5)
    assert torch.allclose(normal.std(dim=1, unbiased=False), torch.ones(12), atol=1e-5)
    masked = source(dataset_of([(0, 0)], scaling=Scaling("segment"), transform=RandomLeadMask("random", 0.5)))
    kept = masked.any(dim=1)
    assert 0 < kept.sum() < 12
    assert torch.equal(masked[kept], normal[kept])


def test_items_name_their_record_patient_and_segment_independently_of_order(dataset_of):
    forward, backward = dataset_of(ALL), dataset_of(ALL[::-1])
    for i, (record, segment) in enumerate(ALL):
        one, other = forward.collater([i]), backward.collater([len(ALL) - 1 - i])
        for key in ("patient_id", "record_id", "segment"):
            assert one[key] == other[key]
        assert (one["record_id"], one["patient_id"], one["segment"]) == (record, record // 2, segment)
        assert one["id"] == i


def test_pairs_are_segments_2k_and_2k_plus_1_of_one_record(dataset_of, caplog):
    # record 1 lacks segment 1, record 2 has 1 and 2, which are no pair; the order of lines does not matter
    segments = [(0, 1), (1, 0), (2, 2), (0, 0), (1, 3), (3, 3), (2, 1), (1, 2), (3, 2)]
    with caplog.at_level(logging.INFO):
        dataset = dataset_of(segments, pairs=True)
    batch = dataset.collater(range(len(dataset)))
    parts = list(zip(batch["record_id"].tolist(), batch["segment"].tolist()))
    pairs = list(zip(parts[::2], parts[1::2]))
    assert sorted(pairs) == [((0, 0), (0, 1)), ((1, 2), (1, 3)), ((3, 2), (3, 3))]
    assert "3 of 9 segments have no partner and are not used in pairs" in caplog.text


def test_patients_with_one_record_are_left_out_of_pairs_of_patients_and_counted(dataset_of, caplog):
    with caplog.at_level(logging.INFO):
        dataset = dataset_of(
            [(0, 0), (1, 0), (2, 0), (2, 1)], drawing=pairs_of_patients
        )  # 2 is of another patient
    assert sorted(dataset.collater([0])["record_id"].tolist()) == [0, 1]
    assert len(dataset) == 1
    assert "1 of 2 patients have nothing to make a pair of and are not used" in caplog.text


def test_pairs_are_interleaved_in_a_batch(dataset_of):
    dataset = dataset_of(ALL, pairs=True)
    batch = dataset.collater([3, 0])
    assert batch["id"].tolist() == [3, 3, 0, 0]
    assert batch["segment"].tolist() == [2, 3, 0, 1]
    assert batch["record_id"].tolist() == [1, 1, 0, 0]
    assert torch.equal(batch["net_input"]["source"][1], source(dataset, 3, 1))


def test_a_manifest_without_any_pair_is_an_error(dataset_of):
    with pytest.raises(ManifestError, match=r"train.tsv: has no pair of segments to use"):
        dataset_of([(0, 0), (1, 1)], pairs=True)


def test_short_segments_are_left_out_and_counted(dataset_of, caplog):
    segments = [(0, 0), (0, 1, 30), (1, 0), (1, 1, 40)]
    with caplog.at_level(logging.INFO):
        dataset = dataset_of(segments, min_sample_size=40)
    assert [source(dataset, i).shape[1] for i in range(len(dataset))] == [50, 50, 40]
    assert "left out 1 segments shorter than task.min_sample_size = 40 samples" in caplog.text
    with pytest.raises(ManifestError, match="has no segment to use"):
        dataset_of(segments, min_sample_size=60)


def test_long_segments_are_cut_at_random_in_training_and_at_their_beginning_else(dataset_of):
    whole = source(dataset_of([(0, 0)]))
    assert torch.equal(source(dataset_of([(0, 0)], max_sample_size=20)), whole[:, :20])
    dataset = dataset_of([(0, 0)], max_sample_size=20, shuffle=True)
    starts = set()
    for epoch in range(60):
        dataset.set_epoch(epoch)
        starts |= {s for s in range(31) if torch.equal(source(dataset), whole[:, s : s + 20])}
    assert len(starts) > 15
    assert min(starts) <= 3
    assert max(starts) >= 27
    assert dataset.size(0) == 20
    assert dataset.num_tokens(0) == 20


def test_pairs_are_cut_too_the_same_way_every_time(dataset_of):
    options = {"pairs": True, "shuffle": True, "max_sample_size": 20}
    dataset, again = dataset_of(ALL, **options), dataset_of(ALL, **options)
    whole = dataset_of(ALL, pairs=True)
    starts = []
    for i in range(len(dataset)):
        for part in range(2):
            assert source(dataset, i, part).shape == (12, 20)
            assert torch.equal(source(dataset, i, part), source(again, i, part))
            start = next(
                s
                for s in range(31)
                if torch.equal(source(dataset, i, part), source(whole, i, part)[:, s : s + 20])
            )
            starts.append(start)
    assert any(a != b for a, b in zip(starts[::2], starts[1::2]))  # each of a pair by itself


def masks(dataset) -> torch.Tensor:
    """Which leads are masked, for every segment: (items, parts, 12) bool."""
    batch = dataset.collater(range(len(dataset)))
    return ~batch["net_input"]["source"].any(dim=2).view(len(dataset), -1, 12)


RLM = {"pairs": True, "transform": RandomLeadMask("random", 0.5)}
FULL = [(r, k) for r in range(5) for k in range(4)]


def test_masks_are_a_function_of_seed_epoch_and_item(dataset_of):
    dataset = dataset_of(FULL, **RLM, seed=3)
    first = masks(dataset)
    assert torch.equal(masks(dataset), first)
    backwards = dataset.collater(range(len(dataset))[::-1])["net_input"]["source"]
    assert torch.equal(backwards[-5], source(dataset, 2, 1))  # whatever was read before
    assert torch.equal(masks(dataset_of(FULL, **RLM, seed=3)), first)
    assert not torch.equal(masks(dataset_of(FULL, **RLM, seed=4)), first)
    dataset.set_epoch(2)
    assert not torch.equal(masks(dataset), first)
    dataset.set_epoch(1)
    assert torch.equal(masks(dataset), first)
    assert len({tuple(mask.flatten().tolist()) for mask in first}) == len(dataset)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12, about PyArrow's threads
def test_masks_do_not_depend_on_loader_processes(dataset_of):
    dataset = dataset_of(FULL, **RLM, seed=3)
    loader = torch.utils.data.DataLoader(dataset, 2, collate_fn=dataset.collater, num_workers=2)
    for batch, start in zip(loader, range(0, len(dataset), 2)):
        expected = dataset.collater([start, start + 1])
        assert torch.equal(batch["net_input"]["source"], expected["net_input"]["source"])


def test_the_two_segments_of_a_pair_are_masked_independently(dataset_of):
    dataset = dataset_of(FULL, **RLM)
    drawn = []
    for epoch in range(1, 61):
        dataset.set_epoch(epoch)
        drawn.append(masks(dataset))
    drawn = torch.cat(drawn).float()  # (600 pairs, 2, 12)
    n = drawn[:, 0].numel()
    bound = 5 * 0.5 / n**0.5  # five standard deviations
    assert abs(float(drawn.mean()) - 0.5) <= bound
    assert abs(float((drawn[:, 0] == drawn[:, 1]).float().mean()) - 0.5) <= bound


def test_the_order_is_a_new_one_every_epoch_in_training_and_the_manifests_else(dataset_of):
    dataset = dataset_of(ALL, shuffle=True, seed=2)
    first = dataset.ordered_indices()
    assert sorted(first) == list(range(len(ALL)))
    assert np.array_equal(dataset.ordered_indices(), first)
    dataset.set_epoch(2)
    assert not np.array_equal(dataset.ordered_indices(), first)
    assert dataset_of(ALL).ordered_indices().tolist() == list(range(len(ALL)))


def test_labels_and_probes_go_with_their_segment(dataset_of):
    targets = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    dataset = dataset_of([(0, 0), (0, 1, 10), (1, 0)], targets=targets, min_sample_size=20)
    batch = dataset.collater([0, 1])
    assert batch["label"].tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    dataset = dataset_of([(0, 0), (1, 0)], is_probe=np.array([False, True]), subset="valid")
    batch = dataset.collater([0, 1])
    assert batch["is_probe"].tolist() == [False, True]
    assert batch["subset"] == "valid"


@pytest.mark.parametrize(
    ("targets", "dtype"),
    [(torch.tensor([2, 0]), torch.int64), (torch.eye(2), torch.float32), (torch.eye(2) > 0, torch.bool)],
)
def test_labels_of_every_kind_keep_their_type(dataset_of, targets, dtype):
    label = dataset_of([(0, 0), (1, 0)], targets=targets).collater([0, 1])["label"]
    assert label.dtype == dtype
    assert torch.equal(label, targets)


def test_an_empty_batch_is_what_a_worker_without_items_gets(dataset_of):
    assert dataset_of([(0, 0), (0, 1)]).collater([]) == {}


def test_items_end_where_the_dataset_ends(dataset_of):
    assert list(dataset_of([(0, 0), (0, 1)])) == [0, 1]


LONGER = [(0, 0, 30), (1, 0), (2, 0), (3, 0, 40)]
NOISY = {"transform": RandomLeadMask("random", 0.5)}


OPTIONS = [{}, NOISY, {"views": 2}, {"scaling": Scaling("segment")}, {"max_sample_size": 40}]


@pytest.mark.parametrize("options", OPTIONS)
def test_segments_are_padded_to_the_longest_and_the_mask_says_where(dataset_of, options):
    dataset = dataset_of(LONGER, **options)
    batch = dataset.collater(range(4))
    longest = max(dataset.size(i) for i in range(4))
    segments = [segment for i in range(4) for segment in dataset.collater([i])["net_input"]["source"]]
    assert batch["net_input"]["source"].shape == (len(segments), 12, longest)
    rows = zip(segments, batch["net_input"]["source"], batch["net_input"]["padding_mask"])
    for segment, padded, mask in rows:
        n = segment.shape[1]
        assert torch.equal(padded[:, :n], segment)
        assert not padded[:, n:].any()
        assert mask.tolist() == [False] * n + [True] * (longest - n)
    assert dataset.collater([1, 2])["net_input"]["padding_mask"] is None


@pytest.mark.parametrize("options", [{}, NOISY, {"views": 2}])
def test_without_padding_segments_are_cut_to_the_shortest(dataset_of, options):
    dataset = dataset_of(LONGER, pad=False, **options)
    batch = dataset.collater(range(4))
    assert batch["net_input"]["padding_mask"] is None
    segments = [segment for i in range(4) for segment in dataset.collater([i])["net_input"]["source"]]
    assert torch.equal(batch["net_input"]["source"], torch.stack([segment[:, :30] for segment in segments]))


@pytest.mark.parametrize("options", [{"pairs": True}, {"drawing": pairs_of_records}])
def test_records_of_several_leads_are_repeated_in_training_alone(dataset_of, options):
    segments = [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert len(dataset_of(segments, repeats=3, **options)) == 2
    training = dataset_of(segments, repeats=3, shuffle=True, **options)
    training.set_epoch(2)
    assert len(training) == len(training.sizes) == 6
    batch = training.collater(range(6))
    assert np.bincount(batch["record_id"].numpy()).tolist() == [6, 6]
