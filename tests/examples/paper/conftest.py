"""The workflow's modules, which import each other as scripts of one folder do."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

MODULES = ("published", "experiment", "train", "tables", "cost", "charts")


@pytest.fixture(scope="session")
def paper_dir(repo_dir: Path) -> Path:
    return repo_dir / "examples" / "paper"


@pytest.fixture(scope="session")
def paper(paper_dir: Path):
    """The modules of examples/paper, by name."""
    sys.path.insert(0, str(paper_dir))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(paper_dir))
        for name in MODULES:
            del sys.modules[name]


@pytest.fixture
def scale(paper_dir: Path):
    """`scale(name)`: the content of a file of examples/paper/config/."""
    import yaml

    def load(name: str) -> dict:
        return yaml.safe_load((paper_dir / "config" / f"{name}.yaml").read_text(encoding="utf-8"))

    return load
