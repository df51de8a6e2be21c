"""Fixtures that several test modules share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repo_dir() -> Path:
    """The checkout: `preprocess/`, `manifests/` and `examples/` lie in it."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of shared recordings and parity arrays; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("FAIRSEQ_SIGNALS_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set FAIRSEQ_SIGNALS_SHARED")
    return folder
