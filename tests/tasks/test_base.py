"""Every item of a dataset is in a batch, whatever fairseq's batch size options are."""

from __future__ import annotations

import fairseq  # noqa: F401  # first: it registers our components, and they import the dataset
import numpy as np
import pytest

from fairseq_signals.tasks.base import TrainingDataset


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("n_items", [1, 2, 8, 9, 33])
def test_no_item_is_dropped_to_make_a_batch_size_a_multiple(n_items, multiple):
    dataset = object.__new__(TrainingDataset)  # batching looks at sizes only
    dataset.items = np.arange(n_items)[:, None]
    dataset.sizes = np.full(n_items, 2500)
    batches = dataset.batch_by_size(
        np.arange(n_items), max_sentences=32, required_batch_size_multiple=multiple
    )
    assert sorted(np.concatenate(batches).tolist()) == list(range(n_items))
    assert [len(batch) for batch in batches[:-1]] == [32] * (len(batches) - 1)
