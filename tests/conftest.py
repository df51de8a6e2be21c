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


@pytest.fixture(scope="session")
def dataclass_registries() -> dict:
    """fairseq's configuration classes by kind and registered name, ours included."""
    import fairseq.tasks
    from fairseq.models import MODEL_DATACLASS_REGISTRY
    from fairseq.registry import REGISTRIES

    import fairseq_signals  # noqa: F401
    from fairseq_signals import criterions, models, tasks  # noqa: F401

    registries = {kind: REGISTRIES[kind]["dataclass_registry"] for kind in REGISTRIES}
    return {**registries, "task": fairseq.tasks.TASK_DATACLASS_REGISTRY, "model": MODEL_DATACLASS_REGISTRY}


@pytest.fixture(scope="session")
def config_keys(dataclass_registries: dict):
    """`config_keys(group, name)`: the keys that this group of a YAML file may have."""
    import dataclasses

    from fairseq.dataclass.configs import FairseqConfig

    groups = {field.name: field.type for field in dataclasses.fields(FairseqConfig)}

    def keys(group: str, name: "str | None" = None) -> set:
        if group in dataclass_registries:
            assert name in dataclass_registries[group], f"no {group} is called {name}"
            config_class = dataclass_registries[group][name]
        else:
            assert group in groups, f"fairseq has no group {group}"
            config_class = groups[group]
        return {"_name", *(field.name for field in dataclasses.fields(config_class))}

    return keys


@pytest.fixture(scope="session")
def registered_names(dataclass_registries: dict):
    """`registered_names(kind)`: the tasks, models or criterions that this package registers."""

    def names(kind: str) -> set:
        classes = dataclass_registries[kind].items()
        return {name for name, cls in classes if cls.__module__.startswith("fairseq_signals.")}

    return names
