"""The collater: padding, cutting, and what a batch holds."""

import pytest
import torch

from fairseq_signals.data.collater import collate


def segment(n_samples: int, **more) -> dict:
    return {"id": 7, "source": torch.arange(1.0, 2 * n_samples + 1).view(2, n_samples), **more}


def test_segments_are_padded_to_the_longest_and_the_mask_says_where():
    batch = collate([[segment(3)], [segment(5)]])
    source, padding_mask = batch["net_input"]["source"], batch["net_input"]["padding_mask"]
    assert source[0].tolist() == [[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]]
    assert torch.equal(source[1], segment(5)["source"])
    assert padding_mask.tolist() == [[False, False, False, True, True], [False] * 5]


def test_segments_of_one_length_have_no_mask():
    batch = collate([[segment(3)], [segment(3)]])
    assert batch["net_input"]["padding_mask"] is None


def test_without_padding_segments_are_cut_to_the_shortest():
    batch = collate([[segment(3)], [segment(5)]], pad=False)
    assert batch["net_input"]["padding_mask"] is None
    assert batch["net_input"]["source"][1].tolist() == [[1, 2, 3], [6, 7, 8]]


def test_pairs_are_interleaved():
    pairs = [[segment(2, segment=0, patient_id=p), segment(2, segment=1, patient_id=p)] for p in (5, 3)]
    batch = collate(pairs)
    assert batch["patient_id"].tolist() == [5, 5, 3, 3]
    assert batch["segment"].tolist() == [0, 1, 0, 1]
    assert len(batch["net_input"]["source"]) == 4


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((3, 4), torch.int64),
        ((True, False), torch.bool),
        ((torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])), torch.float32),
        ((torch.tensor(2), torch.tensor(0)), torch.int64),
    ],
)
def test_labels_of_every_kind_are_stacked(values, dtype):
    batch = collate([[segment(2, label=value)] for value in values])
    assert batch["label"].dtype == dtype
    assert batch["label"].tolist() == [torch.as_tensor(value).tolist() for value in values]


def test_the_subset_is_carried_and_an_empty_batch_stays_empty():
    assert collate([[segment(2, subset="test")]])["subset"] == "test"
    assert collate([]) == {}  # what fairseq gives workers that have no batch left
