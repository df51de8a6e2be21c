"""A cluster to make stores on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
