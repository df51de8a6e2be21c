"""Random lead masking: which leads become zeros, and that the others stay as they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.batches.dataset import ECGDataset
from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.ecg.leads import CHEST_LEADS, LEADS, LIMB_LEADS
from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask, mask_leads

LIMB, CHEST = ([LEADS.index(name) for name in group] for group in (LIMB_LEADS, CHEST_LEADS))


def ramp() -> np.ndarray:
    return np.arange(1.0, 12 * 5 + 1, dtype=np.float32).reshape(12, 5)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1))
def test_kept_leads_are_bit_identical_and_masked_ones_zero(seed, probability):
    signal = ramp()
    masked = RandomLeadMask("random", probability)(signal, np.random.default_rng(seed))
    lead_mask = RandomLeadMask("random", probability).draw(12, np.random.default_rng(seed))
    assert np.array_equal(masked[~lead_mask], signal[~lead_mask])
    assert not masked[lead_mask].any()
    assert np.array_equal(signal, ramp())  # the input stays as it is
    assert masked.dtype == np.float32


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 1.0])
def test_every_lead_is_masked_as_often_as_asked_and_independently(probability):
    rng, n = np.random.default_rng(0), 4000
    masks = np.stack([RandomLeadMask("random", probability).draw(12, rng) for _ in range(n)])
    # five standard deviations of a binomial share
    bound = 5 * np.sqrt(probability * (1 - probability) / n)
    assert np.abs(masks.mean(axis=0) - probability).max() <= bound
    both = (masks[:, :, None] & masks[:, None, :]).mean(axis=0)[~np.eye(12, dtype=bool)]
    assert np.abs(both - probability**2).max() <= 5 * np.sqrt(probability**2 * (1 - probability**2) / n)


@pytest.mark.parametrize("condition", [(0, 0), (4, 5), (6, 0), (0, 6), (1, 2), (6, 6)])
def test_the_conditional_form_masks_exactly_so_many_limb_and_chest_leads(condition):
    rng = np.random.default_rng(1)
    masks = np.stack(
        [RandomLeadMask("conditional", mask_leads_condition=condition).draw(12, rng) for _ in range(600)]
    )
    assert set(masks[:, LIMB].sum(axis=1)) == {condition[0]}
    assert set(masks[:, CHEST].sum(axis=1)) == {condition[1]}
    # and no lead of a group more often than the others
    for group, count in zip((LIMB, CHEST), condition):
        share = count / 6
        assert np.abs(masks[:, group].mean(axis=0) - share).max() <= 5 * np.sqrt(share * (1 - share) / 600)


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1.0])
def test_the_independent_form_masks_each_dimension_of_the_leads_as_often_as_asked(probability, assert_share):
    rng = np.random.default_rng(2)
    masks = np.stack([RandomLeadMask("independent", probability).draw(12, rng) for _ in range(3000)])
    remain = 6 - masks[:, LIMB].sum(axis=1)
    keep = 1 - probability
    for n, share in {0: probability**2, 1: 2 * probability * keep, 6: keep**2}.items():
        assert_share(remain == n, share)
    assert set(remain) <= {0, 1, 6}
    # a limb lead that remains alone may be any of them
    assert_share(~masks[:, LIMB], keep**2 + 2 * probability * keep / 6)
    assert_share(masks[:, CHEST], probability)
    both = masks[:, CHEST][:, :, None] & masks[:, CHEST][:, None, :]
    assert_share(both[:, ~np.eye(6, dtype=bool)], probability**2)
    # and the limb leads tell nothing of the chest leads
    assert_share(masks[:, CHEST] & (remain == 0)[:, None], probability**3)


@pytest.fixture
def pairs_of_ones(tmp_path):
    """`pairs_of_ones(probability)`: 50 pairs of segments without a zero, with random lead masking."""

    def make(probability: float) -> ECGDataset:
        ones = np.ones((12, 8), np.int16)
        stored = [StoreRow(f"r{i}", "x", 500.0, LEADS, np.ones(12), ones) for i in range(50)]
        write_shard(tmp_path / "shard-00000.arrow", stored)
        segments = [(i, k) for i in range(50) for k in range(2)]
        rows = [Row(f"shard-00000.arrow#{i}:{4 * k}", 4, f"x/r{i}", f"x/p{i}", k) for i, k in segments]
        (tmp_path / "train.tsv").write_text("".join(format_manifest(tmp_path, rows)))
        reader = SegmentReader(read_manifest(tmp_path / "train.tsv"))
        return ECGDataset(reader, pairs=True, transform=RandomLeadMask("random", probability), seed=7)

    return make


@pytest.mark.parametrize("probability", [0.5, 0.2])
def test_each_lead_of_each_segment_of_a_pair_is_masked_by_itself(probability, pairs_of_ones, assert_share):
    """24 leads of 1000 pairs: each as often as asked, and no two more often together than by chance."""
    dataset = pairs_of_ones(probability)
    drawn = []
    for epoch in range(1, 21):
        dataset.set_epoch(epoch)
        for item in range(len(dataset)):
            source = dataset.collater([item])["net_input"]["source"].numpy()
            drawn.append(np.concatenate(list(~source.any(axis=2))))
    masked = np.stack(drawn)  # (1000, 2 segments * 12 leads)
    assert masked.shape == (1000, 24)
    assert_share(masked, probability)
    first, second = np.triu_indices(24, 1)
    assert_share(masked[:, first] & masked[:, second], probability**2)
    # nor does a pair tell of the next one, or an epoch of the next
    for lag in (1, len(dataset)):
        assert_share((masked[lag:] & masked[:-lag]).ravel(), probability**2)


def test_one_lead_may_be_masked_by_itself():
    lead_mask = np.zeros(12, dtype=bool)
    lead_mask[3] = True
    assert np.flatnonzero(~mask_leads(ramp(), lead_mask).any(axis=1)).tolist() == [3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_leads_selection": "all"}, r"task\.\w+ must be one of random, conditional, independent"),
        ({"mask_leads_prob": 1.5}, r"task.mask_leads_prob must be in \[0, 1\], but is 1.5"),
        ({"mask_leads_condition": [4]}, r"task.mask_leads_condition must be .* but is \[4\]"),
        ({"mask_leads_condition": [7, 0]}, r"each 0 to 6, but is \[7, 0\]"),
        ({"mask_leads_condition": [0, -1]}, r"each 0 to 6, but is \[0, -1\]"),
    ],
)
def test_values_out_of_range_are_refused_by_the_keys_name(options, message):
    with pytest.raises(ConfigError, match=message):
        RandomLeadMask(**options)
