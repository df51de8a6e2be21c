"""Fixtures that several test modules share."""

import importlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.sizes import TINY

pytest_plugins = ["tests.trainings", "tests.browser"]
# On a busy machine properties take longer to test; that is no fault of theirs.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

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
    from fairseq.models.transformer import TransformerConfig
    from fairseq.registry import REGISTRIES

    import fairseq_signals  # noqa: F401
    from fairseq_signals import criterions, models, tasks  # noqa: F401

    of_models = {"transformer": TransformerConfig, **MODEL_DATACLASS_REGISTRY}  # registered without it
    registries = {kind: REGISTRIES[kind]["dataclass_registry"] for kind in REGISTRIES}
    return {**registries, "task": fairseq.tasks.TASK_DATACLASS_REGISTRY, "model": of_models}


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


@pytest.fixture(scope="session")
def lookalike():
    """`lookalike(name)`: tests/preprocess/lookalikes/NAME.py, which makes small files of a format."""
    return lambda name: importlib.import_module(f"tests.preprocess.lookalikes.{name}")


@pytest.fixture(scope="session")
def write_wfdb(lookalike):
    """`write_wfdb(folder, name, adu, ...)`: a WFDB record of format 16, see lookalikes/wfdb.py."""
    return lookalike("wfdb").write


@pytest.fixture
def ecg_adu():
    """`ecg_adu(n_leads, n_samples, seed)`: smooth random leads in ADC units, (L, T) int16, none constant."""
    import numpy as np

    def make(n_leads: int = 12, n_samples: int = 3000, seed: int = 0):
        rng = np.random.default_rng(seed)
        steps = rng.integers(-9, 10, (n_leads, n_samples))
        return np.cumsum(steps, axis=1).astype(np.int16)

    return make


@pytest.fixture
def tiny() -> dict:
    """Options of an encoder that computes in milliseconds: 16 samples a frame, no dropout."""
    return {
        **TINY,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    }


@pytest.fixture
def ecg_batch():
    """`ecg_batch(B, T, seed)`: random leads in mV, (B, 12, T) float32."""
    import torch

    def make(b: int = 4, n_samples: int = 320, seed: int = 0):
        return torch.randn(b, 12, n_samples, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, repo_dir: Path):
    """A synthetic corpus through the scripts of the checkout: paths `store`, `pretrain`, `classification`,
    `one_class` (the same classes, one a record), `text` (their names as reports), `questions` (about
    them), `regression` (age) and `identification` (validation: 10 patients, two segments a recording).
    """
    import runpy
    from types import SimpleNamespace

    folder = tmp_path_factory.mktemp("corpus")
    paths = SimpleNamespace(**{name: folder / name for name in ("raw", "store", "pretrain")})
    for name in ("classification", "one_class", "text", "questions", "regression", "identification"):
        setattr(paths, name, folder / name)

    def run(script: str, *arguments: object) -> None:
        main = runpy.run_path(str(repo_dir / script), run_name="script")["main"]
        assert main([str(argument) for argument in arguments]) == 0, script

    size = ("--patients=24", "--sessions=2", "--seed=3")
    run("examples/quickstart/make_corpus.py", "--dest", paths.raw, *size)
    patients = paths.raw / "patients.csv"
    run("preprocess/physionet2021.py", paths.raw, "--dest", paths.store, "--patients", patients)
    run("manifests/classification.py", paths.store, "--dest", paths.classification, "--labels", "cinc2021",
        "--split=4:3:3")  # fmt: skip
    run("manifests/classification.py", paths.store, "--dest", paths.one_class, "--labels", "cinc2021",
        "--split=4:3:3", "--one-class")  # fmt: skip
    run("manifests/ecg_text.py", paths.store, "--dest", paths.text, "--text-from=labels", "--labels",
        "cinc2021", "--split=4:3:3", "--vocab-size=99")  # fmt: skip
    run("manifests/ecg_qa.py", paths.store, "--dest", paths.questions, "--labels", "cinc2021",
        "--split=4:3:3", "--vocab-size=150", "--segment-seconds=5")  # fmt: skip
    run("manifests/regression.py", paths.store, "--dest", paths.regression, "--target=age", "--split=4:3:3")
    run("manifests/identification.py", paths.store, "--dest", paths.identification,
        "--valid-fraction=0.4", "--test-fraction=0.2", "--segments-per-recording=2")  # fmt: skip
    run("manifests/pretrain.py", paths.store, "--dest", paths.pretrain, "--valid-fraction=0.2",
        "--exclude", paths.identification)  # fmt: skip
    return paths
