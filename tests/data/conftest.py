"""A small store, datasets of its segments, a cluster to make stores on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from fairseq_signals.data.dataset import ECGDataset, SegmentOptions
from fairseq_signals.data.manifest import Row, format_manifest, read_manifest
from fairseq_signals.data.segments import SegmentReader
from fairseq_signals.data.store import StoreRow, write_shard
from fairseq_signals.data.views import Views
from fairseq_signals.ecg.leads import LEADS

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
    """`dataset_of(segments, **options)` of (record, segment number[, samples]), options by name."""

    def make(segments, views=1, view_leads="all", min_view_leads=1, **options) -> ECGDataset:
        rows = [
            Row(f"shard-00000.arrow#{r}:{N * k}", n[0] if n else N, f"x/r{r}", f"x/p{r // 2}", k)
            for r, k, *n in segments
        ]
        (tmp_path / "train.tsv").write_text("".join(format_manifest(six_records, rows)))
        loading = {f.name: options.pop(f.name) for f in fields(SegmentOptions) if f.name in options}
        loading = SegmentOptions(**loading)
        views = Views(loading.leads, views, view_leads, min_view_leads)
        return ECGDataset(SegmentReader(read_manifest(tmp_path / "train.tsv")), loading, views, **options)

    return make


#: An idle cluster is to cost no processor time: by default it looks at itself a hundred times a second.
_QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "2s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "False",
}
_CLUSTER = """
import sys
from distributed import LocalCluster
with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="session")
def cluster(pytestconfig):
    """The address of a Dask scheduler with two worker processes, all outside of the process of the tests."""
    pytest.importorskip("distributed")
    with subprocess.Popen(
        [sys.executable, "-c", _CLUSTER],
        cwd=pytestconfig.rootpath,
        env={**os.environ, **_QUIET},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture
def snapshot():
    """`snapshot(folder)`: the content of each of its files by name, hidden ones included."""

    def take(folder):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    return take
