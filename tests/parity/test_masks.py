"""`span_mask(equal_rows=True)` masks as many frames as the authors' code; by default every row is free."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from fairseq_signals.modules.span_mask import span_mask

pytestmark = pytest.mark.shared
PROB, LENGTH = 0.65, 10  # of the saved masks


@pytest.fixture
def saved_masks(parity_dir) -> dict:
    found = {}
    for path in sorted(parity_dir.rglob("masks*.npz")):
        with np.load(path) as arrays:
            found.update({key: arrays[key] for key in arrays.files})
    if not found:
        pytest.skip("no saved masks")
    return found


def shares(
    b: int, f: int, draws: int, equal_rows: bool, padding_mask: torch.Tensor | None = None
) -> np.ndarray:
    """Masked frames of a row in each of many draws: with equal rows of any, else of the first."""
    generator = torch.Generator().manual_seed(0)
    options = {"equal_rows": equal_rows, "padding_mask": padding_mask, "generator": generator}
    return np.array([int(span_mask((b, f), PROB, LENGTH, **options)[0].sum()) for _ in range(draws)])


def test_equal_rows_mask_as_many_frames_as_the_authors_masks(saved_masks, record_property):
    found = {key: re.fullmatch(r"masked_per_row_(\d+)x(\d+)_(\d+)draws", key) for key in saved_masks}
    for key, match in found.items():
        if match:
            pairs, frames, draws = map(int, match.groups())
            theirs = saved_masks[key]
            ours = shares(2 * pairs, frames, draws, equal_rows=True)  # a pair is two rows
            record_property(key, f"{ours.mean():.1f} for {theirs.mean():.1f}")
            numbers = [f"{x.mean():.2f} +- {x.std():.2f}" for x in (ours, theirs)]
            print(f"parity\t{key}\tours {numbers[0]}, theirs {numbers[1]}")
            error = np.hypot(ours.std(), theirs.std()) / np.sqrt(draws)
            assert abs(ours.mean() - theirs.mean()) < 5 * error
            assert 0.7 < ours.std() / theirs.std() < 1.4


def test_masks_of_a_small_batch_are_as_likely_under_ours(saved_masks):
    for key, theirs in saved_masks.items():
        if theirs.ndim == 2 and not key.endswith("_padding_mask"):
            padding = saved_masks.get(f"{key}_padding_mask")
            counts = theirs.sum(axis=1)
            assert len(set(counts)) == 1  # rows are cut to the least masked one
            if padding is not None:
                assert not theirs[padding].any()
                padding = torch.from_numpy(padding)
            ours = shares(*theirs.shape, draws=200, equal_rows=True, padding_mask=padding)
            assert ours.min() <= counts[0] <= ours.max(), key


def test_share_of_masked_frames_depends_on_the_batch_only_with_equal_rows(saved_masks):
    frames = next((mask.shape[1] for mask in saved_masks.values() if mask.ndim == 2), 156)
    alone, together = (shares(b, frames, 400, equal_rows=False).mean() / frames for b in (1, 128))
    assert alone == pytest.approx(together, abs=0.015)
    assert shares(1, frames, 400, equal_rows=True).mean() / frames == pytest.approx(alone, abs=0.015)
    assert shares(128, frames, 100, equal_rows=True).mean() / frames < alone - 0.05
