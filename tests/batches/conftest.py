"""A small store, and datasets of its segments."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from fairseq_signals.batches.dataset import ECGDataset
from fairseq_signals.batches.segment_options import SegmentOptions
from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.batches.views import Views
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.store.shards import StoreRow, write_shard

N = 50  # samples a segment


@pytest.fixture(scope="module")
def six_records(tmp_path_factory):
    """Six records of 200 samples without a zero; record 5 has no lead V6."""
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(6):
        leads = LEADS if i < 5 else LEADS[:11]
        signal = rng.integers(1, 900, (len(leads), 4 * N)).astype(np.int16)
        rows.append(StoreRow(f"r{i}", "x", 500.0, leads, np.full(len(leads), 0.01), signal))
    write_shard(folder / "shard-00000.arrow", rows)
    return folder


@pytest.fixture
def dataset_of(six_records, tmp_path):
    """`dataset_of(segments, **options)` of (record, segment number[, samples]), options by name.

    `views` is their number, or what makes them.
    """

    def make(segments, views=1, view_leads="all", min_view_leads=1, **options) -> ECGDataset:
        rows = [
            Row(f"shard-00000.arrow#{r}:{N * k}", n[0] if n else N, f"x/r{r}", f"x/p{r // 2}", k)
            for r, k, *n in segments
        ]
        (tmp_path / "train.tsv").write_text("".join(format_manifest(six_records, rows)))
        loading = {f.name: options.pop(f.name) for f in fields(SegmentOptions) if f.name in options}
        loading = SegmentOptions(**loading)
        if isinstance(views, int):
            views = Views(loading.leads, views, view_leads, min_view_leads)
        return ECGDataset(SegmentReader(read_manifest(tmp_path / "train.tsv")), loading, views, **options)

    return make
