"""Which leads of a segment are present: those of its record that are loaded, in its view and not masked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fairseq_signals.batches.dataset import ECGDataset
from fairseq_signals.batches.segment_options import SegmentOptions
from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.batches.views import Views
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import LeadError
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.transforms.base import Compose, Sometimes
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask

TWELVE, RHYTHM, LIMB = LEADS, ("II",), ("I", "II", "III", "aVR", "aVL", "aVF")
RECORDS = [TWELVE, RHYTHM, LIMB, TWELVE]
RLM = RandomLeadMask("random", 0.5)


class Louder:
    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return signal_mv + np.float32(rng.normal())


@pytest.fixture
def reader(tmp_path):
    """Segments of records with twelve, one, six and twelve leads; of the last V1 is flat in the first one."""
    rng = np.random.default_rng(0)
    rows, segments = [], []
    for i, leads in enumerate(RECORDS):
        signal = rng.integers(1, 900, (len(leads), 100)).astype(np.int16)
        if i == 3:
            signal[6, :50] = 0
        rows.append(StoreRow(f"r{i}", "x", 500.0, leads, np.full(len(leads), 0.01), signal))
        segments += [Row(f"shard-00000.arrow#{i}:{50 * k}", 50, f"x/r{i}", f"x/p{i}", k) for k in range(2)]
    write_shard(tmp_path / "shard-00000.arrow", rows)
    (tmp_path / "train.tsv").write_text("".join(format_manifest(tmp_path, segments)))
    return SegmentReader(read_manifest(tmp_path / "train.tsv"))


def batch_of(reader, views=None, transform=None, seed=1, **options):
    dataset = ECGDataset(reader, SegmentOptions(**options), views, transform=transform, seed=seed)
    inputs = dataset.collater(range(len(dataset)))["net_input"]
    return inputs["source"], inputs["lead_present"]


def names(row: torch.Tensor, axis=LEADS) -> tuple[str, ...]:
    return tuple(lead for lead, is_there in zip(axis, row.tolist()) if is_there)


def test_a_lead_is_present_where_its_record_has_it_though_it_be_flat(reader):
    source, present = batch_of(reader)
    assert present.dtype == torch.bool
    assert [names(row) for row in present] == [leads for leads in RECORDS for _ in range(2)]
    assert not source[6, 6].any()  # V1 of the last record


def test_leads_that_are_not_loaded_are_absent(reader):
    _, present = batch_of(reader, leads=(1, 6))
    assert [names(row) for row in present[::2]] == [("II", "V1"), ("II",), ("II",), ("II", "V1")]
    _, present = batch_of(reader, leads=(6, 1), pad_leads=False)
    assert [names(row, ("V1", "II")) for row in present[::2]] == [
        ("V1", "II"),
        ("II",),
        ("II",),
        ("V1", "II"),
    ]


@pytest.mark.parametrize("transform", [RLM, Compose([Louder(), RLM]), Compose([Sometimes(RLM, 0.5), RLM])])
@pytest.mark.parametrize("scaled", [{}, {"max_sample_size": 40}])
def test_masked_leads_are_absent_and_all_others_present(reader, transform, scaled):
    source, present = batch_of(reader, transform=transform, **scaled)
    recorded = batch_of(reader)[1]
    is_there = source.any(dim=2)
    is_there[6, 6] = present[6, 6]  # the flat one
    assert torch.equal(present, is_there & recorded)
    assert 0 < present.sum() < recorded.sum()


def test_each_view_has_its_own_leads(reader):
    views = Views(range(12), 2, "disjoint")
    _, present = batch_of(reader, views)
    pairs = present.view(-1, 2, 12)
    assert not (pairs[:, 0] & pairs[:, 1]).any()
    assert torch.equal(pairs.any(dim=1), batch_of(reader)[1])
    single = batch_of(reader, Views(range(12), 1, "single"))[1].view(-1, 12, 12)
    assert torch.equal(single.any(dim=1), batch_of(reader)[1])
    assert (single.sum(dim=2) <= 1).all()


@pytest.mark.parametrize(
    "transform", [RandomLeadMask("random", 1.0), Compose([Louder(), RandomLeadMask("random", 1)])]
)
def test_a_lead_is_kept_where_a_model_needs_one_and_each_as_often(reader, transform):
    kept = []
    for seed in range(200):
        source, present = batch_of(reader, transform=transform, seed=seed, keep_a_lead=True)
        assert (present.sum(dim=1) == 1).all()
        assert present[2:4, 1].all()  # the record with one lead keeps that
        assert (source.any(dim=2) | ~present)[:6].all()
        kept.append(present[0].int().argmax().item())
    counts = np.bincount(kept, minlength=12)
    assert counts.min() > 4
    assert not batch_of(reader, transform=transform)[1].any()


def test_disjoint_views_deal_out_the_leads_that_there_are(reader):
    views = Views(range(12), 2, "disjoint")
    few = ECGDataset(reader, SegmentOptions(keep_a_lead=True), views)
    inputs = few.collater([0, 4, 6])["net_input"]
    assert inputs["lead_present"].any(dim=1).all()
    with pytest.raises(LeadError, match=r"train.tsv: record x/r1 has 1 of the loaded leads, but 2 disjoint"):
        few.collater([2])


def test_mat_files_say_of_no_lead_that_it_is_absent(reader):
    reader.manifest = replace(reader.manifest, layout="mat")
    assert reader.present(np.array([2, 3])).all()


def test_a_record_without_any_loaded_lead_is_named_where_a_model_needs_one(reader):
    with pytest.raises(LeadError, match=r"train.tsv: record x/r1 has no lead among V1, V2"):
        batch_of(reader, leads=(6, 7), keep_a_lead=True)
    assert not batch_of(reader, leads=(6, 7))[1][2:6].any()
